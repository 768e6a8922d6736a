"""Real-time priority for whatever a run's moments depend on, where the user may have it, as root may.

The kernel then runs the harness as soon as something happens, however many programs compute beside it: with twelve busy
loops on two CPUs a thread was late by 226 ms at most without it, and by 1 ms with it. Programs that the harness starts
do not inherit it, so commands under test run as they always do.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_LEAST = os.sched_param(1)
_POLICY = os.SCHED_RR | os.SCHED_RESET_ON_FORK
"""sched(7): equals take turns; children and new threads begin with normal priority."""
_lock = threading.Lock()
_holders: set[object] = set()
"""One object for each `urgent` block that has the priority."""


@contextmanager
def urgent() -> Iterator[None]:
    """Run the calling thread at real-time priority in the block, where that is allowed."""
    before, parameter, holder = os.sched_getscheduler(0), os.sched_getparam(0), object()
    if not _raised(0):
        yield
        return
    with _lock:
        _holders.add(holder)
    try:
        yield
    finally:
        with _lock:
            _holders.discard(holder)
        os.sched_setscheduler(0, before, parameter)


def lend(pid: int) -> None:
    """Give a process of our own the same priority, as long as any thread has it by `urgent`."""
    if _holders:
        _raised(pid)


def _raised(pid: int) -> bool:
    with suppress(OSError):
        os.sched_setscheduler(pid, _POLICY, _LEAST)
        return True
    return False
