"""What the events of a timeline say, as the judge takes them: those kinds that it reads."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from harness.model import events
from harness.model.events import (
    Broken,
    CapturedPacket,
    CaptureEnded,
    Change,
    Ended,
    Healed,
    Injected,
    OfFault,
    Proof,
    Stalled,
    Waited,
)
from harness.model.subject_events import (
    Alive,
    Armed,
    Detected,
    Eof,
    Exited,
    GivenUp,
    Noticed,
    Printed,
    Reconnected,
    Shut,
    SignOfLife,
    Wrote,
)

__all__ = [
    "KINDS",
    "Alive",
    "Armed",
    "Broken",
    "CaptureEnded",
    "CapturedPacket",
    "Change",
    "Detected",
    "Ended",
    "Eof",
    "Exited",
    "Fact",
    "GivenUp",
    "Healed",
    "Injected",
    "Noticed",
    "OfFault",
    "Printed",
    "Proof",
    "Reconnected",
    "Shut",
    "SignOfLife",
    "Stalled",
    "Waited",
    "Wrote",
]
_READ = (
    *(Armed, Detected, Eof, GivenUp, Reconnected, Alive, SignOfLife, Printed, Exited),
    *(Wrote, Shut),
    *(Injected, Proof, Healed, CapturedPacket, CaptureEnded, Broken, Stalled, Waited, Ended),
)
KINDS = {kind: what for kind, what in events.KINDS.items() if what in _READ}
"""The type of the data of each kind that the judge reads."""
T_co = TypeVar("T_co", covariant=True)


class Fact(msgspec.Struct, Generic[T_co], frozen=True):
    """One event, checked. `place`: its index in the timeline."""

    place: int
    t_ns: int
    what: T_co
