"""Findings of `harness check` for people: a paragraph each, then a line for each connection."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.values import count
from harness.policy.check import Checked, Result
from harness.policy.overview import Figure
from harness.policy.rule import LEVELS, Finding
from harness.policy.words import plain
from harness.system.escapes import in_a_line


def describe(result: Result) -> str:
    """For people."""
    lines = [line for finding in result.findings for line in _paragraph(finding)]
    for each in result.unanswered:
        lines += [f"{each.connection}: {each.rule} cannot be answered: {each.why}", ""]
    table = [*_table(result), ""] if result.checked else []
    return "\n".join([*lines, *table, summary(result)])


def _paragraph(finding: Finding) -> Iterator[str]:
    where = f"{finding.place}: " if finding.place else ""
    yield f"{where}{finding.level} {finding.rule} {finding.connection}: {finding.title}"
    yield f"    expected  {finding.expected}"
    yield f"    found     {finding.found}"
    for each in finding.defaults:
        yield f"    default   {each}"
    yield f"    fix       {finding.fix}"
    yield ""


def _table(result: Result) -> Iterator[str]:
    """A line for each connection: the worst figures, with what is demanded in brackets."""
    rows = [_HEAD, *(_row(one) for one in result.checked)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    for row in rows:
        yield "  ".join(
            f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)
        ).rstrip()


_HEAD = (
    "connection",
    "detected, idle",
    "detected, in flight",
    "without a packet",
    "survives, idle",
    "survives, in flight",
)


def _row(one: Checked) -> tuple[str, ...]:
    name, found = in_a_line(one.connection.name), one.overview
    if found is None:
        return (name, *["?"] * (len(_HEAD) - 1))
    return (
        name,
        _figure(found.idle, "never", "up to "),
        _figure(found.in_flight, "never", "up to "),
        _figure(found.silence, "for ever", "up to "),
        _figure(found.outage, "any outage", ""),
        _figure(found.outage_in_flight, "any outage", ""),
    )


def _figure(figure: Figure, never: str, most: str) -> str:
    found = never if figure.worst_s is None else f"{most}{plain(figure.worst_s)} s"
    if figure.demand_s is None:
        return found
    return f"{found} ({'of' if figure.met else 'NOT'} {plain(figure.demand_s)})"


def summary(result: Result) -> str:
    """How many there are of each, in one line."""
    levels = [each.level for each in result.findings]
    counts = [count(levels.count(level), level) for level in LEVELS]
    suppressed = sum(len(one.suppressed) for one in result.checked)
    counts += [f"{suppressed} suppressed"] if suppressed else []
    counts += [f"{len(result.unanswered)} not answered"] if result.unanswered else []
    more = "; `harness explain ID` says more about a rule" if levels else ""
    return f"{count(len(result.checked), 'connection')}: {', '.join(counts)}{more}"
