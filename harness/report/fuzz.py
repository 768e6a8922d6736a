"""Differential testing for people and their scripts: how it goes, and one screen at its end.

Or JSON.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from harness.fuzz.campaign import COMES, Comes, Disagreement, Tally
from harness.report import json, text
from harness.report.documents import FORMAT, FuzzCounts, FuzzDisagreement, FuzzReport
from harness.scenario.toml_writer import as_toml

REASONS_SHOWN = 5
UNJUDGED_SHOWN = 5


def describe(tally: Tally, wall_s: float) -> Iterator[RenderableType]:
    """What was covered, what was left out and why, and each disagreement with its smallest
    scenario.
    """
    yield _table(tally)
    kinds = ", ".join(f"{kind} {number}" for kind, number in tally.faults.most_common())
    yield Text(f"\ncases by fault: {kinds}")
    if tally.refused:
        yield Text(f"the oracle refused {tally.refused.total()} more, having no model of them:")
        for reason, number in tally.refused.most_common(REASONS_SHOWN):
            yield Text(f"  {number:4} {reason}")
        if len(tally.refused) > REASONS_SHOWN:
            rest = sum(number for _, number in tally.refused.most_common()[REASONS_SHOWN:])
            yield Text(f"  {rest:4} for {len(tally.refused) - REASONS_SHOWN} other reasons")
    for verdict in tally.unjudged[:UNJUDGED_SHOWN]:
        yield Text(f"not judged: {verdict.name}: {verdict.reason}", "bold yellow")
    for number, found in enumerate(tally.disagreements, start=1):
        yield from _disagreement(number, found)
    yield Text(f"\n{_summary(tally)} in {wall_s:.1f} s", text.STYLES[tally.verdict])
    again = f"--seed {tally.seed} --cases {tally.count()}"
    yield Text(
        f"seed {tally.seed}; Linux {tally.machine.kernel}, HZ={tally.machine.hz}; again: "
        f"harness fuzz {again}"
    )


def _table(tally: Tally) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    for _ in range(len(COMES) + 1):
        grid.add_column(justify="right", no_wrap=True)
    grid.add_row(*(Text(cell, "bold") for cell in ("state", "cases", *COMES)))
    for state, row in sorted(tally.covered.items(), key=lambda item: -item[1].total()):
        grid.add_row(state, str(row.total()), *(str(row[each]) for each in COMES))
    grid.add_row("all", str(tally.count()), *(str(tally.count(each)) for each in COMES))
    return grid


def _disagreement(number: int, found: Disagreement) -> Iterator[RenderableType]:
    verdict = found.verdict
    head = f"\ndisagreement {number}, from {found.name}: {verdict.reason}"
    yield Text(head, "bold red")
    table = text.VerdictTable([verdict])
    yield table
    if not found.again:
        yield Text(
            "it did not come again when it was carried out on its own, or was not tried",
            "bold yellow",
        )
    yield Text(f"harness run --clock virtual {found.file}")
    yield Text(
        "".join(f"    {line}\n" for line in as_toml(found.scenario).splitlines()).rstrip("\n"),
        "dim",
    )


def _summary(tally: Tally) -> str:
    said = [f"{tally.count()} cases", f"{tally.count('agreed')} agreed"]
    if met_nothing := tally.count("met nothing"):
        said.append(f"{met_nothing} went as foreseen although a fault met nothing")
    if unjudged := tally.count("unjudged"):
        said.append(f"{unjudged} could not be judged")
    said.append(f"{tally.count('disagreed')} disagreed")
    return ", ".join(said)


def as_json(tally: Tally) -> bytes:
    """The document of `harness fuzz --json`."""
    return json.indented(
        FuzzReport(
            format=FORMAT,
            verdict=tally.verdict,
            seed=tally.seed,
            kernel=tally.machine.kernel,
            hz=tally.machine.hz,
            cases=tally.count(),
            agreed=tally.count("agreed"),
            met_nothing=tally.count("met nothing"),
            unjudged=tally.count("unjudged"),
            disagreed=tally.count("disagreed"),
            states={state: _counts(row) for state, row in tally.covered.items()},
            faults=dict(tally.faults.most_common()),
            forestalled=tally.forestalled,
            refused=dict(tally.refused.most_common()),
            unjudged_verdicts=tuple(json.result(verdict) for verdict in tally.unjudged),
            disagreements=tuple(
                FuzzDisagreement(
                    case=found.name,
                    again=found.again,
                    file=str(found.file),
                    scenario=as_toml(found.scenario),
                    result=json.result(found.verdict),
                )
                for found in tally.disagreements
            ),
        )
    )


def _counts(row: Counter[Comes]) -> FuzzCounts:
    return FuzzCounts(
        agreed=row["agreed"],
        met_nothing=row["met nothing"],
        unjudged=row["unjudged"],
        disagreed=row["disagreed"],
    )
