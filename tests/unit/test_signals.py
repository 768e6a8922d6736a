"""Signals that tell a process to end, wherever in Python they arrive."""

from __future__ import annotations

import signal
import sys
import time
import weakref

import pytest

from harness.signals import Terminated, told_to_end

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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_none_is_lost(number: signal.Signals) -> None:
    """It is raised a moment later, and afterwards all is as it was."""
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    hook = sys.unraisablehook
    with pytest.raises((KeyboardInterrupt, Terminated)) as ended, told_to_end():
        _arrive_where_nobody_hears(number)
    found = ended.value.signal if isinstance(ended.value, Terminated) else signal.SIGINT
    assert found is number
    assert sys.unraisablehook is hook
    signal.signal(signal.SIGTERM, before[signal.SIGTERM])
    signal.signal(signal.SIGHUP, before[signal.SIGHUP])


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
