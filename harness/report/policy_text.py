"""Findings of `harness check` for people: a paragraph each, then a line for each connection and
each proof.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.model.values import count
from harness.policy.check import Checked, Result
from harness.policy.overview import Figure
from harness.policy.rule import LEVELS, Finding
from harness.policy.words import plain
from harness.report import policy_proofs
from harness.system.escapes import in_a_line, log_line


def describe(result: Result) -> str:
    """For people."""
    table = [*figures(result), ""] if result.checked else []
    proofs = [] if result.proofs is None else [*policy_proofs.text(result.proofs), ""]
    return "\n".join([*paragraphs(result), *table, *proofs, *_advice(result), summary(result)])


def paragraphs(result: Result) -> Iterator[str]:
    """The lines of all findings, and of what cannot be answered."""
    for finding in result.findings:
        yield from paragraph(finding)
    for each in result.unanswered:
        yield log_line(f"{each.connection}: {each.rule} cannot be answered: {each.why}")
        yield ""


def paragraph(finding: Finding) -> Iterator[str]:
    """One finding, and an empty line. No text of a policy begins a line of its own."""
    yield from map(log_line, _parts(finding))
    yield ""


def _parts(finding: Finding) -> Iterator[str]:
    where = f"{finding.place}: " if finding.place else ""
    yield f"{where}{finding.level} {finding.rule} {finding.connection}: {finding.title}"
    yield f"    expected  {finding.expected}"
    yield f"    found     {finding.found}"
    for each in finding.defaults:
        yield f"    default   {each}"
    yield f"    fix       {finding.fix}"


def figures(result: Result) -> Iterator[str]:
    """A line for each connection: the worst figures, with what is demanded in brackets."""
    return columns([FIGURES_HEAD, *(figures_row(one) for one in result.checked)])


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a table, the first of which is its head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row, widths, strict=True)
        yield log_line("  ".join(f"{cell:<{width}}" for cell, width in cells).rstrip())


FIGURES_HEAD = (
    "connection",
    "detected, idle",
    "detected, in flight",
    "without a packet",
    "survives, idle",
    "survives, in flight",
)
"""What the figures of a connection are."""


def figures_row(one: Checked) -> tuple[str, ...]:
    """The cells of a connection, as of `FIGURES_HEAD`."""
    name, found = in_a_line(one.connection.name), one.overview
    if found is None:
        return (name, *["?"] * (len(FIGURES_HEAD) - 1))
    return (
        name,
        figure_cell(found.idle, "never", "up to "),
        figure_cell(found.in_flight, "never", "up to "),
        figure_cell(found.silence, "for ever", "up to "),
        figure_cell(found.outage, "any outage", ""),
        figure_cell(found.outage_in_flight, "any outage", ""),
    )


def figure_cell(figure: Figure, never: str, most: str) -> str:
    """A figure with what is demanded in brackets.

    `never`: in place of a figure that is None. `most`: before another one.
    """
    found = never if figure.worst_s is None else f"{most}{plain(figure.worst_s)} s"
    if figure.demand_s is None:
        return found
    return f"{found} ({'of' if figure.met else 'NOT'} {plain(figure.demand_s)})"


def summary(result: Result) -> str:
    """How many there are of each, in one line."""
    return f"{count(len(result.checked), 'connection')}: {counts(result)}"


_MENDED_BY_SETTINGS = frozenset({"KA001", "KA003", "KA005", "KA009", "KA013", "KA015"})
"""Rules about demands that other settings may meet."""


def _advice(result: Result) -> Iterator[str]:
    """The command that finds settings, where demands are missed."""
    missed = [each for each in result.findings if each.rule in _MENDED_BY_SETTINGS]
    if missed:
        files = dict.fromkeys(each.place.file for each in missed if each.place)
        what = in_a_line(next(iter(files))) if len(files) == 1 else "FILE"
        if not files:  # a side says that the demands are of one connection
            what = f"--side {result.checked[0].connection.terms.side}"
        found = "finds settings, or the demand to give up"
        yield f"`harness suggest {what}` with the same demands {found}"


def counts(result: Result) -> str:
    """How many findings there are of each level, and what else there is."""
    levels = [each.level for each in result.findings]
    parts = [count(levels.count(level), level) for level in LEVELS]
    suppressed = sum(len(one.suppressed) for one in result.checked)
    parts += [f"{suppressed} suppressed"] if suppressed else []
    parts += [f"{len(result.unanswered)} not answered"] if result.unanswered else []
    parts += [policy_proofs.summary(result.proofs)] if result.proofs is not None else []
    more = "; `harness explain ID` says more about a rule" if levels else ""
    return f"{', '.join(parts)}{more}"
