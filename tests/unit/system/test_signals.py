"""Signals that tell a process to end, wherever in Python they arrive."""

from __future__ import annotations

import signal
import sys
import threading
import time
import weakref
from collections.abc import Iterator

import pytest

from harness.system.signals import AGAIN_S, Terminated, deferred, ignored, told_to_end

PATIENCE_S = 10.0


class _Thing:
    pass


def _arrive_where_nobody_hears(number: signal.Signals) -> None:
    """In the callback of a weak reference, which has nobody to raise an exception to."""
    thing = _Thing()
    watch = weakref.ref(thing, lambda _: signal.raise_signal(number))
    del thing
    assert watch() is None
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        time.sleep(0.01)


NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    """Signals do here what they do by default: whoever starts the tests with nohup has some of them
    ignored.
    """
    before = {each: signal.getsignal(each) for each in NUMBERS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_DFL)
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.parametrize("number", NUMBERS)
def test_none_is_lost(number: signal.Signals) -> None:
    """It is raised a moment later, and afterwards nothing is changed."""
    hook = sys.unraisablehook
    with pytest.raises((KeyboardInterrupt, Terminated)) as ended, told_to_end():
        _arrive_where_nobody_hears(number)
    found = ended.value.signal if isinstance(ended.value, Terminated) else signal.SIGINT
    assert found is number
    assert sys.unraisablehook is hook


@pytest.mark.parametrize("number", NUMBERS)
def test_none_is_lost_on_a_busy_machine(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which takes long to start the thread that sends it again."""
    start = threading.Thread.start

    def slowly(self: threading.Thread) -> None:
        start(self)
        time.sleep(3 * AGAIN_S)

    monkeypatch.setattr(threading.Thread, "start", slowly)
    test_none_is_lost(number)


def test_signals_are_ignored_while_clearing_up() -> None:
    """And each is heard again afterwards."""
    with ignored():
        for number in NUMBERS:
            signal.raise_signal(number)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_other_exceptions_are_told_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the hook that was there."""
    heard: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: heard.append(lost.exc_value))
    with told_to_end():
        thing = _Thing()
        watch = weakref.ref(thing, lambda _: 1 / 0)
        del thing
        assert watch() is None
    assert isinstance(heard.pop(), ZeroDivisionError)


@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)]
)
def test_deferred_signals_come_after_the_block(
    number: signal.Signals, raised: type[BaseException]
) -> None:
    """Code that takes any exception for its own, as Hypothesis does, is not interrupted, and
    nothing is lost.
    """
    reached = []

    def block() -> None:
        with told_to_end(), deferred():
            signal.raise_signal(number)
            reached.append(number)

    with pytest.raises(raised):
        block()
    assert reached == [number]
