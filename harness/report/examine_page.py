"""An examination as an HTML page: the headlines, the matrix view, and each run with what both ends
did.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.examine.findings import CellReport, Examination
from harness.judge.result import Result
from harness.model.topology import SIDES, Side
from harness.report import examine_grid, examine_text
from harness.report import examine_words as words
from harness.report.html.page import Page, RunDetail


def page(found: Examination, results: Sequence[Result], *, command: str, made: str) -> Page:
    """The page. `results`: in the order of the cells."""
    runs = {result.plan.name: number for number, result in enumerate(results)}
    left_out = (f"Left out: {name}: {why}." for name, why in found.left_out)
    worst = min((words.grade(cell) for cell in found.cells), key=words.ORDER.__getitem__)
    return Page(
        title=f"What {found.client} and {found.server} do when their peer dies",
        command=command,
        headline=(
            examine_grid.STATUSES[worst],
            " ".join(words.headline(found, side) for side in SIDES),
        ),
        results=tuple(results),
        grid=examine_grid.grid(found, runs),
        notes=(f"Times are {examine_text.circumstances(found)}.", *left_out),
        assumed=tuple(f"{guess[0].upper()}{guess[1:]}." for guess in found.guesses),
        details=tuple(_detail(cell) for cell in found.cells),
        made=made,
    )


def _detail(cell: CellReport) -> RunDetail:
    if cell.trouble:
        return RunDetail(text=(cell.trouble,))
    return RunDetail(text=tuple(_told(cell, side) for side in SIDES))


def _told(cell: CellReport, side: Side) -> str:
    end = cell.end(side)
    sent = f" It sent {words.effort(end)}." if end.sign is not None and words.effort(end) else ""
    return f"The {side}: {words.end(cell, side)}.{sent}"
