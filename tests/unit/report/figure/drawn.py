"""What tests of figures share: runs made by hand with both ends' captures, and pictures as
trees.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from xml.etree import ElementTree as ET

from harness.judge.result import Result
from harness.judge.verdict import judge
from harness.model.topology import Side, other
from harness.plan.plan import Plan
from harness.report.figure.svg import NAMESPACE, width_of
from harness.timeline import Event
from tests.unit.timelines import at

PORTS = (40000, 7000)
SMALL = 11 / 12
"""The size of small text, compared with the ordinary one."""


def result(plan: Plan, events: Sequence[Event]) -> Result:
    """A run with its verdict."""
    return Result(plan=plan, events=tuple(events), verdict=judge(plan, events))


class Sent(NamedTuple):
    """A segment from `side`, sent at `at_ns` after arming; `took_ns` None: it never arrives."""

    at_ns: int
    side: Side
    role: str
    took_ns: int | None = 50_000
    flags: str = "A"
    seq: int = 1
    length: int = 0
    stamp: int | None = None
    ports: tuple[int, int] = PORTS
    """The client's and the server's port, as the sender has them."""
    translated: tuple[int, int] | None = None
    """The same, as the receiver has them, where a NAT changes them."""


def both_ends(*segments: Sent) -> list[Event]:
    """The captures of segments at both ends."""
    events = []
    for s in segments:
        events.append(at(s.at_ns, "segment", s.side, way="out", **_data(s, s.side, s.ports)))
        if s.took_ns is not None:
            far, ports = other(s.side), s.translated or s.ports
            events.append(at(s.at_ns + s.took_ns, "segment", far, way="in", **_data(s, far, ports)))
    return events


def _data(s: Sent, host: Side, ports: tuple[int, int]) -> dict[str, object]:
    sport, dport = ports if s.side == "client" else ports[::-1]
    common = {"host": host, "device": "eth0", "role": s.role, "flags": s.flags, "seq": s.seq}
    frame = "" if s.stamp is None else _frame(s, sport, dport).hex()
    return {**common, "ack": 9, "length": s.length, "sport": sport, "dport": dport, "frame": frame}


def _frame(s: Sent, sport: int, dport: int) -> bytes:
    """An IPv6 frame, whose only difference from another of its kind is the timestamp."""
    options = b"\x01\x01\x08\x0a" + struct.pack("!II", s.stamp or 0, 0)
    tcp = struct.pack("!HHIIBBHHH", sport, dport, s.seq, 9, 8 << 4, 16, 502, sport, 0) + options
    return (
        bytes(12) + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(tcp), 6, 64) + bytes(32) + tcp
    )


def parsed(picture: str) -> ET.Element:
    """A picture as a tree, without its namespace."""
    root = ET.fromstring(picture)  # noqa: S314 - our own
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{NAMESPACE}}}")
    return root


def of_class(root: ET.Element, *classes: str, tag: str | None = None) -> list[ET.Element]:
    """The elements that have all of some classes."""
    return [
        element
        for element in root.iter(tag)
        if set(classes) <= set(element.get("class", "").split())
    ]


def tips(root: ET.Element) -> list[str]:
    """What pointers show on marks."""
    return [element.text or "" for element in root.iter("title")]


def texts(root: ET.Element) -> list[str]:
    """All lines of text."""
    return [" ".join(element.itertext()) for element in root.iter("text")]


class Box(NamedTuple):
    """Where a text may be, at most."""

    left: float
    top: float
    right: float
    bottom: float
    words: str

    def meets(self, other: Box) -> bool:
        """Whether both share some room."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom


def boxes(root: ET.Element, inherited: tuple[str, ...] = ()) -> Iterator[Box]:
    """The room of all lines of text."""
    for element in root:
        classes = (*inherited, *element.get("class", "").split())
        if element.tag == "text":
            yield _box(element, classes)
        else:
            yield from boxes(element, classes)


def _box(element: ET.Element, classes: tuple[str, ...]) -> Box:
    words = " ".join(element.itertext())
    size = SMALL if "small" in classes else 16 / 12 if "title" in classes else 1.0
    width = width_of(words) * size
    x, y = float(element.get("x", 0)), float(element.get("y", 0))
    anchor = element.get("text-anchor", "end" if "times" in classes else "start")
    left = {"start": x, "middle": x - width / 2, "end": x - width}[anchor]
    return Box(left, y - 8, left + width, y + 2, words)


def overlaps(root: ET.Element) -> list[tuple[str, str]]:
    """Texts that may lie on each other."""
    found = list(boxes(root))
    return [
        (one.words, two.words)
        for place, one in enumerate(found)
        for two in found[place + 1 :]
        if one.meets(two)
    ]
