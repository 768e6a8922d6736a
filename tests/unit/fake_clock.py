"""A clock that stands still until somebody waits, and descriptors that become readable."""

from __future__ import annotations

import heapq
import itertools
import select
from collections.abc import Callable

from harness.system.monotonic import Poller

STARTS_NS = 400_000_000_000
"""Where a fake clock begins: a moment at which a plan may begin in virtual time, too."""


class FakeClock:
    """Time passes where it is waited for, and where a fake says how long its work takes."""

    def __init__(self) -> None:
        self._now_ns = STARTS_NS
        self._due: list[tuple[int, int, Callable[[], object]]] = []
        self._tie = itertools.count()
        self.readable: set[int] = set()
        """Descriptors at which something has come."""
        self.pollers: list[FakePoller] = []

    def now_ns(self) -> int:
        """The present moment."""
        return self._now_ns

    def sleep_until(self, moment_ns: int) -> None:
        """Let time pass; what is due on the way happens."""
        while self._happens_by(moment_ns):
            pass
        self._now_ns = max(self._now_ns, moment_ns)

    def takes(self, duration_ns: int) -> None:
        """The caller's work takes so long."""
        self.sleep_until(self._now_ns + duration_ns)

    def at(self, moment_ns: int, action: Callable[[], object]) -> None:
        """Something happens in the world at that moment."""
        heapq.heappush(self._due, (moment_ns, next(self._tie), action))

    def poller(self) -> Poller:
        """A new one, which waits by this clock."""
        self.pollers.append(FakePoller(self))
        return self.pollers[-1]

    def wait_until(self, moment_ns: int, ready: Callable[[], bool]) -> None:
        """Let time pass until something is ready, at most until that moment."""
        while not ready() and self._happens_by(moment_ns):
            pass
        if not ready():
            self._now_ns = max(self._now_ns, moment_ns)

    def _happens_by(self, moment_ns: int) -> bool:
        """Whether something was due by that moment; the first of it has happened then."""
        if not self._due or self._due[0][0] > moment_ns:
            return False
        due_ns, _, action = heapq.heappop(self._due)
        self._now_ns = max(self._now_ns, due_ns)
        action()
        return True


class FakePoller:
    """Knows which descriptors it was asked to look for; reports those of `FakeClock.readable`."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.asked: dict[int, int] = {}
        self.closed = False

    def register(self, descriptor: int, mask: int) -> None:
        """Look for a descriptor."""
        self.asked[descriptor] = mask

    def unregister(self, descriptor: int) -> None:
        """Look for it no more. Raises KeyError."""
        del self.asked[descriptor]

    def ready(self) -> list[tuple[int, int]]:
        """Those at which something has come, in the order of their numbers."""
        found = sorted(self.asked.keys() & self._clock.readable)
        return [(each, select.POLLIN) for each in found if self.asked[each] & select.POLLIN]

    def poll(self, until_ns: int) -> list[tuple[int, int]]:
        """The same, after waiting for it."""
        self._clock.wait_until(until_ns, lambda: bool(self.ready()))
        return self.ready()

    def close(self) -> None:
        """It waits no more."""
        self.closed = True
