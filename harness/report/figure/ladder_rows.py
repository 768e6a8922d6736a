"""The rows of a ladder diagram in their order: which segments are shown, and what is between them.

In virtual time many things happen at one moment. So the order is not that of the times alone: each
end's segments stay in the order of its capture, and none arrives before it was sent. Pure.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence

import msgspec

from harness.report.figure.contents import Contents, FaultSpan, Moment
from harness.report.figure.crossings import Crossing
from harness.report.figure.words import SIGNS

MOST_ARROWS = 60
_EDGE = 6
"""So many arrows stay around each thing that happens, at least."""
_SHOWN = {
    "detected": "detects",
    "reconnected": "has a",
    "recovered": "",
    "ended": "",
    "restarted": "",
    "sign": "",
}
"""What moments have a row, and with which verb."""
_MOST_SIGNS = 3
"""So many signs of one kind have a row."""
_RARE = frozenset({"rst", "fin", "icmp"})


class Note(msgspec.Struct, frozen=True):
    """Something other than a segment. `host`: None where it concerns all.

    `fault`: by its index, where one begins or ends. `line`, `tone`: classes of lines and of text.
    """

    text: str
    host: str | None = None
    fault: int | None = None
    begins: bool = False
    line: str = ""
    tone: str = ""


class Elision(msgspec.Struct, frozen=True):
    """Segments that are not shown."""

    crossings: tuple[Crossing, ...]


class Row(msgspec.Struct, frozen=True):
    """One thing at one time. `arrives`: a segment's arrival, which has a row of its own."""

    t_ns: int
    what: Crossing | Note | Elision
    arrives: bool = False


def rows_of(contents: Contents) -> list[Row]:
    """All rows, from top to bottom."""
    shown = _shown(contents)
    notes = sorted(_notes(contents), key=lambda row: row.t_ns)
    return [*_standing(contents), *_elided(_merged(contents.crossings, notes), shown)]


def _merged(crossings: Sequence[Crossing], notes: Sequence[Row]) -> Iterator[Row]:
    """Both ends' captures and the notes in one order."""
    ends: dict[str, list[tuple[int, int, Row]]] = {"client": [], "server": []}
    for crossing in crossings:
        if crossing.sent is not None and not crossing.again:
            row = Row(crossing.sent.t_ns, crossing)
            ends[crossing.sent.host].append((crossing.sent.t_ns, crossing.sent.place, row))
        if crossing.received is not None:
            alone = crossing.sent is None
            row = Row(crossing.received.t_ns, crossing, arrives=not alone)
            ends[crossing.received.host].append(
                (crossing.received.t_ns, crossing.received.place, row)
            )
    queues = [
        deque(row for _, _, row in sorted(found, key=lambda e: e[:2])) for found in ends.values()
    ]
    queues.append(deque(notes))
    sent: set[int] = set()
    while any(queues):
        heads = [queue for queue in queues if queue]
        ready = [queue for queue in heads if _may_come(queue[0], sent)] or heads
        row = min(ready, key=lambda queue: queue[0].t_ns).popleft()
        if isinstance(row.what, Crossing) and not row.arrives:
            sent.add(id(row.what))
        yield row


def _may_come(row: Row, sent: set[int]) -> bool:
    return (
        not row.arrives
        or id(row.what) in sent
        or (isinstance(row.what, Crossing) and row.what.again)
    )


def _elided(rows: Iterator[Row], shown: set[int]) -> Iterator[Row]:
    """The rows, with one in the place of the segments that are not shown."""
    hidden: list[Crossing] = []
    for row in rows:
        if not isinstance(row.what, Crossing) or id(row.what) in shown:
            if hidden and not row.arrives:
                yield Row(hidden[-1].t_ns, Elision(tuple(hidden)))
                hidden = []
            yield row
        elif not row.arrives:
            hidden.append(row.what)
    if hidden:
        yield Row(hidden[-1].t_ns, Elision(tuple(hidden)))


def _shown(contents: Contents) -> set[int]:
    """Which segments have an arrow: those nearest to the beginning and to what happens."""
    crossings = contents.crossings
    if len(crossings) <= MOST_ARROWS:
        return {id(crossing) for crossing in crossings}
    keys = [contents.from_ns, *(row.t_ns for row in _notes(contents))]
    ranks: list[tuple[int, int]] = []
    before = {key: sum(crossing.t_ns < key for crossing in crossings) for key in set(keys)}
    for place, crossing in enumerate(crossings):
        rank = min(at - place if place < at else place - at + 1 for at in before.values())
        if crossing.seen.role in _RARE and rank > _EDGE:
            rank = max(_EDGE, rank // 4)
        ranks.append((rank, place))
    return {id(crossings[place]) for _, place in sorted(ranks)[:MOST_ARROWS]}


def _standing(contents: Contents) -> Iterator[Row]:
    """Faults that were in place before anything was sent."""
    for fault in contents.faults:
        if fault.standing:
            text = f"fault in place from the start: {fault.label}"
            note = _of_fault(text, fault, begins=True)
            yield Row(contents.from_ns, note)


def _notes(contents: Contents) -> Iterator[Row]:
    """Faults, what the ends detected, time 0 and the end of the run."""
    if contents.origin == "arming":
        yield Row(contents.zero_ns, Note("arming: both ends are ready, time 0"))
    for fault in contents.faults:
        if not fault.standing:
            text = f"fault injected: {fault.label}"
            yield Row(fault.from_ns, _of_fault(text, fault, begins=True))
        if fault.until_ns is not None:
            text = f"fault removed: {fault.label}"
            yield Row(fault.until_ns, _of_fault(text, fault, begins=False))
    signs = Counter[tuple[str, str]]()
    exits = {moment.side for moment in contents.moments if moment.how == "exit"}
    for moment in contents.moments:
        if moment.kind == "ended" and moment.side in exits:
            continue
        signs[moment.side, moment.how] += bool(moment.how)
        if moment.kind in _SHOWN and signs[moment.side, moment.how] <= _MOST_SIGNS:
            yield Row(moment.t_ns, _of_moment(moment))
    if contents.ended_ns is not None:
        yield Row(contents.ended_ns, Note("end of the run"))


def _of_fault(text: str, fault: FaultSpan, *, begins: bool) -> Note:
    return Note(text, fault=fault.index, begins=begins, line="fault", tone="of-fault")


def _of_moment(moment: Moment) -> Note:
    verb = _SHOWN[moment.kind]
    text = f"{moment.side} {verb} {moment.what}" if verb else f"{moment.side}: {moment.what}"
    if moment.kind == "sign":
        text = f"{moment.side} {SIGNS.get(moment.how, moment.how)}: {moment.what}"
    tone = f"of-{moment.verdict}" if moment.verdict else ""
    return Note(text, moment.side, line=moment.verdict, tone=tone)
