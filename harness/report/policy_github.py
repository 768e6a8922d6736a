"""Findings of `harness check` as annotations of GitHub Actions, and as a step's summary."""

from __future__ import annotations

from collections.abc import Iterator

from harness.policy.check import Result
from harness.policy.proof import Proofs
from harness.policy.rule import Finding, Level
from harness.report import policy_proofs
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
    proofs = [] if result.proofs is None else [*_of_proofs(result.proofs)]
    return "\n".join([*shown, *unanswered, *proofs, *more, summary(result)])


def table(result: Result, command: str = "harness check") -> str:
    """All findings, in Markdown, with what found them."""
    lines = [f"### {command}: {summary(result)}", ""]
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
    if result.proofs is not None:
        lines += ["", *_table_of_proofs(result.proofs)]
    return "\n".join(lines) + "\n"


def _of_proofs(proofs: Proofs) -> Iterator[str]:
    """An error where the oracle is refuted, a warning for what is not proven."""
    level = "error" if proofs.having("refuted") else "warning"
    told = list(policy_proofs.notices(proofs))
    if told:
        yield f"::{level} title=harness check --prove::{_data('; '.join(told))}"


def _table_of_proofs(proofs: Proofs) -> Iterator[str]:
    for number, cells in enumerate(policy_proofs.markdown(proofs)):
        yield f"| {' | '.join(map(markdown_cell, cells))} |"
        if number == 0:
            yield "|---" * len(cells) + "|"
    yield ""
    yield from (f"- {markdown_cell(each)}" for each in policy_proofs.notices(proofs))


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
