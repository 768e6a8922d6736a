"""The page of `harness check`: findings with their places and fixes, and each connection's figures.

The rules that apply are explained at its end.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from harness.policy import registry
from harness.policy.check import Checked, Result
from harness.policy.overview import Figure
from harness.policy.rule import LEVELS, Finding, Level
from harness.policy.settings import EVERY_HZ
from harness.report import policy_proofs, policy_text
from harness.report.html.page import GridCell, Status, Table
from harness.report.html.render import fill, hides

SYMBOLS: dict[Level, str] = {"error": "✗", "warning": "!", "note": "i"}
"""Beside the colour of each level."""
MEANINGS: dict[Level, str] = {
    "error": "A demand is not met.",
    "warning": "The settings mislead, or are close to missing a demand.",
    "note": "Good to know. It changes no exit status.",
}


class FindingView(msgspec.Struct, frozen=True, kw_only=True):
    """A finding. `rows`: its parts by name."""

    finding: Finding
    symbol: str
    place: str
    rows: tuple[tuple[str, str], ...]


def render(result: Result, *, title: str, command: str, made: str = "") -> str:
    """The page as HTML, complete in one text."""
    views = [_view(each) for each in result.findings]
    found = {each.rule for each in result.findings}
    connections = list(dict.fromkeys(each.connection for each in result.findings))
    return fill(
        "check.html.j2",
        style=_filters(len(connections)),
        title=title,
        command=command,
        made=made,
        notes=(),
        findings=views,
        unanswered=result.unanswered,
        worst=next((each for each in LEVELS if _number(result, each)), "pass"),
        sentence=f"{policy_text.summary(result).partition(';')[0]}.",
        counts=[(each, _number(result, each)) for each in LEVELS],
        symbols=SYMBOLS | {"pass": "✓"},
        meanings=MEANINGS,
        connections=connections,
        connection_of={name: f"c{number}" for number, name in enumerate(connections)},
        tables=tuple(_tables(result)),
        proof_notices=() if result.proofs is None else tuple(policy_proofs.notices(result.proofs)),
        rules=[rule for rule in registry.every_rule().values() if rule.id in found],
    )


def _number(result: Result, level: Level) -> int:
    return sum(each.level == level for each in result.findings)


def _view(finding: Finding) -> FindingView:
    rows = [
        ("expected", finding.expected),
        ("found", finding.found),
        *(("default", str(each)) for each in finding.defaults),
        ("at HZ", "" if finding.hz == EVERY_HZ else ", ".join(map(str, finding.hz))),
        ("fix", finding.fix),
    ]
    return FindingView(
        finding=finding,
        symbol=SYMBOLS[finding.level],
        place="" if finding.place is None else str(finding.place),
        rows=tuple((name, text) for name, text in rows if text),
    )


def _tables(result: Result) -> Iterator[Table]:
    if result.checked:
        yield Table(
            title="When is a dead peer detected, and which outages are survived?",
            columns=policy_text.FIGURES_HEAD,
            rows=tuple(tuple(_figures(one)) for one in result.checked),
            note="Worst figures over all kernels. What is demanded stands in brackets.",
        )
    if result.proofs is not None and result.proofs.proofs:
        yield Table(
            title="Predictions beside measurements",
            columns=policy_proofs.HEAD,
            rows=tuple(row.cells for row in policy_proofs.rows(result.proofs)),
            note="Each prediction was run in virtual time, in a guest with that HZ.",
        )


def _figures(one: Checked) -> Iterator[str | GridCell]:
    """A connection's figures, with a colour where something is demanded."""
    name, *texts = policy_text.figures_row(one)
    yield name
    for text, figure in zip(texts, _in_order(one), strict=True):
        if figure is None or figure.demand_s is None:
            yield text
        else:
            status, symbol = _MET[bool(figure.met)]
            yield GridCell(status=status, symbol=symbol, short=text)


_MET: dict[bool, tuple[Status, str]] = {True: ("good", "✓"), False: ("bad", "✗")}


def _in_order(one: Checked) -> tuple[Figure | None, ...]:
    """The figures in the order of `policy_text.FIGURES_HEAD`."""
    found = one.overview
    if found is None:
        return (None,) * (len(policy_text.FIGURES_HEAD) - 1)
    return (found.idle, found.in_flight, found.silence, found.outage, found.outage_in_flight)


def _filters(connections: int) -> Iterator[str]:
    """Rules that hide the findings which a choice leaves out."""
    for level in LEVELS:
        yield hides(f"#v-{level}:checked", f"[data-v]:not([data-v={level}])")
    for number in range(connections):
        yield hides(f"#connection>[value=c{number}]:checked", f"[data-c]:not([data-c=c{number}])")
