"""What every end of a connection is to the rest of a run, whatever program it is.

And both of them together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from harness.model.topology import SIDES, Side, other
from harness.programs.tcp_endpoint import Emit
from harness.timeline import Event, Timeline

SegmentListener = Callable[[str, int, Mapping[str, Any]], None]
"""Called with (host, CLOCK_MONOTONIC in ns, data of the event) for each segment and ICMP error that
is captured.
"""
ENDS = ("subject.detected", "subject.noticed", "subject.eof")
"""Kinds of events that say that a side has detected the end of the connection."""


class Watched(Protocol):
    """Something with a file descriptor whose readiness is part of the run."""

    watching: bool

    @property
    def mask(self) -> int:
        """The poll events to wake it for; may change by `woken`."""

    def fileno(self) -> int:
        """The descriptor to poll; may change by `woken`."""

    def woken(self, revents: int, at_ns: int) -> None:
        """Called with the poll events and the moment of the wake-up."""


class SubjectLoop(Protocol):
    """What subjects need of the run's event loop."""

    def watch(self, end: Watched) -> None:
        """Serve a subject's descriptor until it wants no more."""

    def on_segment(self, listener: SegmentListener) -> None:
        """Call `listener` for each segment and ICMP error that is captured from now on."""

    def at(self, moment_ns: int, action: Callable[[], object]) -> None:
        """Call `action` at a moment of CLOCK_MONOTONIC, from within `wait`."""

    def wait(self, deadline_ns: int, enough: Callable[[], bool] = ...) -> None:
        """Serve until `enough()` or the deadline (CLOCK_MONOTONIC ns), whichever comes first."""

    def drain(self) -> None:
        """Write down what the captures still hold."""


class ConnectionEnd(Watched, Protocol):
    """One end of the connection. `received`, `written`: octets that count for an echo, in all."""

    received: int
    written: int

    def write(self, size: int) -> object:
        """Write octets without waiting; the end itself says with an event what came of it."""

    def say(self) -> bool:
        """Write a few octets for an echo's sake, without an event; False where it cannot."""

    def shut(self) -> None:
        """Shut the writing direction; the end itself says with an event when."""


class WatchedCommand(Watched, Protocol):
    """A command that runs on a host of the run, be it an end of the connection or not."""

    @property
    def leaves(self) -> bool:
        """Whether it closed the connection before there was a fault, and has not ended yet."""

    def check_alive(self) -> None:
        """Raise SubjectError where it has ended."""

    def look_back(self) -> None:
        """Write down what is left of it, where nothing is claimed of it."""


class WatchedConnection:
    """Both ends of a connection, what is to be polled, and by side how it was detected that it
    ended.
    """

    def __init__(self, ends: dict[Side, ConnectionEnd], notices: Notices) -> None:
        self.ends, self.noticed, self._commands = ends, notices.noticed, notices.commands

    def look(self) -> None:
        """See to it that the commands' last lines, and their ends, are known by now.

        Raises SubjectError.
        """
        for command in self._commands:
            command.woken(0, time.monotonic_ns())

    def look_back(self) -> None:
        """Write down what is left of the commands of which nothing is claimed."""
        for command in self._commands:
            command.look_back()

    @property
    def has_ended(self) -> bool:
        """Whether both ends have: programs that ended, and built-in ones that saw the end."""
        return not any(end.watching for end in self.ends.values())

    @property
    def is_left(self) -> bool:
        """Whether a command closed the connection before there was a fault, and has not ended
        yet.
        """
        return any(command.leaves for command in self._commands)

    @property
    def echoed(self) -> bool:
        """Whether all that was written on either side has come to the client, whose own comes back
        as an echo.
        """
        return self.ends["client"].received == sum(end.written for end in self.ends.values()) != 0

    @property
    def echo_is_over(self) -> bool:
        """Whether there is nothing more to wait for: all has come back, or the client's end has
        ended.
        """
        return self.echoed or "client" in self.noticed


class Notices:
    """Writes the events of both ends into the timeline, and knows who has detected that the
    connection is over.
    """

    def __init__(self, timeline: Timeline, acted: Callable[[], bool] = lambda: False) -> None:
        """`acted`: whether one of the faults that are in place already has acted by now."""
        self.timeline, self._acted = timeline, acted
        self._in_place = len(timeline.events)
        self.noticed: dict[Side, Event] = {}
        self.commands: list[WatchedCommand] = []
        self.ready_ns = 0
        """When the last end so far got ready, or was armed (CLOCK_MONOTONIC)."""

    def is_ready(self, at_ns: int) -> None:
        """An end got ready at that moment (CLOCK_MONOTONIC)."""
        self.ready_ns = max(self.ready_ns, at_ns)

    def noticed_ns(self, side: Side) -> int | None:
        """When that side detected the end of the connection (CLOCK_MONOTONIC), None where it has
        not.
        """
        event = self.noticed.get(side)
        return None if event is None else event.t_ns + self.timeline.opened_ns

    @property
    def injected(self) -> bool:
        """Whether a fault was injected since both ends are being started, or one from before that
        has acted.
        """
        since = self.timeline.events[self._in_place :]
        return any(event.kind == "fault.injected" for event in since) or self._acted()

    def emitter(self, side: Side) -> Emit:
        """For the end of that side."""

        def emit(kind: str, at_ns: int | None = None, **data: object) -> None:
            event = self.timeline.add(kind, side, at_ns=at_ns, side=side, **data)
            if kind in ENDS:
                self.noticed.setdefault(side, event)
            elif kind == "subject.armed":
                self.is_ready(event.t_ns + self.timeline.opened_ns)

        return emit

    def teller(self, who: str) -> Emit:
        """For a command that is neither end."""

        def emit(kind: str, at_ns: int | None = None, **data: object) -> None:
            self.timeline.add(kind, who, at_ns=at_ns, side=who, **data)

        return emit


def observed_last(judged: Sequence[Side]) -> tuple[Side, Side]:
    """Both sides, in the order in which they are armed: a judged one last, of both the client."""
    assert judged[0] in SIDES
    return other(judged[0]), judged[0]
