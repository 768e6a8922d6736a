"""The ladder figure: hosts are vertical lines, time runs downward, each segment is an arrow from
the moment at which it was sent to the moment at which it was received.

Rows are in the order of time and about equally far apart; a gap between two of them says how long
it is. A segment that never arrived ends in a cross.
"""

from __future__ import annotations

from collections import Counter
from xml.etree import ElementTree as ET

from harness.model.values import count
from harness.report.figure import svg
from harness.report.figure.contents import Contents
from harness.report.figure.crossings import Crossing
from harness.report.figure.ladder_rows import Elision, Note, Row, rows_of
from harness.report.figure.words import ROLES, dropped_at, duration, spelled, way_of

WIDTH = 800.0
FIRST, LAST = 118.0, 690.0
"""Where the lines of client and server are."""
TIME = 76.0
"""The right end of the times."""
ROW, SLOPE = 23.0, 7.0
GAP_NS = 10_000_000
"""Between rows that are further apart, the time between them is told."""
FOLDED_NS = 300_000_000_000
"""And the lines are broken where it is more than this."""
GAP, FOLD = 15.0, 26.0
HALF_BAND = 11.0


def picture(contents: Contents, ident: str) -> ET.Element:
    """The figure as an `<svg>` element with the class `kh-ladder`.

    `ident`: what the ids in it begin with.
    """
    return _Drawing(contents, ident).picture


