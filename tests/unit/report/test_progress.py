from __future__ import annotations

import io
import re
import time

import pytest

from harness.judge.result import Result
from harness.judge.verdict import Verdict
from harness.report import progress as displays
from harness.report.progress import Progress
from tests.unit.report.test_text import joined, shown, verdicts
from tests.unit.timelines import unreachable


def result(verdict: Verdict) -> Result:
    """A result with that verdict."""
    return Result(plan=unreachable(), events=(), verdict=verdict)


def test_progress_in_a_file_is_a_line_for_each_verdict() -> None:
    """No terminal, no control characters: what is run, then each verdict as it comes."""
    stream = io.StringIO()
    good, _, bad, _ = verdicts()
    with Progress(2, 8.4, stream) as progress:
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
    with Progress(1, 2.0, stream):
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
    with Progress(3, 8.4, stream) as progress:
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
    progress = Progress(300, 8.4, io.StringIO())
    for number in range(300):
        progress.status(
            f"some/very/long/folder/name/{'x' * 70}-{number}", "detection", time.monotonic_ns()
        )
    for width in (80, 40):
        lines = shown(progress._render(), width)
        assert len(lines) == displays.LINES_SHOWN + 2
        assert max(len(line) for line in lines) <= width
        assert "and 288 more" in lines[-2]
        assert "0 of 300 done" in lines[-1]


def test_what_is_over_is_not_awaited() -> None:
    """A scenario that has ended leaves the display."""
    progress = Progress(1, 8.4, io.StringIO())
    progress.status("a", "building the lab", None)
    assert "building the lab" in joined(shown(progress._render(), 80))
    progress.status("a", None, None)
    assert shown(progress._render(), 80)[0].strip() == "0 of 1 done"


def test_quiet_progress_says_nothing() -> None:
    """Neither at the beginning nor for a verdict; the verdicts are there all the same."""
    stream = io.StringIO()
    plan = unreachable()
    result = Result(plan=plan, events=(), verdict=verdicts()[2])
    with Progress(3, 4.0, stream, quiet=True) as progress:
        progress.status("x", "detection", None)
        progress.done(result)
    assert stream.getvalue() == ""
    assert progress.verdicts == [result.verdict]
