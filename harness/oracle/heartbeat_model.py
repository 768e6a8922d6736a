"""Two programs with heartbeats and the path between them, as values: what never changes, and what
an event changes.

`harness.oracle.heartbeat_step` carries out one event, `harness.oracle.heartbeat_search` follows
them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from harness.model.topology import Side, other
from harness.oracle.heartbeat_events import Arrives
from harness.oracle.prediction import OutcomeKind

Kind = Literal["beat", "answer", "data", "fin"]
Ending = Literal["", "forgot", "closed", "reset", "frozen", "not-reading"]
Window = tuple[int, int]


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """When one side sends a heartbeat and when it gives up.

    The first miss comes `first_ns` after the timer was started, further ones `next_ns` later; the
    side gives up at the one after `misses`, up to `slack_ns` late by design. `beats`: each other
    miss sends a heartbeat. `restarts`: all input starts the timer anew; else heartbeats set the
    count back, and no input starts the timer. `writing_restarts`: data that the side writes starts
    it, too. `ping_ns`: it also sends a heartbeat so long after it last wrote anything.
    """

    first_ns: int
    next_ns: int
    misses: int
    slack_ns: int = 0
    beats: bool = False
    restarts: bool = True
    writing_restarts: bool = False
    ping_ns: int | None = None
    why: str = ""


class Disturbance(msgspec.Struct, frozen=True, kw_only=True):
    """What a fault does to the path or to the peer, from `from_ns` on; `until_ns` None: for ever.

    `cuts`: the sides whose segments vanish. `own`: the sides whose own host drops them, and repeats
    them at other times. `unsettled_ns`: for how long after its beginning and after its end its
    effect is not certain. `ending`: what it does to the peer itself.
    """

    from_ns: int
    until_ns: int | None = None
    unsettled_ns: int = 0
    cuts: frozenset[Side] = frozenset()
    own: frozenset[Side] = frozenset()
    ending: Ending = ""


class World(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that does not change. Nanoseconds; moments count from arming, the observer's.

    `late_ns`: how late a program wakes up, and how long it takes; `flight_ns`: how long a segment
    takes. `begun_ns`: how much sooner or later than arming timers may have started. `delay_ns`: how
    late disturbances may be. `patience_ns`: how long TCP goes on with data that is not
    acknowledged, at least. `box_ns`, `box_resets`: a middlebox that forgets the flow after so long,
    and then answers with RST.
    """

    observer: Side
    rules: Mapping[Side, Rules]
    disturbances: tuple[Disturbance, ...]
    writes: Mapping[Side, tuple[int, ...]]
    patience_ns: Mapping[Side, int]
    horizon_ns: int
    late_ns: int = 0
    flight_ns: int = 0
    begun_ns: int = 0
    delay_ns: int = 0
    rtt_ns: int = 0
    box_ns: int | None = None
    box_resets: bool = False

    @property
    def peer(self) -> Side:
        """The other side."""
        return other(self.observer)


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How it may end: after arming, and after the last data that came to the observer's host, where
    any did.
    """

    kind: OutcomeKind
    errno: str | None = None
    window_ns: Window | None = None
    since_read_ns: Window | None = None
    why: str = ""


class SideState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one side.

    `runs`: the program still matters. `frozen`: it stands still; `not_reading`: it goes on and does
    not read. `waiting`: what came meanwhile. `owed`: what was lost and has yet to reach the other
    side.
    """

    missed: int = 0
    runs: bool = True
    frozen: bool = False
    not_reading: bool = False
    waiting: frozenset[Kind] = frozenset()
    owed: frozenset[Kind] = frozenset()


class Message(msgspec.Struct, frozen=True):
    """A message on its way."""

    arrival: Arrives
    kind: Kind


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The discrete part of the state; the other part is a zone.

    `on`: the numbers of the disturbances in force. `forgot`: whether the peer's host, or a
    middlebox in its place, knows nothing of the connection. `box_gone`: the middlebox drops
    everything. `peer_gave_up`: and its FIN was lost. `repeated`: segments of the peer may have come
    twice, so that the last one on the wire is no sign of new data.
    """

    client: SideState = SideState()
    server: SideState = SideState()
    on: frozenset[int] = frozenset()
    flying: tuple[Message, ...] = ()
    forgot: Literal["no", "maybe", "yes"] = "no"
    box_gone: bool = False
    peer_gave_up: bool = False
    repeated: bool = False

    def of(self, side: Side) -> SideState:
        """The state of a side."""
        return self.client if side == "client" else self.server

    def is_flying_to(self, side: Side) -> bool:
        """Whether a message is on its way to a side."""
        return any(message.arrival.side == side for message in self.flying)


BOX_SLACK_NS = 60_000_000
"""Connection tracking counts from the last ACK, which comes so long after a message at most
(TCP_DELACK_MIN, 40 ms).
"""
