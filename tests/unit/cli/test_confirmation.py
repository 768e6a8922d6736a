"""Long runs in real time are agreed to, or not begun."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import msgspec
import pytest

from harness.cli import confirmation, main
from harness.plan.plan import BEGINS_NS, Plan
from harness.runner.execute import longest_ns as longest_ns_of
from harness.venue import host
from tests.unit.timelines import flap, unreachable


class Terminal(io.StringIO):
    """Somebody's."""

    def isatty(self) -> bool:
        """Yes."""
        return True


LONG = ("run", "outcomes/peer-alive", "defaults/linux")
"""One of them is watched for more than two hours."""


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str, answer: str | None) -> int:
    """The exit status, with an answer on a terminal, or with no terminal.

    That something is run is an error.
    """
    monkeypatch.setattr(sys, "stdin", io.StringIO() if answer is None else Terminal(answer))
    if answer is not None:
        monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr("harness.batch.batch.run", _running)
    return main.main(arguments)


class _Begun(BaseException):
    """The run would have begun; no exception that the command line would take for a defect."""


def _running(*_: object, **__: object) -> None:
    raise _Begun


def test_without_a_terminal_nothing_long_is_begun(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says how long, which scenario, and both ways on; nothing is made."""
    assert ended(monkeypatch, *LONG, "--out", "/nonexistent/x", answer=None) == 2
    said = capsys.readouterr().err
    takes = r"2 h \d\d min"
    assert re.fullmatch(
        r"harness: expected at most 60 s of real time without --yes, "
        rf"found up to {takes} of real time \(defaults/linux is watched for {takes}\); "
        r"--clock virtual takes seconds, --yes starts it anyway\n",
        said,
    )


@pytest.mark.parametrize(
    ("answer", "goes_on"), [("y\n", True), ("Yes\n", True), ("n\n", False), ("", False)]
)
def test_a_terminal_is_asked(
    monkeypatch: pytest.MonkeyPatch, answer: str, *, goes_on: bool
) -> None:
    """Anything but yes ends it, with exit status 2."""
    if goes_on:
        with pytest.raises(_Begun):
            ended(monkeypatch, *LONG, answer=answer)
    else:
        assert ended(monkeypatch, *LONG, answer=answer) == 2
    assert isinstance(sys.stderr, Terminal)
    assert "this takes up to 2 h " in sys.stderr.getvalue()
    assert "--clock virtual takes seconds. Continue? [y/N] " in sys.stderr.getvalue()


@pytest.mark.parametrize(
    "arguments", [(*LONG, "--yes"), ("run", "outcomes/peer-alive"), ("run", "outcomes", "link")]
)
def test_what_is_agreed_to_or_short_is_begun(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """Without a question, also where there is nobody to ask."""
    with pytest.raises(_Begun):
        ended(monkeypatch, *arguments, answer=None)


def test_what_nobody_named_is_not_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it takes long, however many there are at once."""
    monkeypatch.setattr("harness.cli.request.plans", lambda *_, **__: [unreachable()] * 100)
    with pytest.raises(_Begun):
        ended(monkeypatch, "run", "--jobs", "1", answer=None)


def test_few_at_once_take_longer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What counts is the time of all together."""
    assert ended(monkeypatch, "run", "outcomes", "--jobs", "1", answer=None) == 2
    assert re.search(r"found up to \d+ (s|min \d+ s) of real time", capsys.readouterr().err)


def test_the_time_that_a_run_takes() -> None:
    """Each worker takes the next scenario when it is free."""

    def lasting(*seconds: int) -> list[Plan]:
        return [msgspec.structs.replace(unreachable(), watch_ns=each * 10**9) for each in seconds]

    assert host.watches_ns([unreachable(), flap()]) == max(unreachable().watch_ns, flap().watch_ns)
    assert host.watches_ns(lasting(5, 3, 4), jobs=1) == 12 * 10**9
    assert host.watches_ns(lasting(5, 3, 4), jobs=2) == 7 * 10**9
    assert host.watches_ns([]) == 0


def test_in_a_guest_one_plan_follows_the_other() -> None:
    """Several at once would move the clock by reading it.

    And each waits for the phase of its timer wheel first.
    """
    here = msgspec.structs.replace(unreachable().machine, clock="virtual")
    plans = [
        msgspec.structs.replace(unreachable(), watch_ns=each * 10**9, machine=here)
        for each in (5, 3, 4)
    ]
    assert host.watches_ns(plans) == host.watches_ns(plans, jobs=50) == 12 * 10**9
    longest_ns = max(longest_ns_of(plan) + plan.period_ns for plan in plans)
    assert host.gives_up_after_ns(plans) == BEGINS_NS + 3 * longest_ns + host.OVERTIME_NS


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (61, "61 s"),
        (119.2, "2 min"),
        (150, "2 min 30 s"),
        (3600, "1 h"),
        (8013.056, "2 h 14 min"),
        (7199.5, "2 h"),
    ],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    """Rounded up, in two units at most."""
    assert confirmation.spelled(seconds) == words
