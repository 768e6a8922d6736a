"""Lines of progress where nothing else is said."""

from __future__ import annotations

import threading

import pytest

from harness.report import ticker
from harness.report.ticker import Ticker


def test_it_ticks_again_and_again_until_it_is_stopped() -> None:
    """From a thread of its own, which is gone then."""
    ticks = threading.Semaphore(0)
    before = threading.active_count()
    ticking = Ticker(ticks.release, every_s=0.001)
    ticking.start()
    ticking.start()
    assert threading.active_count() == before + 1
    for _ in range(3):
        assert ticks.acquire(timeout=60)
    ticking.stop()
    assert threading.active_count() == before


def test_what_is_said_puts_it_off() -> None:
    """Whoever talks all the time needs no ticker."""
    ticks: list[None] = []
    ticking = Ticker(lambda: ticks.append(None), every_s=60.0)
    ticking.start()
    for _ in range(100):
        ticking.said()
    ticking.stop()
    assert ticks == []


def test_one_that_never_began_stops_as_well() -> None:
    """Nothing was shown."""
    Ticker(lambda: None).stop()


def test_without_a_thread_there_are_no_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of processes keeps nothing from being run."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    ticking = Ticker(lambda: None)
    ticking.start()
    ticking.stop()
    assert ticker.EVERY_S == 10.0
