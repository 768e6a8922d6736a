"""The moments that two programs with heartbeats are followed by: pending events, and marks to count
time from.

All are frozen values. A zone (`harness.oracle.difference_bounds`) holds the bounds between them.
"""

from __future__ import annotations

import msgspec

from harness.model.topology import Side


class Event(msgspec.Struct, frozen=True, cache_hash=True):
    """Something that is still to come."""


class TimerExpires(Event, frozen=True, cache_hash=True):
    """The timer that counts a side's misses expires."""

    side: Side


class PingDue(Event, frozen=True, cache_hash=True):
    """A side has written nothing for so long that it sends a heartbeat."""

    side: Side


class Writes(Event, frozen=True, cache_hash=True):
    """A side writes data, for the time numbered so."""

    side: Side
    number: int


class Arrives(Event, frozen=True, cache_hash=True):
    """A message arrives at a side.

    `number` tells messages apart that are on their way at the same time.
    """

    side: Side
    number: int


class Repeats(Event, frozen=True, cache_hash=True):
    """A side's TCP sends again what was lost, and the other side receives it."""

    side: Side


class Begins(Event, frozen=True, cache_hash=True):
    """The disturbance of that number begins."""

    number: int


class Ends(Event, frozen=True, cache_hash=True):
    """The disturbance of that number ends."""

    number: int


class PeerForgets(Event, frozen=True, cache_hash=True):
    """From here on the peer's host answers with RST for sure."""


class FlowExpires(Event, frozen=True, cache_hash=True):
    """The middlebox forgets the flow."""


class Mark(msgspec.Struct, frozen=True, cache_hash=True):
    """A moment that is past, or that stands still: it never comes next."""


class Armed(Mark, frozen=True, cache_hash=True):
    """Arming, from which all times of a scenario count."""


class Now(Mark, frozen=True, cache_hash=True):
    """The event that is being carried out."""


class LastRead(Mark, frozen=True, cache_hash=True):
    """When data last came to the observer's host."""


class Unacknowledged(Mark, frozen=True, cache_hash=True):
    """When a side first sent what has not been acknowledged since."""

    side: Side


class Paused(Mark, frozen=True, cache_hash=True):
    """When a timer of a program that stands still would have expired."""

    timer: TimerExpires | PingDue


Point = Event | Mark
"""Any of these moments."""

ARMED, NOW, LAST_READ = Armed(), Now(), LastRead()
PEER_FORGETS, FLOW_EXPIRES = PeerForgets(), FlowExpires()


def is_of_program(point: Point, side: Side) -> bool:
    """Whether a side's program or its TCP is the source of a moment, so that it never comes once
    the side is gone.
    """
    match point:
        case Paused(timer=timer):
            return timer.side == side
        case TimerExpires() | PingDue() | Writes() | Repeats() | Unacknowledged():
            return point.side == side
        case _:
            return False
