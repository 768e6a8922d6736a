"""Findings of `harness check` as annotations of GitHub Actions, and as a step's summary."""

from __future__ import annotations

from harness.policy.check import Result
from harness.policy.rule import Finding, Level
from harness.report.policy_text import summary
from harness.system.escapes import in_a_line, markdown_cell

MOST = 10
"""GitHub shows so many annotations of a step."""
_COMMANDS: dict[Level, str] = {"error": "error", "warning": "warning", "note": "notice"}


def commands(result: Result) -> str:
    """Workflow commands, the worst findings first, and the counts."""
    shown = [_annotation(each) for each in result.findings[:MOST]]
    left = len(result.findings) - MOST
    more = [f"{left} more findings are in the summary of the step"] if left > 0 else []
    unanswered = [
        f"::warning title={_property(each.rule)}::{_data(f'{each.connection}: cannot be answered: {each.why}')}"  # noqa: E501
        for each in result.unanswered[: max(0, -left)]
    ]
    return "\n".join([*shown, *unanswered, *more, summary(result)])


def table(result: Result) -> str:
    """All findings, in Markdown."""
    lines = [f"### harness check: {summary(result)}", ""]
    if result.findings:
        lines += [
            "| level | rule | connection | place | expected | found | fix |",
            "|---|---|---|---|---|---|---|",
        ]
    for each in result.findings:
        place = str(each.place or "")
        found = "; not stated: ".join([each.found, *map(str, each.defaults)])
        cells = each.level, each.rule, each.connection, place, each.expected, found, each.fix
        lines.append(f"| {' | '.join(map(markdown_cell, cells))} |")
    lines += [
        f"- {markdown_cell(f'{each.connection}: {each.rule}: {each.why}')}"
        for each in result.unanswered
    ]
    return "\n".join(lines) + "\n"


def _annotation(finding: Finding) -> str:
    place = finding.place
    where = f"file={_property(place.file)},line={place.line},col={place.column}," if place else ""
    title = _property(f"{finding.rule} {finding.connection}: {finding.title}")
    return f"::{_COMMANDS[finding.level]} {where}title={title}::{_data(finding.message)}"


def _data(text: str) -> str:
    """As the runner reads it back (actions/toolkit, command.ts)."""
    return in_a_line(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
