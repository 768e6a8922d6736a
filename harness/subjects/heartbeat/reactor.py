"""Descriptors and timers behind one descriptor, which is readable when any of them is due: epoll(7)
with a timerfd.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from typing import Protocol

from harness.system.file_descriptors import raised
from harness.system.timerfd import Alarm

EDGES = select.EPOLLIN | select.EPOLLPRI | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
"""Edge-triggered: told once of each change, after which all there is must be read."""
_NEVER_NS = 1 << 62
Ready = Callable[[int, int], None]
"""Called with the poll events and the moment of the wake-up."""
Due = Callable[[int], None]
"""Called with the moment of the wake-up."""


class Pollable(Protocol):
    """Anything with a descriptor."""

    def fileno(self) -> int:
        """The descriptor."""


class Reactor:
    """Calls whoever a descriptor or a moment belongs to; never waits itself.

    What has come is served before timers.
    """

    def __init__(self) -> None:
        with select.epoll() as low:
            self._epoll = select.epoll.fromfd(raised(os.dup(low.fileno())))
        self._alarm = Alarm()
        self._epoll.register(self._alarm.fileno(), select.EPOLLIN)
        self._ready: dict[int, Ready] = {}
        self._due_ns: dict[Due, int] = {}

    def fileno(self) -> int:
        """The descriptor to poll for reading."""
        return self._epoll.fileno()

    def add(self, what: Pollable, ready: Ready) -> None:
        """Call `ready` at each edge from now on, and at once for what there is already."""
        self._ready[what.fileno()] = ready
        self._epoll.register(what.fileno(), EDGES)

    def again(self, what: Pollable) -> None:
        """Tell of what there is as if it had just come."""
        self._epoll.modify(what.fileno(), EDGES)

    def again_all(self) -> None:
        """The same for every descriptor."""
        for descriptor in self._ready:
            self._epoll.modify(descriptor, EDGES)

    def remove(self, what: Pollable) -> None:
        """Forget a descriptor, before it is closed."""
        if self._ready.pop(what.fileno(), None) is not None:
            self._epoll.unregister(what.fileno())

    def at(self, due: Due, due_ns: int | None) -> None:
        """Call `due` once, at that moment of the monotonic clock, in place of what was set for it.

        None: not at all.
        """
        if due_ns is None:
            self._due_ns.pop(due, None)
        else:
            self._due_ns[due] = due_ns
        self._set_alarm()

    def serve(self, at_ns: int) -> None:
        """Call whoever is to be called now."""
        for descriptor, revents in self._epoll.poll(0):
            ready = self._ready.get(descriptor)
            if ready is not None:
                ready(revents, at_ns)
        for due in [due for due, due_ns in self._due_ns.items() if due_ns <= at_ns]:
            if (
                self._due_ns.get(due, _NEVER_NS) <= at_ns
            ):  # not where one before it has changed that
                del self._due_ns[due]
                due(at_ns)
        self._set_alarm()

    def close(self) -> None:
        """Give the descriptors back."""
        self._alarm.close()
        self._epoll.close()

    def _set_alarm(self) -> None:
        self._alarm.set(min(self._due_ns.values(), default=_NEVER_NS))
