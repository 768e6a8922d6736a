"""CLOCK_MONOTONIC as a run needs it: read it, sleep until a moment of it, poll until one.

A timeline has such a clock, and the runner of the same run uses that one. Tests give it another
one. What watches programs (subjects) reads the real one.
"""

from __future__ import annotations

import select
import time
from typing import Protocol

from harness.system.timerfd import Alarm, sleep_until


class Poller(Protocol):
    """Waits for descriptors, as select.poll does, but until a moment of its clock."""

    def register(self, descriptor: int, mask: int) -> None:
        """Look for these poll events of a descriptor; replaces the events asked for before."""

    def unregister(self, descriptor: int) -> None:
        """Look for nothing of a descriptor any more. Raises KeyError."""

    def ready(self) -> list[tuple[int, int]]:
        """The descriptors that are ready now, each with its poll events."""

    def poll(self, until_ns: int) -> list[tuple[int, int]]:
        """Wait until a descriptor is ready, at most until that moment; then as `ready`."""

    def close(self) -> None:
        """Give back what it holds; the descriptors stay open."""


class MonotonicClock(Protocol):
    """What tells a run the time, in nanoseconds from an origin that never changes."""

    def now_ns(self) -> int:
        """The present moment."""

    def sleep_until(self, moment_ns: int) -> None:
        """Wait until that moment, not at all where it is past."""

    def poller(self) -> Poller:
        """A new one, which waits by this clock; `close` it at the end."""


class KernelClock:
    """CLOCK_MONOTONIC of this kernel."""

    def now_ns(self) -> int:
        """The present moment."""
        return time.monotonic_ns()

    def sleep_until(self, moment_ns: int) -> None:
        """Wait until that moment, not at all where it is past."""
        sleep_until(moment_ns)

    def poller(self) -> Poller:
        """A new one, which waits to the nanosecond."""
        return _KernelPoller()


class _KernelPoller:
    """poll(2), with a timer among its descriptors (see `timerfd`), made at the first `poll`."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._alarm: Alarm | None = None

    def register(self, descriptor: int, mask: int) -> None:
        self._poll.register(descriptor, mask)

    def unregister(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)

    def ready(self) -> list[tuple[int, int]]:
        return self._poll.poll(0)

    def poll(self, until_ns: int) -> list[tuple[int, int]]:
        if self._alarm is None:
            self._alarm = Alarm()
            self._poll.register(self._alarm.fileno(), select.POLLIN)
        self._alarm.set(until_ns)
        return self._poll.poll()

    def close(self) -> None:
        if self._alarm is not None:
            self._poll.unregister(self._alarm.fileno())
            self._alarm.close()
            self._alarm = None
