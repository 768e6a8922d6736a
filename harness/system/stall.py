"""Times in which this process did not run: stopped, kept from a CPU, or on a machine that stood
still.

Two witnesses. A thread of the process wakes every TICK_NS and sees by CLOCK_MONOTONIC when it woke
late: it did not run since it woke before that. The kernel tells of each thread how long it waited
for a CPU altogether (proc(5), /proc/PID/schedstat). In virtual time neither is needed: a guest's
clock stands still while the guest does.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from harness.system.file_descriptors import raised
from harness.system.priority import urgent
from harness.system.timerfd import sleep_until

TICK_NS = 10_000_000
LEAST_NS = 20_000_000
"""What is shorter is not told of: allowances are larger, and a tick is half of it."""
_MOST = 100_000
_SCHEDSTAT_OCTETS = 100


class Stall(NamedTuple):
    """Moments of CLOCK_MONOTONIC between which nothing was done or seen."""

    from_ns: int
    until_ns: int


class _Watch:
    """The thread that ticks, until nobody needs it any more."""

    def __init__(self) -> None:
        self.users = 0
        self.found: list[Stall] = []
        self.last_ns = time.monotonic_ns()

    def tick(self) -> None:
        """In a thread of its own."""
        with urgent(watches=True):
            while self.users:
                sleep_until(self.last_ns + TICK_NS)
                now_ns = time.monotonic_ns()
                if now_ns - self.last_ns >= LEAST_NS and len(self.found) < _MOST:
                    self.found.append(Stall(self.last_ns, now_ns))
                self.last_ns = now_ns

    def since(self, from_ns: int) -> list[Stall]:
        """All that ended after a moment, also the one that the ticking thread has not come back
        from yet.
        """
        last_ns, now_ns = self.last_ns, time.monotonic_ns()
        found = [each for each in list(self.found) if each.until_ns > from_ns]
        return [*found, Stall(last_ns, now_ns)] if now_ns - last_ns >= LEAST_NS else found


_watch = _Watch()
_lock = threading.Lock()


@contextmanager
def watched() -> Iterator[Callable[[], list[Stall]]]:
    """Watch this process in the block.

    Yields what tells of all that was found since the block began.
    """
    global _watch  # noqa: PLW0603 - one thread for all runs of the process
    with _lock:
        if not _watch.users:
            _watch = _Watch()
        watch = _watch
        watch.users += 1
        if watch.users == 1:
            threading.Thread(target=watch.tick, name="stall", daemon=True).start()
    began_ns = time.monotonic_ns()
    try:
        yield lambda: watch.since(began_ns)
    finally:
        with _lock:
            watch.users -= 1


def waited_ns(folder: str) -> int:
    """How long the threads of a process, by its folder in /proc, have waited for a CPU.

    0 where nothing tells of it.
    """
    waited = 0
    for thread in Path(folder, "task").glob("*/schedstat"):
        with suppress(OSError):
            waited += int(thread.read_bytes().split()[1])
    return waited


class Queueing:
    """How long the thread that made it waits for a CPU; `close` it at the end."""

    def __init__(self) -> None:
        try:
            self._descriptor = raised(
                os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
            )
        except OSError:  # a kernel without CONFIG_SCHED_INFO
            self._descriptor = -1
        self._before_ns = self._waited_ns()

    def waited_ns(self) -> int:
        """Since the last call."""
        before_ns, self._before_ns = self._before_ns, self._waited_ns()
        return self._before_ns - before_ns

    def close(self) -> None:
        """Give the descriptor back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _waited_ns(self) -> int:
        if self._descriptor < 0:
            return 0
        return int(os.pread(self._descriptor, _SCHEDSTAT_OCTETS, 0).split()[1])
