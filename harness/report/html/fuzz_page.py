"""The page of `harness fuzz`: the numbers of the campaign, and each disagreement as a run."""

from __future__ import annotations

from collections.abc import Iterator

from harness.fuzz.campaign import COMES, Disagreement, Tally
from harness.judge.verdict import VerdictName
from harness.report.html.page import Page, RunDetail, Status, Table
from harness.scenario.toml_writer import as_toml


def page(tally: Tally, *, command: str, wall_s: float, made: str = "") -> Page:
    """The campaign as a page."""
    shown = [each for each in tally.disagreements if each.result is not None]
    machine = f"Linux {tally.machine.kernel}, HZ={tally.machine.hz}"
    again = f"harness fuzz --seed {tally.seed} --cases {tally.count()}"
    return Page(
        title="Predictions against the kernel, on random scenarios",
        command=command,
        headline=(_STATUSES[tally.verdict], f"{_summary(tally)}."),
        notes=(
            f"On {machine}, in {wall_s:.1f} s.",
            f"The same cases are drawn again by: {again}",
            _about_runs(tally),
        ),
        results=tuple(each.result for each in shown if each.result is not None),
        details=tuple(_detail(each) for each in shown),
        tables=tuple(_tables(tally)),
        made=made,
    )


_STATUSES: dict[VerdictName, Status] = {
    "pass": "good",
    "fail": "bad",
    "inconclusive": "unknown",
}


def _summary(tally: Tally) -> str:
    numbers = [f"{tally.count(each)} {each}" for each in COMES if tally.count(each)]
    return f"{tally.count()} cases: {', '.join(numbers)}"


def _about_runs(tally: Tally) -> str:
    if not tally.disagreements:
        return "The prediction and the kernel agree in every case that could be judged."
    return (
        "Each run below is the smallest scenario that was found on which the prediction and the "
        "kernel disagree. One of the two is wrong: please report it as a defect."
    )


def _detail(found: Disagreement) -> RunDetail:
    repeated = (
        "It was carried out again, and came out the same."
        if found.again
        else "It did not come again when it was carried out on its own, or was not tried."
    )
    again = "" if found.file is None else f"harness run --clock virtual {found.file}"
    return RunDetail(
        again=again,
        text=(f"Made smaller from {found.name}. {repeated}",),
        scenario=as_toml(found.scenario),
    )


def _tables(tally: Tally) -> Iterator[Table]:
    covered = sorted(tally.covered.items(), key=lambda item: -item[1].total())
    states = [
        (state, str(row.total()), *(str(row[each]) for each in COMES)) for state, row in covered
    ]
    everything = ("all", str(tally.count()), *(str(tally.count(each)) for each in COMES))
    yield Table(
        title="Cases by state of the connection",
        columns=("state", "cases", *COMES),
        rows=(*states, everything),
        note="“Met nothing”: all went as predicted, but no packet met the fault.",
    )
    yield Table(
        title="Cases by fault",
        columns=("fault", "cases"),
        rows=tuple((kind, str(number)) for kind, number in tally.faults.most_common()),
        note="A case may have several faults.",
    )
    if tally.refused:
        yield Table(
            title="Drawn and left out, as the oracle has no model of them",
            columns=("reason", "cases"),
            rows=tuple((reason, str(number)) for reason, number in tally.refused.most_common()),
        )
    if tally.unjudged:
        yield Table(
            title="Not judged",
            columns=("case", "reason"),
            rows=tuple((verdict.name, verdict.reason) for verdict in tally.unjudged),
        )
