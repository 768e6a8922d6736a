"""The matrix view of client libraries: a row for each library and load, a column for each fault."""

from __future__ import annotations

from collections.abc import Sequence

from harness.report.documents import Finding, MatrixCell
from harness.report.html.page import Grid, GridCell, Status
from harness.report.library_matrix import documented, judged, measured

_LOOKS: dict[Finding | None, tuple[Status, str]] = {
    "met": ("good", "✓"),
    "exceeded": ("bad", "✗"),
    "early": ("bad", "✗"),
    "never detected": ("bad", "✗"),
    "not promised, detected": ("plain", "·"),
    "not promised, not detected": ("warning", "∞"),
    None: ("unknown", "?"),
}
"""Colour and symbol of each finding."""
_LEGEND: tuple[tuple[Status, str, str], ...] = (
    ("good", "✓", "as documented"),
    ("bad", "✗", "not as documented: too late, too early or never"),
    ("plain", "·", "detected, though nothing is documented"),
    ("warning", "∞", "never detected, and nothing is documented"),
    ("unknown", "?", "inconclusive"),
)


def grid(rows: Sequence[MatrixCell]) -> Grid:
    """The cells of the matrix. Row N is of result N."""
    names = list(dict.fromkeys(_name(row) for row in rows))
    faults = list(dict.fromkeys(row.fault for row in rows))
    cells = {(_name(row), row.fault): _cell(number, row) for number, row in enumerate(rows)}
    return Grid(
        rows=tuple(names),
        columns=tuple(faults),
        cells=tuple(tuple(cells.get((name, fault)) for fault in faults) for name in names),
        caption="time to detect each fault",
        corner="library, load",
        legend=_LEGEND,
    )


def _name(row: MatrixCell) -> str:
    return f"{row.suite} {row.version}, {row.load}"


def _cell(number: int, row: MatrixCell) -> GridCell:
    status, symbol = _LOOKS[row.finding]
    said = f"documented: {documented(row)}; measured: {measured(row)}; {judged(row)}"
    short = "no verdict" if row.finding is None else measured(row)
    return GridCell(status=status, symbol=symbol, short=short, text=said, run=number)
