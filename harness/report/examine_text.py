"""An examination on the terminal: a sentence for each end, a table with a row for each cell, and
what changed since a baseline.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.examine.compare import Change, Direction
from harness.examine.findings import CellReport, Examination, Grade
from harness.model.topology import SIDES, Side
from harness.report import examine_words as words
from harness.system.escapes import in_a_line

_STYLES: dict[Grade, str] = {"good": "green", "bad": "bold red", "unknown": "yellow", "none": "dim"}
_DIRECTIONS: dict[Direction, str] = {
    "worse": "bold red",
    "better": "green",
    "different": "yellow",
    "unknown": "yellow",
}


def report(found: Examination) -> Group:
    """The headlines, and the table with the worst cells first."""
    parts: list[RenderableType] = [
        *(Text(words.headline(found, side), "bold") for side in SIDES),
        Text(),
        _table(found),
    ]
    parts += [
        Text(f"{each.name}: {each.trouble}", "yellow") for each in found.cells if each.trouble
    ]
    parts += [Text(f"left out: {name}: {why}", "dim") for name, why in found.left_out]
    parts += [Text(guess, "dim") for guess in found.guesses]
    parts.append(Text(circumstances(found), "dim"))
    return Group(*parts)


def circumstances(found: Examination) -> str:
    """Which clock and kernel, and what times count from."""
    return (
        f"{found.clock} time; seconds after the fault, which was injected when the connection had "
        f"stood for a while; Linux {found.kernel}, HZ={found.hz}"
    )


def _table(found: Examination) -> Table:
    shown = Table(box=None, header_style="bold", pad_edge=False, show_lines=False)
    has_loads = any(cell.load for cell in found.cells)
    shown.add_column("", no_wrap=True)
    shown.add_column("fault", overflow="fold", ratio=3)
    if has_loads:
        shown.add_column("load", no_wrap=True)
    shown.add_column("the client", overflow="fold", ratio=5)
    shown.add_column("the server", overflow="fold", ratio=5)
    for cell in words.worst_first(found):
        load = (Text(cell.load),) if has_loads else ()
        ends = (_end(cell, side) for side in SIDES)
        shown.add_row(_mark(cell), Text(cell.words), *load, *ends)
    return shown


def _mark(cell: CellReport) -> Text:
    grade = words.grade(cell)
    return Text(words.SYMBOLS[grade], _STYLES[grade])


def _end(cell: CellReport, side: Side) -> Text:
    end = cell.end(side)
    text = Text(words.end(cell, side), _STYLES[end.grade] if end.grade != "good" else "")
    details = [
        f"sent {words.effort(end)}" if end.sign is not None and words.effort(end) else "",
        f"left: {words.left(end)}" if words.left(end) else "",
    ]
    for line in filter(None, details):
        text.append(f"\n{line}", "dim")
    return text


def changes(found: Sequence[Change]) -> Group:
    """What changed since the baseline, the worst first."""
    if not found:
        return Group(Text("Nothing changed since the baseline.", "green"))
    order = list(_DIRECTIONS)
    lines = []
    for each in sorted(found, key=lambda change: order.index(change.direction)):
        line = Text.assemble((f"{each.direction:<10}", _DIRECTIONS[each.direction]))
        line.append(f"{each.cell}, {each.side}: {in_a_line(each.is_now)}")
        line.append(f" (was: {in_a_line(each.was)})", "dim")
        lines.append(line)
    counts = ", ".join(
        f"{number} {name}"
        for name in order
        if (number := sum(each.direction == name for each in found))
    )
    return Group(*lines, Text(f"{counts} than in the baseline", "bold"))
