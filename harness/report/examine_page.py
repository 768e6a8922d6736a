"""An examination as an HTML page: the headlines, the matrix view, and each run with what both ends
did.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.examine.findings import CellReport, Examination
from harness.judge.result import Result
from harness.model.topology import SIDES
from harness.report import examine_grid, examine_text
from harness.report import examine_words as words
from harness.report.html.page import Page, RunDetail


def page(found: Examination, results: Sequence[Result], *, command: str, made: str) -> Page:
    """The page. `results`: in the order of the cells."""
    runs = {result.plan.name: number for number, result in enumerate(results)}
    left_out = (f"Left out: {name}: {why}." for name, why in found.left_out)
    return Page(
        title=f"What {found.client} and {found.server} do when their peer dies",
        command=command,
        results=tuple(results),
        grid=examine_grid.grid(found, runs),
        notes=(
            *(words.headline(found, side) for side in SIDES),
            f"Times are {examine_text.circumstances(found)}.",
            *(f"{guess[0].upper()}{guess[1:]}." for guess in found.guesses),
            *left_out,
        ),
        details=tuple(_detail(cell) for cell in found.cells),
        made=made,
    )


def _detail(cell: CellReport) -> RunDetail:
    if cell.trouble:
        return RunDetail(text=(cell.trouble,))
    return RunDetail(text=tuple(f"The {side}: {words.end(cell, side)}." for side in SIDES))
