"""How far work in several parts is, where nobody looks."""

from __future__ import annotations

import io
import threading

import msgspec
import pytest

from harness.judge.result import Result
from harness.judge.verdict import judge
from harness.report.steps import Steps
from harness.timeline import Event
from tests.unit.timelines import as_foreseen, unreachable


def test_a_file_gets_a_line_for_each_part() -> None:
    """And none for each step."""
    stream = io.StringIO()
    with Steps("case", stream) as steps:
        steps.begin("planning", 2)
        steps.step()
        steps.step()
        steps.begin("running", 1)
        steps.step()
    assert stream.getvalue() == "planning: 2 cases\nrunning: 1 case\n"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Yes."""
        return True


def test_a_file_hears_of_work_that_takes_long() -> None:
    """How far it is, and how long it still takes."""
    stream = io.StringIO()
    with Steps("case", stream) as steps:
        steps.begin("running", 4)
        steps.step()
        steps._began -= 15.0
        steps._tick()
    assert stream.getvalue().splitlines()[-1] == "running: 1 of 4 cases in 15 s, about 45 s left"


def test_runs_in_virtual_time_tell_how_much_of_it_passed() -> None:
    """In each part of the work anew."""
    plan = unreachable()
    machine = msgspec.structs.replace(plan.machine, clock="virtual")
    events = tuple(as_foreseen(plan))
    result = Result(
        plan=msgspec.structs.replace(plan, machine=machine),
        events=(*events, Event(7_200_000_000_000, "run.ended", "harness", {})),
        verdict=judge(plan, events),
    )
    stream = io.StringIO()
    with Steps("case", stream) as steps:
        steps.begin("running", 4)
        steps.done(result)
        steps._began -= 15.0
        steps._tick()
        steps.begin("running again", 1)
        steps._tick()
    assert stream.getvalue().splitlines()[1::2] == [
        "running: 1 of 4 cases, 2 h of virtual time in 15 s, about 45 s left",
        "running again: 0 of 1 case in 0 s",
    ]


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_brief_work_is_silent_and_needs_no_thread(stream: io.StringIO) -> None:
    """On a terminal, too; all items come in their order."""
    before = threading.active_count()
    with Steps("scenario", stream, brief=True) as steps:
        assert list(steps.each("planning", "abc")) == ["a", "b", "c"]
        assert threading.active_count() == before
    assert stream.getvalue() == ""


def test_brief_work_that_takes_long_says_so() -> None:
    """One line in ten seconds in a file; a bar on a terminal, which leaves nothing behind."""
    stream = io.StringIO()
    with Steps("scenario", stream, brief=True) as steps:
        items = steps.each("planning", range(5))
        next(items)
        steps._said -= 20.0
        steps._began -= 20.0
        next(items)
        next(items)
    assert stream.getvalue() == "planning: 1 of 5 scenarios in 20 s, about 1 min 20 s left\n"


def test_a_terminal_shows_a_bar_with_both_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is gone afterwards."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    with Steps("scenario", stream, brief=True) as steps:
        items = steps.each("planning", range(5))
        next(items)
        assert steps._bar is not None
        steps._bar._refreshed -= 1.0
        next(items)
    written = stream.getvalue()
    assert "planning" in written
    assert "1/5" in written
    assert "gone, about" in written
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h") == 1
    assert written.endswith("\x1b[2K")
