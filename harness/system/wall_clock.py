"""The wall clock of this kernel (CLOCK_REALTIME): how far it is ahead, and setting that of a guest.

No namespace has a wall clock of its own: time namespaces have CLOCK_MONOTONIC and CLOCK_BOOTTIME
alone (time_namespaces(7)). So it is moved in guests only, whose kernel is the harness's own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from harness.system import kernel_clock

READINGS = 3
"""How often both clocks are read to tell their difference: the closest pair counts."""
TOLERANCE_NS = 1_000_000
"""Reading two clocks one after the other takes time; a difference below this is none."""


class _Moves:
    """What this process has moved the clock by, in ns in all, and when last (CLOCK_MONOTONIC)."""

    total_ns = 0
    last_ns = 0


def ahead_ns() -> int:
    """CLOCK_REALTIME less CLOCK_MONOTONIC, in nanoseconds."""
    return with_reading()[0]


def with_reading() -> tuple[int, int]:
    """The same, and the CLOCK_REALTIME that was read for it, both in nanoseconds."""
    pairs = []
    for _ in range(READINGS):
        early = time.monotonic_ns()
        realtime = time.clock_gettime_ns(time.CLOCK_REALTIME)
        late = time.monotonic_ns()
        pairs.append((late - early, realtime - (early + late) // 2, realtime))
    _, ahead, realtime = min(pairs)
    return ahead, realtime


def move(by_ns: int) -> None:
    """Set the clock forward, or back where `by_ns` is negative.

    Raises PermissionError where this kernel is no guest's, or does not allow it; OSError where the
    clock cannot show that time.
    """
    if kernel_clock.clock() != "virtual":
        raise PermissionError("the clock of this machine is not the harness's to set")
    now_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)
    time.clock_settime_ns(time.CLOCK_REALTIME, now_ns + by_ns)
    _Moves.total_ns += by_ns
    _Moves.last_ns = time.monotonic_ns()


def moved_ns() -> int:
    """By how much this process has moved the clock in all, in nanoseconds."""
    return _Moves.total_ns


def last_moved_ns() -> int:
    """When this process moved the clock last (CLOCK_MONOTONIC), 0: never."""
    return _Moves.last_ns


@contextmanager
def kept() -> Iterator[None]:
    """After the block a guest's clock is as if nobody had set it, whoever did."""
    before_ns = ahead_ns()
    try:
        yield
    finally:
        off_ns = ahead_ns() - before_ns
        if abs(off_ns) > TOLERANCE_NS:
            move(-off_ns)
