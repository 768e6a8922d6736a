"""A short time slice, which any user may ask for."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from harness.system import priority, time_slice

T = TypeVar("T")


def in_a_thread(asked: Callable[[], T]) -> T:
    """What a thread of its own answers, as the flag of a thread cannot be taken back."""
    with ThreadPoolExecutor(1) as other:
        return other.submit(asked).result()


def test_a_thread_gets_it_once_and_gives_it_back() -> None:
    """A second block in the first one leaves it to the first one."""

    def asked() -> tuple[bool, bool, int | None, bool]:
        first, second = time_slice.shorten(0), time_slice.shorten(0)
        held = time_slice._get(0)
        time_slice.restore()
        return first, second, held, time_slice.shorten(0)

    if not in_a_thread(lambda: time_slice.shorten(0)):
        pytest.skip(f"{os.uname().release} gives no time slice to a thread: it needs Linux 6.12")
    assert in_a_thread(asked) == (True, False, time_slice.SHORT_NS, True)


def test_a_child_has_the_usual_one() -> None:
    """So a program under test runs as it always does."""

    def asked() -> int | None:
        time_slice.shorten(0)
        return in_a_thread(lambda: time_slice._get(0))

    assert in_a_thread(asked) != time_slice.SHORT_NS


def test_an_unknown_processor_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers of system calls differ between processors."""
    monkeypatch.setattr(time_slice, "_SET_AND_GET", {})
    assert not in_a_thread(lambda: time_slice.shorten(0))


def test_who_may_not_have_real_time_priority_gets_short_slices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For the block, and programs of ours for as long."""

    def refuse(*_: object) -> None:
        raise PermissionError

    def shorten(thread: int) -> bool:
        asked.append(thread)
        return True

    asked: list[int] = []
    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    monkeypatch.setattr(time_slice, "shorten", shorten)
    monkeypatch.setattr(time_slice, "restore", lambda: asked.append(-1))
    priority.lend(os.getpid())
    with priority.urgent(watches=True):
        priority.lend(os.getpid())
    assert asked[0] == 0
    assert os.getpid() in asked
    assert asked[-1] == -1
