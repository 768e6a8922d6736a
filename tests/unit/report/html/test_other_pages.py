"""Pages of `harness check` and `harness fuzz`, and the matrix view of client libraries."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import pytest

from harness.fuzz.campaign import Disagreement, Tally
from harness.policy.check import Result, check
from harness.policy.registry import selected
from harness.policy.settings import Connection, Terms
from harness.report.documents import Finding, MatrixCell
from harness.report.html import fuzz_page, library_grid, policy_page
from harness.report.html.render import render
from tests.unit.report.html.pages import Reader, good, named
from tests.unit.timelines import MACHINE


def checked(**terms: object) -> Result:
    """What `harness check` finds of one connection."""
    connection = Connection(name="<db>", terms=msgspec.convert(terms, Terms))
    return check([connection], selected([], []))


def policy(result: Result) -> str:
    """Its page."""
    return policy_page.render(result, title="TCP settings", command="harness check")


def test_findings_have_their_parts_and_their_rule() -> None:
    """Expected, found, fix; the page of each rule that was broken, and of no other."""
    result = checked(keepalive=False, detect_within_s=60)
    read = Reader(policy(result))
    texts = "\n".join(read.texts)
    for finding in result.findings:
        for part in (finding.title, finding.expected, finding.found, finding.fix):
            assert part in texts
    rules = {str(each["id"]) for _, each in read.elements if "rule-" in str(each.get("id"))}
    assert rules == {f"rule-{finding.rule}" for finding in result.findings}
    assert "<db>" in texts
    assert read.open == []


def test_figures_say_which_demands_are_met() -> None:
    """By a symbol beside the colour."""
    text = policy(checked(idle_s=10, interval_s=5, count=3, detect_idle_within_s=60))
    assert '✓</span> <span class="t">up to' in text
    assert '✗</span> <span class="t">' in policy(checked(idle_s=100, detect_idle_within_s=60))


def test_settings_without_findings() -> None:
    """The page says so, and has the figures."""
    text = policy(checked(idle_s=10, interval_s=5, count=3, detect_idle_within_s=60))
    assert "1 connection: 0 errors, 0 warnings" in text
    assert "<h2>Findings</h2>" not in text or "note" in text


@pytest.mark.parametrize("again", [True, False])
def test_a_campaign_with_a_disagreement(*, again: bool) -> None:
    """Its numbers, the smallest scenario as a run, and the file to run again."""
    result = named(good(), "case-smaller", verdict="fail", cause="oracle-refuted")
    tally = Tally(
        seed=7,
        machine=MACHINE,
        refused=Counter({"no model": 4}),
        covered={"idle": Counter({"agreed": 9, "disagreed": 1})},
        faults=Counter({"blackhole": 10}),
        unjudged=[msgspec.structs.replace(good().verdict, name="case-8", reason="too busy")],
        disagreements=[
            Disagreement(
                scenario=result.plan.scenario,
                verdict=result.verdict,
                name="case-12",
                result=result,
                again=again,
                file=Path("out/d.scenario.toml"),
            )
        ],
    )
    texts = "\n".join(Reader(render(fuzz_page.page(tally, command="c", wall_s=2.0))).texts)
    for wanted in (
        "10 cases: 9 agreed, 1 disagreed.",
        "harness fuzz --seed 7 --cases 10",
        "harness run --clock virtual out/d.scenario.toml",
        'kind = "blackhole"',
        "no model",
        "too busy",
        "came out the same" if again else "did not come again",
    ):
        assert wanted in texts, wanted


def test_a_campaign_without_one() -> None:
    """There are numbers and no runs."""
    tally = Tally(seed=7, machine=MACHINE, covered={"idle": Counter({"agreed": 9})})
    text = render(fuzz_page.page(tally, command="c", wall_s=2.0))
    assert "9 cases: 9 agreed." in text
    assert "agree in every case" in text
    assert 'class="run"' not in text


def cell(load: str, finding: Finding | None, measured_s: float | None) -> MatrixCell:
    """A cell of a library's suite."""
    return MatrixCell(
        suite="lib",
        library="lib",
        version="1.0",
        server="s",
        fault="blackhole",
        load=load,
        origin="fault",
        documents="30 s",
        documented_s=(0.0, 30.0),
        source="",
        measured_s=measured_s,
        reports=None,
        finding=finding,
        known=False,
        verdict="pass",
        reason="",
    )


def test_the_matrix_of_libraries() -> None:
    """A row for each library and load, a column for each fault, each cell with its run."""
    rows = [
        cell("idle", "met", 12.0),
        msgspec.structs.replace(cell("idle", "never detected", None), fault="frozen"),
        cell("full", None, None),
    ]
    grid = library_grid.grid(rows)
    assert grid.rows == ("lib 1.0, idle", "lib 1.0, full")
    assert grid.columns == ("blackhole", "frozen")
    (met, never), (unknown, missing) = grid.cells
    assert missing is None
    assert met is not None
    assert (met.status, met.symbol, met.short, met.run) == ("good", "✓", "12.000 s", 0)
    assert never is not None
    assert (never.status, never.short, never.run) == ("bad", "never", 1)
    assert unknown is not None
    assert (unknown.status, unknown.short, unknown.run) == ("unknown", "no verdict", 2)
    assert "documented: 0 to 30 s" in met.text
