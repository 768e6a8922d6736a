"""What an HTML page shows, as values. `harness.report.html.render` makes the page of them."""

from __future__ import annotations

from typing import Literal

import msgspec

from harness.judge.result import Result

Status = Literal["good", "warning", "bad", "unknown", "plain"]
"""The colour of a cell. The symbol in it says the same to people who do not see colours."""


class GridCell(msgspec.Struct, frozen=True, kw_only=True):
    """A cell of the matrix view.

    `symbol`: one character, which says what the colour says. `short`: a few words or a figure, such
    as "5.1 s". `text`: a sentence, shown when the pointer is on the cell. `run`: the run that the
    cell links to, as an index of `Page.results`.
    """

    status: Status
    symbol: str
    short: str
    text: str = ""
    run: int | None = None


class Grid(msgspec.Struct, frozen=True, kw_only=True):
    """The matrix view: a cell for each row and column, None where nothing was run.

    `caption`: what rows and columns are, such as "fault by load". `corner`: the heading of the
    column of row names. `legend`: what each symbol means, with its status.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[GridCell | None, ...], ...]
    caption: str = ""
    corner: str = ""
    legend: tuple[tuple[Status, str, str], ...] = ()


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Further figures: rows of text, or of cells with a colour, under column names.

    The first cell of a row is its name. `note`: a sentence under the title.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | GridCell, ...], ...]
    note: str = ""


class RunDetail(msgspec.Struct, frozen=True, kw_only=True):
    """What the results do not say of one run.

    `again`: the command line that runs it again, "" where that is not known. `text`: paragraphs
    above the figures, such as what each end did, in words. `scenario`: the scenario's file, to be
    saved by a reader who does not have it; "" where `again` names it.
    """

    again: str = ""
    text: tuple[str, ...] = ()
    scenario: str = ""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page about runs.

    `command`: the command line that made it. `headline`: the result in a sentence, where it is
    another one than how many runs passed. `assumed`: what was taken for granted, in sentences that
    explain how to read the page. `results`: the runs, in the order in which they are
    shown. `grid`: the matrix view, or None. `notes`: sentences under the title. `tables`: further
    figures, shown before the runs. `details`: one for each result, or none at all. `made`: when and
    where, in words.
    """

    title: str
    command: str = ""
    headline: tuple[Status, str] | None = None
    assumed: tuple[str, ...] = ()
    results: tuple[Result, ...] = ()
    grid: Grid | None = None
    notes: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    details: tuple[RunDetail, ...] = ()
    made: str = ""
