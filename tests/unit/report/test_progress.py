from __future__ import annotations

import io
import re
import threading
import time

import msgspec
import pytest

from harness.judge.result import Result
from harness.judge.verdict import Verdict
from harness.plan.plan import Plan
from harness.report import progress as displays
from harness.report.progress import BuildProgress, Countdown, Progress
from harness.system.kernel_clock import Clock
from harness.timeline import Event
from tests.unit.report.test_text import joined, shown, verdicts
from tests.unit.timelines import unreachable


def result(verdict: Verdict, *, after_s: float = 0.0) -> Result:
    """A result with that verdict, whose last event came after so long."""
    events = (Event(round(after_s * 1e9), "run.ended", "harness", {}),)
    return Result(plan=unreachable(), events=events, verdict=verdict)


def plans(*names: str, watch_s: float = 8.4, clock: Clock = "real") -> list[Plan]:
    """Plans of these names, each of which is watched for so long."""
    made = unreachable()
    machine = msgspec.structs.replace(made.machine, clock=clock)
    scenarios = [msgspec.structs.replace(made.scenario, name=name) for name in names]
    return [
        msgspec.structs.replace(made, scenario=each, machine=machine, watch_ns=round(watch_s * 1e9))
        for each in scenarios
    ]


class Clocked(Progress):
    """A display whose beginning was so long ago."""

    def ago(self, gone_s: float) -> Clocked:
        """Set it back."""
        self._began -= gone_s
        return self


def test_progress_in_a_file_is_a_line_for_each_verdict() -> None:
    """No terminal, no control characters: what is run, then each verdict as it comes."""
    stream = io.StringIO()
    good, _, bad, _ = verdicts()
    with Progress(plans("link/bad", "x"), stream) as progress:
        progress.status("x", "detection", time.monotonic_ns())
        progress.done(result(bad))
        progress.done(result(good))
    assert stream.getvalue().splitlines() == [
        "running 2 scenarios at once; the longest is watched for 8.4 s",
        "1/2 fail         link/bad",
        "2/2 pass         outcomes/peer-unreachable",
    ]


def test_progress_of_one_scenario() -> None:
    """One is not several."""
    stream = io.StringIO()
    with Progress(plans("x", watch_s=2.0), stream):
        pass
    assert stream.getvalue() == "running 1 scenario at once; the longest is watched for 2.0 s\n"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Yes."""
        return True


def test_progress_on_a_terminal_cleans_up_after_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows what is awaited and until when, and leaves nothing behind: the cursor is shown, the
    lines are erased.
    """
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()
    with Progress(plans("link/own", "link/bad", "x"), stream) as progress:
        progress.status("link/own", "detection", time.monotonic_ns() + 3600_000_000_000)
        progress.done(result(verdicts()[2]))
        assert progress._live is not None
        progress._live.refresh()
    written = stream.getvalue()
    assert "link/own" in written
    assert "awaiting detection" in written
    assert re.search(r"at most +3[56]\d\d\.\d s", written)
    assert "1 of 3 done" in written
    assert "1 fail" in written
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h") == 1
    assert written.endswith("\x1b[2K")  # erased
    assert "\n\n" not in written


def test_progress_keeps_to_the_terminals_size() -> None:
    """Never more than a dozen scenarios, one line each, however long their names: nothing wraps,
    nothing scrolls.
    """
    names = [f"some/very/long/folder/name/{'x' * 70}-{number}" for number in range(300)]
    progress = Progress(plans(*names), io.StringIO(), quiet=True)
    for name in names:
        progress.status(name, "detection", time.monotonic_ns())
    for width in (80, 40):
        lines = shown(progress._render(), width)
        assert len(lines) == displays.LINES_SHOWN + 2
        assert max(len(line) for line in lines) <= width
        assert "and 288 more" in lines[-2]
        assert "0 of 300 done" in lines[-1]


def test_what_is_over_is_not_awaited() -> None:
    """A scenario that has ended leaves the display."""
    progress = Progress(plans("a"), io.StringIO(), quiet=True)
    progress.status("a", "building the lab", None)
    assert "building the lab" in joined(shown(progress._render(), 80))
    progress.status("a", None, None)
    assert shown(progress._render(), 80)[0].startswith("0 of 1 done; 0 s gone")


