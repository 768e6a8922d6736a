"""The kinds of events in a timeline, each with the type of its data.

`harness.judge.facts` reads those that the judge needs, and `harness schema timeline` prints all of
them as JSON Schema. `harness.timeline` writes events without these types, so that a guest, where
imports are slow, does without them; the tests hold the events of all runs against them.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from harness.model import subject_events as subject
from harness.model.subject_events import OPTIONAL, Nanoseconds
from harness.model.topology import LabKind

Index = Annotated[int, msgspec.Meta(ge=0)]


class Opened(msgspec.Struct, frozen=True):
    """The first event: the same moment in two clocks."""

    monotonic_ns: int
    """CLOCK_MONOTONIC: `t_ns` counts from here."""
    realtime_ns: int
    """CLOCK_REALTIME."""
    format: Literal[1] = 1
    """The number of the timeline's format."""


class LabReady(msgspec.Struct, frozen=True):
    """The hosts and their network stand."""

    hosts: tuple[str, ...]
    """The names of the hosts."""
    lab: LabKind
    """How they were made: network namespaces, or containers."""
    took_ns: Nanoseconds
    """How long it took to make them."""


# --- faults --------------------------------------------------------------------------------------


class OfFault(msgspec.Struct, frozen=True, kw_only=True):
    """Something about a fault."""

    index: Index
    """Its place in the scenario, from 0."""
    fault: str = ""
    """Its kind."""


class Change(OfFault, frozen=True, kw_only=True):
    """A fault is injected or removed."""

    took_ns: Nanoseconds
    """How long that took, from this moment on."""


class Injected(Change, frozen=True):
    """A fault was injected."""


class Healed(Change, frozen=True):
    """A fault was removed."""


class Proof(OfFault, frozen=True, kw_only=True):
    """The evidence that a fault left, gathered before it was removed."""

    level: Literal["none", "in-place", "bit"]
    """none: no trace; in-place: it was there; bit: it acted on traffic."""
    found: str
    """The evidence in words."""
    others: int = 0
    """Packets that met the fault and are not of the watched connection."""


# --- packets -------------------------------------------------------------------------------------


class About(msgspec.Struct, frozen=True):
    """The segment that an ICMP error reports on."""

    src: str
    """Source address."""
    sport: int
    """Source port."""
    dst: str
    """Destination address."""
    dport: int
    """Destination port."""
    seq: int
    """Sequence number."""


class CapturedPacket(msgspec.Struct, frozen=True):
    """A TCP segment or an ICMP error, as captured on a host; the time is the kernel's."""

    way: Literal["in", "out"]
    """Whether it came to the host or left it."""
    role: str
    """syn, syn-ack, data, retransmit, ack, probe, answer, fin, rst; icmp: an ICMP error."""
    host: str = ""
    """The host."""
    device: str = ""
    """The network interface."""
    src: str = ""
    """Source address."""
    dst: str = ""
    """Destination address."""
    frame: str = ""
    """The first octets, hexadecimal."""
    wire_length: int = 0
    """Octets of the whole frame."""
    stamped: Annotated[bool, OPTIONAL] = True
    """false: the kernel gave no time, and the event has that of reading the frame."""
    flags: Annotated[str, OPTIONAL] = ""
    """TCP flags, as letters of S, F, R, P, A, U, E, C. Of segments alone."""
    seq: Annotated[int, OPTIONAL] = 0
    """Sequence number. Of segments alone."""
    ack: Annotated[int, OPTIONAL] = 0
    """Acknowledgment number. Of segments alone."""
    length: Annotated[int, OPTIONAL] = 0
    """Octets of data. Of segments alone."""
    sport: Annotated[int, OPTIONAL] = 0
    """Source port. Of segments alone."""
    dport: Annotated[int, OPTIONAL] = 0
    """Destination port. Of segments alone."""
    type: Annotated[int, OPTIONAL] = 0
    """The message's type. Of ICMP errors alone."""
    code: Annotated[int, OPTIONAL] = 0
    """The message's code. Of ICMP errors alone."""
    about: Annotated[About | None, OPTIONAL] = None
    """The segment that it reports on; null if that cannot be read. Of ICMP errors alone."""


class CaptureEnded(msgspec.Struct, frozen=True):
    """The capture on a host, the event's source, has come to its end."""

    dropped: int
    """Frames that did not fit into its buffer."""


# --- the run -------------------------------------------------------------------------------------


class Stalled(msgspec.Struct, frozen=True):
    """The harness did not run though it was to: what came meanwhile is dated when that was over,
    unless the kernel has dated it.
    """

    took_ns: Nanoseconds
    """For how long, from this moment on."""


class Waited(msgspec.Struct, frozen=True):
    """How long a program of the lab waited for a CPU. The source is its host."""

    took_ns: Nanoseconds
    """All its threads together, since both ends were armed or since it was started."""
    program: str = ""
    """The program's name."""


class Ended(msgspec.Struct, frozen=True):
    """The watch was over, and everything had been written down."""

    reason: str = ""
    """Why the watch was over, in words."""


class Broken(msgspec.Struct, frozen=True):
    """The run cannot be judged."""

    error: str
    """Why, in words."""
    traceback: Annotated[str, OPTIONAL] = ""
    """Of a defect of the harness alone."""


KINDS: dict[str, type[msgspec.Struct]] = {
    "opened": Opened,
    "lab.ready": LabReady,
    "subject.listening": subject.Listening,
    "subject.armed": subject.Armed,
    "subject.connected": subject.Connected,
    "subject.detected": subject.Detected,
    "subject.eof": subject.Eof,
    "subject.noticed": subject.GivenUp,
    "subject.sign": subject.Sign,
    "subject.reconnected": subject.Reconnected,
    "subject.beatless": subject.Beatless,
    "subject.printed": subject.Printed,
    "subject.lives": subject.SignOfLife,
    "subject.wrote": subject.Wrote,
    "subject.shut": subject.Shut,
    "subject.echoed": subject.Echoed,
    "subject.alive": subject.Alive,
    "subject.settings": subject.Settings,
    "subject.left": subject.Left,
    "subject.ended": subject.Exited,
    "subject.restarted": subject.Restarted,
    "subject.ready": subject.Ready,
    "fault.injected": Injected,
    "fault.evidence": Proof,
    "fault.healed": Healed,
    "segment": CapturedPacket,
    "capture.ended": CaptureEnded,
    "program.waited": Waited,
    "run.stalled": Stalled,
    "run.ended": Ended,
    "run.broken": Broken,
}
"""The data of each kind of event."""
