"""The marks of segments: a shape and a colour for each role, and one bar for many. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from xml.etree import ElementTree as ET

from harness.report.figure import svg
from harness.report.figure.words import ROLES

_CIRCLE = "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z"
_SQUARE = "m-4-4h8v8h-8z"
_SHAPES = {
    "probe": _CIRCLE,
    "answer": _CIRCLE,
    "data": _SQUARE,
    "retransmit": "m0-5l5 9h-10z",
    "syn": "m-4-5l9 5-9 5z",
    "syn-ack": "m-4-5l9 5-9 5z",
    "fin": "m0-6l5 6-5 6-5-6z",
    "rst": "m-4-4l8 8m0-8l-8 8",
    "icmp": "m0-6v7m0 3v2",
    "ack": "m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0z",
}
PROGRAM = {
    "printed": ("m-3-5h7v5h-4l-3 4z", "program prints"),
    "wrote": ("m-4-4h8l-4 8z", "program writes"),
    "shut": ("m-2-5v9m4-9v9", "program ends its writing"),
    "ended": ("m-3-5h7v9h-7z", "program ends"),
    "restarted": ("m-3-5l7 5-7 5z", "program is started again"),
}
"""The shape of what a program did, and its name in the legend."""
_HOLLOW = frozenset({"answer", "syn-ack"})
_TELLING = ("rst", "icmp", "syn", "syn-ack", "fin", "retransmit", "probe", "data", "answer", "ack")
"""Where several marks share a place, the first of these is the one to see."""
APART = 9.0
"""Pixels between two marks, at least; what is closer is one mark with its number."""
MOST = 48
"""So many marks of a row, at most."""
ROOM = 22.0
"""Pixels to the next mark that a number needs."""
_LONE = 4.0
"""Marks that span no more than this are one place."""


class Mark(NamedTuple):
    """A segment at a place; `told`: what its tip says."""

    x: float
    role: str
    told: str


class Cluster(NamedTuple):
    """Marks with no room between them."""

    marks: tuple[Mark, ...]

    @property
    def left(self) -> float:
        """Where the first is."""
        return self.marks[0].x

    @property
    def right(self) -> float:
        """Where the last is."""
        return self.marks[-1].x

    @property
    def role(self) -> str:
        """The role that it shows."""
        return min((mark.role for mark in self.marks), key=_rank)

    @property
    def told(self) -> str:
        """What its tip says: how many of which, or the only one's own words."""
        if len(self.marks) == 1:
            return self.marks[0].told
        roles = Counter(mark.role for mark in self.marks)
        parts = [f"{n} {ROLES.get(role, role)}" for role, n in roles.most_common()]
        first, last = self.marks[0].told.partition(":")[0], self.marks[-1].told.partition(":")[0]
        return f"{first} to {last}: {len(self.marks)} segments ({', '.join(parts)})"


def clusters(marks: Iterable[Mark]) -> list[Cluster]:
    """Marks in the order of their places, those together that are too close to be told apart.

    Where there are more than `MOST` of them, also those that are further from each other.
    """
    ordered = sorted(marks, key=lambda mark: mark.x)
    apart, found = APART, _closer(ordered, APART)
    while len(found) > MOST:
        apart *= 2
        found = _closer(ordered, apart)
    return found


def _closer(ordered: Iterable[Mark], apart: float) -> list[Cluster]:
    """Marks that are not so far from the one before them are of one cluster."""
    found: list[list[Mark]] = []
    for mark in ordered:
        if found and mark.x - found[-1][-1].x < apart:
            found[-1].append(mark)
        else:
            found.append([mark])
    return [Cluster(tuple(some)) for some in found]


def draw_row(parent: ET.Element, found: Sequence[Cluster], y: float) -> None:
    """All clusters of a row."""
    for place, cluster in enumerate(found):
        room = found[place + 1].left - cluster.right if place + 1 < len(found) else ROOM
        _draw(parent, cluster, y, numbered=room >= ROOM)


def _draw(parent: ET.Element, cluster: Cluster, y: float, *, numbered: bool) -> None:
    """One mark, with a number where it stands for several; a bar where they span some time."""
    many = len(cluster.marks)
    if cluster.right - cluster.left <= _LONE:
        shape(parent, (cluster.left + cluster.right) / 2, y, cluster.role, cluster.told)
        if many > 1 and numbered:
            svg.text(parent, cluster.right + 6, y - 4, str(many), "small muted")
        return
    left, width = cluster.left - 4, cluster.right - cluster.left + 8
    svg.rect(parent, left, y - 5, width, 10, f"mark many {_main(cluster.marks)}", cluster.told)
    label = str(many)
    middle = left + width / 2
    if width > svg.width_of(label):
        svg.text(parent, middle, y + 4, label, "small halo", "middle")


def shape(parent: ET.Element, x: float, y: float, role: str, told: str = "") -> None:
    """The mark of a role."""
    hollow = " hollow" if role in _HOLLOW else ""
    coloured = {"syn": "", "syn-ack": "", "ack": ""}.get(role, f" {role}")
    d = f"M{svg.number(x)} {svg.number(y)}{_SHAPES.get(role, _CIRCLE)}"
    svg.path(parent, d, f"mark{coloured}{hollow}", told)


def of_program(parent: ET.Element, x: float, y: float, kind: str, told: str = "") -> None:
    """The mark of something that a program did."""
    svg.path(parent, f"M{svg.number(x)} {svg.number(y)}{PROGRAM[kind][0]}", "mark", told)


def legend(
    parent: ET.Element,
    roles: Iterable[str],
    kinds: Iterable[str],
    y: float,
    right: float,
    *,
    due: bool,
) -> float:
    """What marks mean, in as many lines as it takes; returns where it ends."""
    group = svg.group(parent, "legend")
    entries = [(role, ROLES.get(role, role)) for role in roles]
    entries += [(kind, PROGRAM[kind][1]) for kind in kinds]
    entries += [("due", "expected to be sent")] if due else []
    x = 10.0
    for name, words in entries:
        if x + 16 + svg.width_of(words) > right:
            x, y = 10.0, y + 17
        if name == "due":
            svg.rect(group, x - 5, y - 12, 10, 16, "due")
        elif name in PROGRAM:
            of_program(group, x, y - 4, name)
        else:
            shape(group, x, y - 4, name)
        svg.text(group, x + 10, y, words, "small muted")
        x += 26 + svg.width_of(words)
    return y + 10


def in_order(roles: Iterable[str]) -> list[str]:
    """Roles as a legend lists them."""
    return sorted(set(roles), key=_rank)


def _rank(role: str) -> int:
    return _TELLING.index(role) if role in _TELLING else len(_TELLING)


def _main(marks: Sequence[Mark]) -> str:
    """The role of most of them."""
    return Counter(mark.role for mark in marks).most_common(1)[0][0]
