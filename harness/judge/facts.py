"""What the events of a timeline say, as the judge takes them: one type for each kind that it
knows.
"""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeVar

import msgspec

from harness.model.topology import Side

Nanoseconds = Annotated[int, msgspec.Meta(ge=0)]
Index = Annotated[int, msgspec.Meta(ge=0)]
T_co = TypeVar("T_co", covariant=True)


class Armed(msgspec.Struct, frozen=True):
    """A side's options are set.

    The call took `took_ns`, and the kernel had counted its last jiffy `lag_ns` before.
    """

    side: Side
    took_ns: Nanoseconds
    lag_ns: Nanoseconds = 0
    local: tuple[str, int] | None = None
    remote: tuple[str, int] | None = None


class Noticed(msgspec.Struct, frozen=True):
    """A side sees that the connection is over."""

    side: Side


class Detected(Noticed, frozen=True):
    """Its socket has an error, by the errno's name."""

    errno: str


class Eof(Noticed, frozen=True):
    """It has read the end of the stream."""


class GivenUp(Noticed, frozen=True):
    """Its program gives the peer up by itself.

    `found` says how in words, `reports` what a command says of it.
    """

    how: str
    found: str
    reports: str | None = None


class Reconnected(msgspec.Struct, frozen=True):
    """A connection that takes the place of the lost one stands."""

    side: Side


class Alive(msgspec.Struct, frozen=True):
    """Whether data still passed at the end."""

    echo: bool


class SignOfLife(msgspec.Struct, frozen=True):
    """A side's command printed a line that shows that it works."""

    side: Side


class Printed(msgspec.Struct, frozen=True):
    """A line of a command's output.

    `side`: its table in the scenario, which may be in the middle.
    """

    side: str
    line: str


class Wrote(msgspec.Struct, frozen=True):
    """A side wrote data, or could not; the call took `took_ns`."""

    side: Side
    written: bool
    took_ns: Nanoseconds
    lag_ns: Nanoseconds = 0


class Shut(msgspec.Struct, frozen=True):
    """A side shut its writing direction, or could not; the call took `took_ns`."""

    side: Side
    done: bool
    took_ns: Nanoseconds


class OfFault(msgspec.Struct, frozen=True):
    """Something about a fault, by its index in the scenario."""

    index: Index


class Change(OfFault, frozen=True):
    """A fault sets in or wears off, which took `took_ns`."""

    took_ns: Nanoseconds


class Injected(Change, frozen=True):
    """A fault was injected."""


class Healed(Change, frozen=True):
    """A fault was healed."""


class Proof(OfFault, frozen=True):
    """The evidence that a fault left.

    `others`: packets that met it and are not of the watched connection.
    """

    level: Literal["none", "in-place", "bit"]
    found: str
    others: int = 0


class CapturedPacket(msgspec.Struct, frozen=True):
    """A segment, or an ICMP error (which has no flags), as captured on a host."""

    way: Literal["in", "out"]
    role: str
    flags: str = ""
    length: int = 0
    sport: int = 0
    dport: int = 0


class CaptureEnded(msgspec.Struct, frozen=True):
    """How many frames did not fit into a capture's buffer."""

    dropped: int


class Broken(msgspec.Struct, frozen=True):
    """Why a run cannot be judged."""

    error: str


class Stalled(msgspec.Struct, frozen=True):
    """The harness did not run for so long, from this moment on."""

    took_ns: Nanoseconds


class Waited(msgspec.Struct, frozen=True):
    """A program of the lab waited so long for a CPU."""

    took_ns: Nanoseconds


class Ended(msgspec.Struct, frozen=True):
    """The watch was over and everything had been written down."""


KINDS: dict[str, type[msgspec.Struct]] = {
    "subject.armed": Armed,
    "subject.detected": Detected,
    "subject.eof": Eof,
    "subject.noticed": GivenUp,
    "subject.reconnected": Reconnected,
    "subject.alive": Alive,
    "subject.lives": SignOfLife,
    "subject.printed": Printed,
    "subject.wrote": Wrote,
    "subject.shut": Shut,
    "fault.injected": Injected,
    "fault.evidence": Proof,
    "fault.healed": Healed,
    "segment": CapturedPacket,
    "capture.ended": CaptureEnded,
    "run.broken": Broken,
    "run.stalled": Stalled,
    "program.waited": Waited,
    "run.ended": Ended,
}


class Fact(msgspec.Struct, Generic[T_co], frozen=True):
    """One event, checked. `place`: its index in the timeline."""

    place: int
    t_ns: int
    what: T_co
