"""The timeline figure: time runs to the right, one row each for faults, and for each end's
segments, output, windows and detection.

Every row has its name at the left, every window and moment its times in figures beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree as ET

from harness.model.topology import SIDES, Side
from harness.report.figure import marks, svg
from harness.report.figure.axis import FOLD_WIDTH, Axis
from harness.report.figure.contents import Contents, FaultSpan, Moment, Window
from harness.report.figure.words import SIGNS, duration, role_of, told

WIDTH = 800.0
LEFT, RIGHT = 112.0, 776.0
ROW = 21.0
BAR = 12.0
MARKS_APART = 8.0
LEAST_WIDTH = 4.0
"""Pixels: a window is never narrower, however short."""
MOST_WINDOWS = 4
"""So many windows of one kind have a row of their own; further ones share one."""
_SIGNS = {"pass": "✓", "fail": "✗", "inconclusive": "?"}


def picture(contents: Contents, ident: str) -> ET.Element:
    """The figure as an `<svg>` element with the class `kh-timeline`.

    `ident`: what the ids in it begin with.
    """
    return _Drawing(contents, ident).picture


class _Drawing:
    """One figure, drawn from top to bottom."""

    def __init__(self, contents: Contents, ident: str) -> None:
        self.contents = contents
        self.axis = Axis(_moments_of(contents), LEFT, RIGHT)
        title = f"Timeline of {contents.plan.name}, in seconds after {contents.origin}"
        self.picture = svg.root(WIDTH, 0, "kh-timeline", ident, title)
        self.grid = svg.group(self.picture, "grid")
        self.body = svg.group(self.picture, "body")
        self.folds = svg.group(self.picture, "folds")
        self.labels = svg.group(self.picture, "labels")
        self.y = 0.0
        self._head()
        top = self.y
        for row in _fault_rows(contents.faults):
            self._faults(row)
        for kind in contents.never_injected:
            label = f"{kind}: never injected"
            svg.text(self.labels, LEFT, self._row("fault"), label, "small of-fault halo")
        for side in SIDES:
            self._end(side)
        if any(moment.side not in SIDES for moment in contents.moments):
            self._program("proxy")
        self._frame(top)
        self._legend()
        self.picture.set("viewBox", f"0 0 {svg.number(WIDTH)} {svg.number(self.y)}")

    def _head(self) -> None:
        """Which time is where: ticks, their origin, and what is folded away."""
        ends = -1000.0
        for fold in self.axis.folds:
            label = f"folded: {duration(fold.length_ns)} of silence"
            half = svg.width_of(label) / 2
            x = min(max(fold.left + FOLD_WIDTH / 2, LEFT + half), RIGHT - half)
            if x - half < ends or not self.y:
                self.y += 15
            ends = x + half + 8
            svg.text(self.body, x, self.y, label, "small muted", "middle")
        self.y += 16
        svg.text(self.body, 0, self.y, "seconds after", "small muted")
        svg.text(self.body, 0, self.y + 13, self.contents.origin, "small muted")
        for x, label in self.axis.ticks(self.contents.zero_ns):
            svg.text(self.body, x, self.y, label, "small time", "middle")
        self.y += 20

    def _frame(self, top: float) -> None:
        """Lines behind everything at round seconds and at time 0, and folds on top of it."""
        d = "".join(
            f"M{svg.number(x)} {svg.number(top - 14)}V{svg.number(self.y)}"
            for x, _ in self.axis.ticks(self.contents.zero_ns)
        )
        svg.path(self.grid, d)
        if self.axis.from_ns <= self.contents.zero_ns <= self.axis.until_ns:
            x = self.axis.x(self.contents.zero_ns)
            svg.line(self.grid, x, top - 14, x, self.y, "zero")
        for fold in self.axis.folds:
            group = self.folds
            svg.rect(group, fold.left, top - 14, FOLD_WIDTH, self.y - top + 14, "fold")
            for x in (fold.left, fold.left + FOLD_WIDTH):
                teeth = "l4 6l-8 12l4 6" * round((self.y - top + 14) / 24)
                svg.path(group, f"M{svg.number(x)} {svg.number(top - 14)}{teeth}", "zigzag")

    def _row(self, name: str, classes: str = "") -> float:
        """Begin a row; its base line."""
        self.y += ROW
        svg.text(self.body, 10, self.y - 6, name, classes)
        return self.y - 6

    def _heading(self, name: str, more: str) -> None:
        self.y += 6
        svg.line(self.grid, 0, self.y, RIGHT, self.y, "")
        self.y += 18
        head = svg.text(self.body, 0, self.y - 4, name, "strong halo")
        note = ET.SubElement(head, "tspan", {"class": "muted", "dx": "6", "font-weight": "400"})
        note.text = more

    def _faults(self, faults: list[FaultSpan]) -> None:
        self.y += 14 if len(faults) > 1 else 0
        base = self._row("fault")
        axis, seconds = self.axis, self.contents.seconds
        for fault in faults:
            left = axis.x(fault.from_ns)
            right = RIGHT if fault.until_ns is None else axis.x(fault.until_ns)
            until = "" if fault.until_ns is None else f", removed at {seconds(fault.until_ns)} s"
            tip = f"{fault.label}, injected at {seconds(fault.from_ns)} s{until}"
            if fault.found:
                tip += f"; evidence: {fault.found}"
            svg.rect(self.body, left, base - 11, max(right - left, 2), 15, "fault", tip)
        first, last = faults[0], faults[-1]
        label = first.label + (", from the start" if first.standing else "")
        left = axis.x(first.from_ns)
        if len(faults) == 1:
            right = RIGHT if first.until_ns is None else axis.x(first.until_ns)
            self._beside(base, left, right, label, "small of-fault halo", inside=True)
        else:
            right = axis.x(last.until_ns or last.from_ns)
            label = f"{label}, {len(faults)} times"
            svg.text(self.labels, left, base - 15, label, "small of-fault halo")

    def _beside(
        self,
        base: float,
        left: float,
        right: float,
        label: str,
        classes: str,
        *,
        inside: bool = False,
    ) -> None:
        """A text at a bar: in it, to its right or its left, or over it where there is no room."""
        width = svg.width_of(label)
        if inside and width + 10 <= right - left:
            svg.text(self.labels, left + 6, base, label, classes)
        elif right + 8 + width <= WIDTH:
            svg.text(self.labels, right + 8, base, label, classes)
        elif left - 8 - width >= LEFT:
            svg.text(self.labels, left - 8, base, label, classes, "end")
        else:
            svg.text(self.labels, max(left + 6, LEFT), base, label, classes)

    def _end(self, side: Side) -> None:
        contents = self.contents
        verdict = contents.judged.get(side)
        judged = "nothing claimed" if contents.claims_nothing else "not judged"
        if verdict is not None and not contents.claims_nothing:
            judged = f"judged: {verdict.verdict}"
        self._heading(side, judged)
        top = self.y
        base = self._row("sends")
        self._due(base, contents.probe_windows.get(side, ()))
        self._segments(base, side, "out")
        self._segments(self._row("receives"), side, "in")
        self._program(side)
        for kind in ("predicted", "claimed"):
            self._windows([w for w in contents.windows if (w.side, w.kind) == (side, kind)])
        self._outcomes(side, top)

    def _due(self, base: float, windows: Iterable[tuple[int, int]]) -> None:
        """When the oracle expects probes."""
        shapes = []
        for low, high in windows:
            if low <= self.axis.until_ns:
                left = self.axis.x(low)
                width = max(self.axis.x(high) - left, LEAST_WIDTH)
                start, end = svg.number(left), svg.number(left + width)
                shapes.append(f"M{start} {svg.number(base - 13)}H{end}v19H{start}z")
        if shapes:
            svg.path(
                self.body,
                "".join(shapes),
                "due",
                "when the oracle expects a probe or a retransmission",
            )

    def _segments(self, base: float, side: Side, way: str) -> None:
        sent = way == "out"
        group = svg.group(self.body, f"{side} {'sent' if sent else 'received'}")
        found = []
        for crossing in self.contents.crossings:
            captured = crossing.sent if sent else crossing.received
            if captured is None or captured.host != side or (sent and crossing.again):
                continue
            tip = told(crossing, self.contents)
            if not sent and crossing.sent is not None:
                when = self.contents.seconds(captured.t_ns)
                tip = f"{when} s: the {side} receives {role_of(captured)}"
            found.append(marks.Mark(self.axis.x(captured.t_ns), captured.role, tip))
        marks.draw_row(group, marks.clusters(found), base - 4)

    def _program(self, side: str) -> None:
        """What the program of an end wrote and printed, and that it ended."""
        shown = [m for m in self.contents.moments if m.side == side and m.kind in marks.PROGRAM]
        if not shown:
            return
        base = self._row("program" if side in SIDES else f"{side}'s program")
        free, group = -10.0, svg.group(self.body, f"{side} program")
        for moment in sorted(shown, key=lambda moment: moment.t_ns):
            x = self.axis.x(moment.t_ns)
            if x - free >= 5:
                verb = "prints: " if moment.kind == "printed" else ""
                tip = f"{self.contents.seconds(moment.t_ns)} s: the {side} {verb}{moment.what}"
                marks.of_program(group, x, base - 5, moment.kind, tip)
                free = x

    def _windows(self, windows: list[Window]) -> None:
        rows = [[w] for w in windows[:MOST_WINDOWS]]
        if len(windows) > MOST_WINDOWS:
            rows[-1] = windows[MOST_WINDOWS - 1 :]
        seconds = self.contents.seconds
        for row in rows:
            base = self._row(row[0].kind)
            for window in row:
                left = self.axis.x(window.from_ns)
                width = max(self.axis.x(window.until_ns) - left, LEAST_WIDTH)
                times = f"{seconds(window.from_ns)} to {seconds(window.until_ns)} s"
                label = f"{window.what} {times}".strip()
                svg.rect(
                    self.body, left, base - 10, width, BAR, window.kind, f"{window.kind}: {label}"
                )
                if len(row) == 1:
                    self._beside(base, left, left + width, label, "small halo")
            if len(row) > 1:
                left = min(self.axis.x(w.from_ns) for w in row)
                right = max(self.axis.x(w.until_ns) for w in row)
                self._beside(base, left, right, f"{len(row)} further windows", "small halo")

    def _outcomes(self, side: Side, top: float) -> None:
        """What was detected, and what came after it, each with a line up to the end's first row."""
        rows: dict[tuple[str, str], list[Moment]] = {}
        for moment in self.contents.moments:
            if moment.side == side and moment.kind in _NAMES:
                rows.setdefault((moment.kind, moment.how), []).append(moment)
        for (kind, how), moments in rows.items():
            self._outcome(moments, self._row(SIGNS.get(how, _NAMES[kind])), top)
        kinds, contents = {kind for kind, _ in rows}, self.contents
        alone = contents.claims_recovery.get(side)
        if side in contents.judged and not kinds & {"detected", "sign"}:
            self._nothing(side, "detected", judged=not contents.claims_nothing and not alone)
        if alone is not None and "recovered" not in kinds:
            self._nothing(side, _NAMES["recovered"], judged=alone)

    def _nothing(self, side: Side, row: str, *, judged: bool) -> None:
        """A row in which nothing happened; `judged`: the verdict is about that."""
        verdict = self.contents.judged[side].verdict
        ended = self.contents.ended_ns is not None
        until = "the end of the watch" if ended else "the run stopped"
        sign, tone = (f"{_SIGNS[verdict]} ", f" of-{verdict}") if judged else ("", "")
        label = f"{sign}nothing, until {until}"
        svg.text(self.labels, LEFT, self._row(row), label, f"small halo{tone}")

    def _outcome(self, moments: list[Moment], base: float, top: float) -> None:
        """Moments of one kind: a mark for each, and the first one in words."""
        first, number = moments[0], svg.number
        x, name = self.axis.x(first.t_ns), first.verdict
        svg.path(self.body, f"M{number(x)} {number(top + 4)}V{number(base - 10)}", f"stem {name}")
        right = x
        for moment in moments:
            at = self.axis.x(moment.t_ns)
            if moment is first or at - right >= MARKS_APART:
                tip = f"{self.contents.seconds(moment.t_ns)} s, {moment.side}: {moment.what}"
                d = f"M{number(at)} {number(base - 11)}l6 11h-12z"
                svg.path(self.body, d, f"mark {moment.verdict}", tip)
                right = at
        sign = f"{_SIGNS[name]} " if name else ""
        label = f"{sign}{first.what} {self.contents.seconds(first.t_ns)} s"
        label += f", and {len(moments) - 1} more" if len(moments) > 1 else ""
        of = f" of-{name}" if name else ""
        self._beside(base, x - 4, right + 4, label, f"small strong halo{of}")

    def _legend(self) -> None:
        """The marks that occur, with their names."""
        contents = self.contents
        roles = marks.in_order(
            captured.role
            for crossing in contents.crossings
            for captured in (crossing.sent, crossing.received)
            if captured is not None
        )
        kinds = {moment.kind: 0 for moment in contents.moments if moment.kind in marks.PROGRAM}
        lows = [low for windows in contents.probe_windows.values() for low, _ in windows]
        due = bool(lows) and min(lows) <= self.axis.until_ns
        self.y = marks.legend(self.body, roles, kinds, self.y + 22, RIGHT, due=due)


_NAMES = {
    "detected": "detected",
    "sign": "sign",
    "reconnected": "reconnected",
    "recovered": "recovers",
}
"""The rows of what an end detected, by kind."""


def _moments_of(contents: Contents) -> Iterable[int]:
    """All moments that the axis has to show."""
    found = [contents.from_ns, contents.zero_ns]
    found += [] if contents.ended_ns is None else [contents.ended_ns]
    for crossing in contents.crossings:
        found += [c.t_ns for c in (crossing.sent, crossing.received) if c is not None]
    for window in contents.windows:
        found += [window.from_ns, window.until_ns]
    for fault in contents.faults:
        found += [t for t in (fault.from_ns, fault.until_ns) if t is not None]
    found += [moment.t_ns for moment in contents.moments]
    return [max(t_ns, contents.from_ns) for t_ns in found]


def _fault_rows(faults: Iterable[FaultSpan]) -> list[list[FaultSpan]]:
    """Faults of one kind in one place share a row, as those of a link that flaps."""
    rows: dict[tuple[str, tuple[str, ...]], list[FaultSpan]] = {}
    for fault in faults:
        rows.setdefault((fault.kind, fault.hosts), []).append(fault)
    return list(rows.values())
