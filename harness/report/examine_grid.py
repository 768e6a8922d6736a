"""An examination as the matrix view of an HTML page: a row for each fault and load, a column for
each end.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.examine.findings import CellReport, Examination, Grade
from harness.model.topology import SIDES, Side
from harness.report import examine_words as words
from harness.report.html.page import Grid, GridCell, Status

STATUSES: dict[Grade, Status] = {
    "good": "good",
    "bad": "bad",
    "unknown": "unknown",
    "none": "plain",
}
_SYMBOLS: dict[Grade, str] = {"good": "✓", "bad": "✗", "unknown": "?", "none": "·"}
_LEGEND: tuple[tuple[Grade, str], ...] = (
    ("good", "detected, survived or recovered"),
    ("bad", "never detected, not recovered, or a false alarm"),
    ("unknown", "could not be examined"),
    ("none", "struck by the fault itself"),
)


def grid(found: Examination, runs: Mapping[str, int]) -> Grid:
    """The matrix. `runs`: the number of each cell's run on the page, by the cell's name."""
    return Grid(
        rows=tuple(
            f"{each.words} ({each.load})" if each.load else each.words for each in found.cells
        ),
        columns=tuple(f"the {side}" for side in SIDES),
        cells=tuple(
            tuple(_cell(each, side, runs.get(each.name)) for side in SIDES) for each in found.cells
        ),
        caption="what each end did under each fault",
        corner="fault",
        legend=tuple((STATUSES[grade], _SYMBOLS[grade], text) for grade, text in _LEGEND),
    )


def _cell(cell: CellReport, side: Side, run: int | None) -> GridCell:
    end = cell.end(side)
    return GridCell(
        status=STATUSES[end.grade],
        symbol=_SYMBOLS[end.grade],
        short=_short(cell, side),
        text=words.end(cell, side),
        run=run,
    )


def _short(cell: CellReport, side: Side) -> str:
    end = cell.end(side)
    if end.finding == "detected" and end.sign is not None:
        return f"{end.sign.how} {end.sign.at_s:.1f} s"
    return {
        "never": "never",
        "false-alarm": "false alarm",
        "unaffected": "goes on",
        "struck": "struck",
    }.get(end.finding, "?")