def test_quiet_progress_says_nothing() -> None:
    """Neither at the beginning nor for a verdict; the verdicts are there all the same."""
    stream = io.StringIO()
    plan = unreachable()
    result = Result(plan=plan, events=(), verdict=verdicts()[2])
    with Progress(plans("x", "y", "z"), stream, quiet=True) as progress:
        progress.status("x", "detection", None)
        progress.done(result)
    assert stream.getvalue() == ""
    assert progress.verdicts == [result.verdict]


def test_real_time_left_is_that_of_the_watches() -> None:
    """Of the running ones until their deadlines, then of those that wait, few at once."""
    some = plans("a", "b", "c", watch_s=60.0)
    progress = Clocked(some, io.StringIO(), at_once=2, quiet=True).ago(5.0)
    progress.status("a", "detection", time.monotonic_ns() + 40_500_000_000)
    progress.status("b", "building the lab", None)
    assert progress._time() == "5 s gone, at most 1 min 40 s left"
    progress.done(result(msgspec.structs.replace(verdicts()[0], name="b")))
    progress.status("b", None, None)
    progress.status("c", "detection", time.monotonic_ns() + 20_500_000_000)
    assert progress._time() == "5 s gone, at most 40 s left"


def test_in_virtual_time_both_clocks_are_told() -> None:
    """How long it still takes is what the rest takes here if it goes on like that."""
    some = plans("a", "b", "c", "d", watch_s=9000.0, clock="virtual")
    stream = io.StringIO()
    progress = Clocked(some, stream, quiet=True).ago(12.0)
    assert progress._time() == "0 s of virtual time in 12 s"
    progress.done(result(verdicts()[0], after_s=7200.0))
    assert progress._time() == "2 h of virtual time in 12 s, about 36 s left"
    assert progress._opening() == (
        "running 4 scenarios in virtual time; the longest is watched for 9000.0 s"
    )


def test_a_log_gets_a_line_where_nothing_else_is_said() -> None:
    """What is awaited, and the names of few."""
    stream = io.StringIO()
    with Clocked(plans("a", "b", "c", "d", "e", watch_s=60.0), stream).ago(0.0) as progress:
        progress.ago(30.0)
        for name in "abcd":
            progress.status(name, "detection", time.monotonic_ns() + 20_500_000_000)
        progress.done(result(verdicts()[0]))
        progress._tick()
    assert stream.getvalue().splitlines()[-1] == (
        "30 s gone, at most 1 min left: 1 of 5 done; awaiting a (detection), b (detection), "
        "c (detection), 1 more"
    )


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_no_thread_before_the_first_run_goes_on(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ordinary user's process enters namespaces first, which one with two threads cannot."""
    monkeypatch.setenv("TERM", "xterm")
    before = threading.active_count()
    with Progress(plans("a"), stream) as progress:
        assert threading.active_count() == before
        progress.status("a", "building the lab", None)
        assert threading.active_count() == before + 1
    for thread in threading.enumerate()[before:]:
        thread.join(60)  # rich leaves its own to end by itself
    assert threading.active_count() == before
    progress.status("a", "a word of a run that goes on", None)
    assert threading.active_count() == before


def test_a_build_tells_each_step_and_how_far_it_is() -> None:
    """A step that takes long is told with what is left of it."""
    stream = io.StringIO()
    with BuildProgress(stream) as progress:
        progress.tell("compiling: a.o", 0.0)
        progress._began -= 20.0
        progress.tell("compiling: b.o", 0.25)
        progress._tick()
        progress.tell("installing", None)
        progress._tick()
    assert stream.getvalue().splitlines() == [
        "compiling",
        "compiling: b.o, 25% done in 20 s, about 1 min left",
        "installing",
        "installing in 0 s",
    ]


def test_a_countdown_in_a_file_is_a_line_now_and_then() -> None:
    """Not one for each second."""
    stream = io.StringIO()
    with Countdown(stream) as countdown:
        countdown.show(30.0)
        countdown._said -= 10.0
        countdown.show(20.0)
        countdown.show(19.0)
    assert stream.getvalue() == "20 s left\n"