class _Drawing:
    """One figure, drawn from top to bottom."""

    def __init__(self, contents: Contents, ident: str) -> None:
        self.contents = contents
        title = (
            f"Ladder diagram of {contents.plan.name}: segments between {', '.join(contents.hosts)}"
        )
        self.picture = svg.root(WIDTH, 0, "kh-ladder", ident, title)
        step = (LAST - FIRST) / max(len(contents.hosts) - 1, 1)
        self.x = {host: FIRST + number * step for number, host in enumerate(contents.hosts)}
        self.bands = svg.group(self.picture, "bands")
        self.lines = svg.group(self.picture, "grid")
        self.arrows = svg.group(self.picture, "arrows")
        self.body = svg.group(self.picture, "body")
        self.times = svg.group(self.picture, "times small time")
        self.labels = svg.group(self.picture, "labels small halo")
        self.y, self.at_ns, self.told = 0.0, contents.from_ns, ""
        self.started: dict[int, tuple[float, bool]] = {}
        self._head()
        self.top = self.y
        self.on: dict[int, float] = {}
        rows = rows_of(contents)
        for place, row in enumerate(rows):
            self._row(row, rows[place + 1] if place + 1 < len(rows) else None)
        self.y += 12
        self._frame()
        self.picture.set("viewBox", f"0 0 {svg.number(WIDTH)} {svg.number(self.y + 4)}")

    def _head(self) -> None:
        origin = self.contents.origin
        caption = f"Time runs downward, in seconds after {origin}; not to scale."
        unseen = {c.seen.peer for c in self.contents.crossings if c.unknown}
        if unseen:
            names = " and ".join(host for host in self.contents.hosts if host in unseen)
            caption += f" Dashed: whether and when the {names} received or sent it is not known."
        self.y = 14
        svg.text(self.body, 0, self.y, caption, "small muted")
        for host, dropped in self.contents.not_captured.items():
            self.y += 15
            missed = (
                f"{count(dropped, 'frame')} at the {host} did not fit into the capture's buffer."
            )
            svg.text(self.body, 0, self.y, missed, "small muted")
        self.y += 22
        for host, x in self.x.items():
            svg.text(self.body, x, self.y, host, "strong", "middle")
        self.y += 6

    def _frame(self) -> None:
        """The hosts' lines, and the bands of faults beside them."""
        for x in self.x.values():
            svg.line(self.lines, x, self.top, x, self.y, "host")
        for fault in self.contents.faults:
            top = self.on.pop(fault.index, None)
            if top is not None:
                self._band(fault.index, top, self.y)

    def _band(self, index: int, top: float, bottom: float) -> None:
        fault = next(each for each in self.contents.faults if each.index == index)
        for host in fault.hosts:
            left = self.x[host] - HALF_BAND
            svg.rect(self.bands, left, top, 2 * HALF_BAND, bottom - top, "fault", fault.label)

    def _row(self, row: Row, after: Row | None) -> None:
        match row.what:
            case Elision() as elision:
                self._elision(elision)
            case Note() as note:
                self._gap(row.t_ns)
                self._note(row, note)
            case Crossing() as crossing if row.arrives:
                self._arrive(row, crossing)
            case Crossing() as crossing:
                self._gap(row.t_ns)
                self._send(row, crossing, after)
        self.at_ns = max(self.at_ns, row.t_ns)

    def _gap(self, t_ns: int) -> None:
        """How long it is since the row before."""
        gap_ns = t_ns - self.at_ns
        if gap_ns < GAP_NS:
            return
        if gap_ns < FOLDED_NS:
            self.y += GAP
            svg.text(self.times, TIME, self.y + 3, f"⋮ {duration(gap_ns)}", "muted")
            return
        self.y += FOLD
        top = self.y - FOLD / 2 + 3
        svg.rect(self.body, FIRST - 16, top - 4, LAST - FIRST + 32, FOLD - 6, "fold")
        for y in (top - 4, top + FOLD - 10):
            teeth = "l8 4l16-8l8 4" * round((LAST - FIRST + 32) / 32)
            svg.path(self.body, f"M{svg.number(FIRST - 16)} {svg.number(y)}{teeth}", "zigzag")
        label = f"folded: {duration(gap_ns)} of silence"
        svg.text(self.body, FIRST + 14, top + 10, label, "small muted halo")
        self.y += 10

    def _time(self, t_ns: int, y: float) -> None:
        """The time at the left, where it is another one than that above it."""
        label = self.contents.seconds(t_ns)
        if label != self.told:
            svg.text(self.times, TIME, y + 4, label)
            self.told = label

    def _elision(self, elision: Elision) -> None:
        roles = Counter(crossing.seen.role for crossing in elision.crossings)
        parts = ", ".join(f"{n} {ROLES.get(role, role)}" for role, n in roles.most_common(3))
        lost = sum(crossing.lost for crossing in elision.crossings)
        missing = f"; {lost} never arrived" if lost else ""
        took = duration(elision.crossings[-1].t_ns - elision.crossings[0].t_ns)
        label = f"… {len(elision.crossings)} segments like these in {took}: {parts}{missing} …"
        self.y += ROW + 4
        svg.text(self.body, FIRST + 14, self.y, label, "small halo")
        self.y += 4

    def _note(self, row: Row, note: Note) -> None:
        self.y += ROW
        self._time(row.t_ns, self.y)
        if note.fault is not None and note.begins:
            self.on[note.fault] = self.y
        elif note.fault is not None:
            self._band(note.fault, self.on.pop(note.fault, self.y), self.y)
        x = self.x.get(note.host or "")
        if x is None:
            svg.line(self.body, FIRST - 16, self.y, LAST + 16, self.y, f"across {note.line}")
            svg.text(self.body, FIRST + 14, self.y + 4, note.text, f"small halo {note.tone}")
            return
        left = x > (FIRST + LAST) / 2
        svg.path(
            self.body,
            f"M{svg.number(x)} {svg.number(self.y - 6)}l6 6-6 6-6-6z",
            f"mark {note.line}",
        )
        at, anchor = (x - 12, "end") if left else (x + 12, "start")
        svg.text(self.body, at, self.y + 4, note.text, f"small strong halo {note.tone}", anchor)

    def _send(self, row: Row, crossing: Crossing, after: Row | None) -> None:
        """An arrow begins, and ends at once unless something else comes before its arrival."""
        self.y += ROW
        self._time(row.t_ns, self.y)
        direct = after is not None and after.arrives and after.what is crossing
        self.started[id(crossing)] = (self.y, direct)
        if crossing.received is None or crossing.sent is None:
            self._arrow(crossing, self.y, self.y + SLOPE)
            self.y += SLOPE

    def _arrive(self, row: Row, crossing: Crossing) -> None:
        start = self.started.get(id(crossing))
        if start is None:
            return
        delay_ns = row.t_ns - crossing.t_ns
        self.y += SLOPE if start[1] and delay_ns < GAP_NS else ROW
        if delay_ns >= GAP_NS:
            self._time(row.t_ns, self.y)
        self._arrow(crossing, start[0], self.y)

    def _arrow(self, crossing: Crossing, top: float, bottom: float) -> None:
        contents, way = self.contents, way_of(crossing, self.contents)
        met = dropped_at(crossing, contents) if crossing.lost else None
        right = crossing.toward == "server"
        sign = 1 if right else -1
        from_x, to_x = self.x[way[0]], self.x[way[-1]]
        if crossing.lost:
            to_x, bottom = _stop(from_x, to_x, met and self.x[met[0]]), top + SLOPE * 0.7
        role = crossing.seen.role
        sure = " unsure" if crossing.unknown or crossing.again else ""
        coloured = {"syn": "", "syn-ack": "", "ack": ""}.get(role, f" {role}")
        head = "" if crossing.lost else f"m{-7 * sign} -5l{7 * sign} 5l{-7 * sign} 3"
        d = f"M{svg.number(from_x)} {svg.number(top)}L{svg.number(to_x)} {svg.number(bottom)}{head}"
        svg.path(self.arrows, d, f"mark{coloured} arrow{sure}")
        if crossing.lost:
            d = f"M{svg.number(to_x - 5)} {svg.number(bottom - 5)}l10 10m0-10l-10 10"
            svg.path(self.arrows, d, "lost cross")
        self._label(crossing, from_x + 14 * sign, top - 5, "start" if right else "end")

    def _label(self, crossing: Crossing, x: float, y: float, anchor: str) -> None:
        """What it is, at its sender, and what became of it."""
        label = svg.text(self.labels, x, y, spelled(crossing.seen), "", anchor)
        more, tone = "", "muted"
        if crossing.lost:
            met = dropped_at(crossing, self.contents)
            more = f"✕ never arrives: {met[1].kind} on {met[0]}" if met else "✕ never arrives"
            tone = "of-loss"
        elif crossing.again:
            more = "a second copy"
        elif crossing.sent is None and not crossing.unknown:
            more = f"sent by {way_of(crossing, self.contents)[0]}"
        elif crossing.sent is not None and crossing.received is not None:
            delay_ns = crossing.received.t_ns - crossing.sent.t_ns
            more = f"arrives {duration(delay_ns)} later" if delay_ns >= GAP_NS else ""
        if more:
            ET.SubElement(label, "tspan", {"class": tone, "dx": "6"}).text = more


def _stop(from_x: float, to_x: float, met_x: float | None) -> float:
    """Where the arrow of a lost segment ends: short of the host that dropped it, or midway."""
    sign = 1 if to_x > from_x else -1
    if met_x is None:
        return (from_x + to_x) / 2
    return from_x + 26 * sign if met_x == from_x else met_x - 8 * sign if met_x == to_x else met_x
