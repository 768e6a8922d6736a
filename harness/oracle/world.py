"""Two programs with heartbeats and what lies between them, as values: what never changes, and what an event changes.

`harness.oracle.scene` carries out one event, `harness.oracle.beating` follows them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from harness.lab.topology import Side, other
from harness.oracle.prediction import OutcomeKind

Kind = Literal["beat", "answer", "data", "fin"]
Ending = Literal["", "forgot", "closed", "reset", "frozen", "deaf"]
Window = tuple[int, int]


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """When one side sends a heartbeat and when it gives up.

    The first miss comes `first_ns` after what started the timer, further ones `next_ns` later; the one after `misses`
    is the end, up to `slack_ns` late by design. `beats`: each other miss sends a heartbeat. `restarts`: all that comes
    starts the timer anew, else heartbeats alone set the count back and nothing the timer. `writing_restarts`: so does
    data that it writes. `ping_ns`: it also sends a heartbeat so long after it last wrote anything.
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


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happens to the path or to the peer, from a moment on, and maybe until another one.

    `cuts`: whose segments vanish. `unsettled_ns`: so long after each of its ends it is not known yet. `own`: those are
    lost in a host of its own, whose repetitions keep other times.
    """

    from_ns: int
    until_ns: int | None = None
    unsettled_ns: int = 0
    cuts: frozenset[Side] = frozenset()
    own: frozenset[Side] = frozenset()
    ending: Ending = ""


class World(msgspec.Struct, frozen=True, kw_only=True):
    """All that does not change. Nanoseconds; moments count from arming, the observer's.

    `late_ns`: how late a program wakes up, and how long it takes, `flight_ns`: a segment. `begun_ns`: how much sooner
    or later than arming timers may have started. `delay_ns`: how late things happen. `patience_ns`: how long TCP goes
    on with data that is not acknowledged, at least. `box_ns`, `box_resets`: a middlebox that forgets the flow after so
    long, and then answers with RST.
    """

    observer: Side
    rules: Mapping[Side, Rules]
    happenings: tuple[Happening, ...]
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
    """How it may end: after arming, and after the last data that came to the observer's host, where any did."""

    kind: OutcomeKind
    errno: str | None = None
    window_ns: Window | None = None
    since_read_ns: Window | None = None
    why: str = ""


class End(msgspec.Struct, frozen=True, kw_only=True):
    """A side's state. `waiting`: what came while its program did not read; `owed`: what has yet to reach the other."""

    missed: int = 0
    runs: bool = True
    frozen: bool = False
    deaf: bool = False
    waiting: frozenset[Kind] = frozenset()
    owed: frozenset[Kind] = frozenset()


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The discrete part.

    `on`: happenings in force. `flying`: messages by the name of their arrival. `forgot`: whether whoever answers for
    the peer knows nothing of the connection. `parted`: it has given up, and its FIN was lost. `doubled`: segments of
    the peer came twice, so that the wire says less than the program.
    """

    client: End = End()
    server: End = End()
    on: frozenset[int] = frozenset()
    flying: tuple[tuple[str, Side, Kind], ...] = ()
    forgot: Literal["no", "maybe", "yes"] = "no"
    box_gone: bool = False
    parted: bool = False
    doubled: bool = False

    def end(self, side: Side) -> End:
        """A side's part of it."""
        return self.client if side == "client" else self.server


ARMED = "~armed"
READ = "~read"
NOW = "~now"
BOX = "box"
"""Names of moments: those with a tilde are past, or stand still, the others are pending events."""
BOX_SLACK_NS = 60_000_000
"""Connection tracking counts from the last ACK, which comes so long after a message at most (TCP_DELACK_MIN, 40 ms)."""
