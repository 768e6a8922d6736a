"""The matrix of libraries: what was measured against what is documented, as a table, Markdown and
JSON.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from harness.judge.verdict import Verdict
from harness.report import json
from harness.report.documents import FORMAT, Finding, MatrixCell, MatrixReport
from harness.report.text import STYLES
from harness.scenario.suites import FAULT_WORDS, Cell, Suite
from harness.system.escapes import markdown_cell, visible

_LOADS = {
    "idle": "idle",
    "trickle": "a little data now and then",
    "full": "more data than the send buffer holds",
}


def row(suite: Suite, version: str, server: str, cell: Cell, verdict: Verdict) -> MatrixCell:
    """One cell with its verdict."""
    measured_s = None if verdict.detected_ns is None else verdict.detected_ns / 1e9
    return MatrixCell(
        suite=suite.name.rpartition("/")[2],
        library=suite.package,
        version=version,
        server=server,
        fault=cell.fault,
        load=cell.load,
        origin=verdict.origin,
        documents=cell.documents,
        documented_s=cell.documented_s,
        source=cell.source,
        measured_s=measured_s,
        reports=verdict.reports or verdict.errno,
        finding=_finding(cell, verdict, measured_s),
        known=bool(cell.known_failure),
        verdict=verdict.verdict,
        reason=verdict.reason,
    )


def _finding(cell: Cell, verdict: Verdict, measured_s: float | None) -> Finding | None:
    if verdict.verdict == "inconclusive":
        return None
    if cell.documented_s is None:
        return "not promised, not detected" if measured_s is None else "not promised, detected"
    if verdict.outcome == "quiet":
        return "never detected"
    if measured_s is None or measured_s < cell.documented_s[0]:
        return "early"
    return "met" if measured_s <= cell.documented_s[1] + verdict.allowance_ns / 1e9 else "exceeded"


def documented(row: MatrixCell) -> str:
    """What the documentation promises, in words."""
    return (
        "nothing"
        if row.documented_s is None
        else f"{row.documented_s[0]:g} to {row.documented_s[1]:g} s"
    )


def measured(row: MatrixCell) -> str:
    """The time to detect, in words."""
    if row.measured_s is None:
        return "never" if row.finding else "?"
    return f"{row.measured_s:.3f} s"


def judged(row: MatrixCell) -> str:
    """The comparison in words."""
    if row.finding is None:
        return "inconclusive"
    return f"{row.finding} (known)" if row.known else row.finding


def table(rows: Sequence[MatrixCell]) -> Group:
    """For a terminal, with the reason below each cell that is not as it is said to be."""
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("library", "fault", "load", "documented", "measured", "reported as", "finding"):
        shown.add_column(heading, overflow="fold")
    for each in rows:
        cells = (
            f"{each.suite} {each.version}",
            each.fault,
            each.load,
            documented(each),
            measured(each),
        )
        shown.add_row(
            *cells,
            each.reports or "-",
            judged(each),
            style=None if each.verdict == "pass" else "bold",
        )
    wrong = [
        Text(f"{r.suite}/{r.fault}-{r.load}: {r.reason}", STYLES["fail"])
        for r in rows
        if r.verdict != "pass"
    ]
    return Group(shown, *wrong)


def markdown(rows: Sequence[MatrixCell], circumstances: str) -> str:
    """For documentation: a table for each suite, with the circumstances under all of them."""
    lines = [
        "# What client libraries promise, and what they do",
        "",
        _LEGEND.format(circumstances=circumstances),
        "",
    ]
    lines += ["| fault | what happens |", "|---|---|"]
    lines += [f"| {name} | {words} |" for name, words in FAULT_WORDS.items()]
    lines += ["", "| load | what the client sends meanwhile |", "|---|---|"]
    lines += [f"| {name} | {words} |" for name, words in _LOADS.items()]
    for suite in dict.fromkeys(row.suite for row in rows):
        mine = [row for row in rows if row.suite == suite]
        lines += [
            "",
            f"## {suite}: {mine[0].library} {mine[0].version}",
            "",
            f"Server: {mine[0].server}",
            "",
        ]
        lines += [
            "| fault | load | documented | measured | reported as | finding |",
            "|---|---|---|---|---|---|",
        ]
        for row in mine:
            cells = (
                row.fault,
                row.load,
                documented(row),
                measured(row),
                row.reports or "",
                judged(row),
            )
            lines.append(f"| {' | '.join(map(markdown_cell, cells))} |")
        lines += ["", *dict.fromkeys(_promise(row) for row in mine)]
    return visible("\n".join(lines)) + "\n"


_LEGEND = """Made by `harness matrix libraries --markdown`; {circumstances}. Times count
from the fault or, with a firewall, which is there from the beginning, from when the client was
ready. "known": the scenario states what is documented and is marked as a known failure, so that a
fixed version shows up as unexpectedly passing."""


def _promise(row: MatrixCell) -> str:
    return f"- {documented(row)}: {row.documents}" + (f" ({row.source})" if row.source else "")


def as_json(rows: Sequence[MatrixCell], circumstances: str) -> bytes:
    """The document of `harness matrix --json`."""
    report = MatrixReport(format=FORMAT, circumstances=circumstances, cells=tuple(rows))
    return json.indented(report)
