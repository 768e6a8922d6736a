"""What a session writes into the summary of a step: results as the reports of tests bring them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.judge.result import Result
from harness.judge.verdict import judge
from harness.pytest_plugin import step_summary
from tests.unit.timelines import as_foreseen, unreachable


def report_of(nodeid: str, *, arrives: bool) -> pytest.TestReport:
    """A report of a set-up as pytest-xdist brings it, of a run as foreseen or one that broke."""
    plan = unreachable()
    events = tuple(as_foreseen(plan)) if arrives else ()
    result = Result(plan=plan, events=events, verdict=judge(plan, events))
    report = pytest.TestReport(nodeid, ("a.toml", None, "a"), {}, "passed", None, "setup")
    step_summary.attach(report, result)
    sent = json.dumps(report._to_json())
    return pytest.TestReport._from_json(json.loads(sent))


def test_the_last_result_of_each_test_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reports of other tests have none."""
    summary = tmp_path / "summary.md"
    monkeypatch.setenv(step_summary.VARIABLE, str(summary))
    collector = step_summary.Collector()
    other = pytest.TestReport("b", ("b.py", None, "b"), {}, "passed", None, "call")
    for report in (
        report_of("a", arrives=False),
        report_of("a", arrives=True),
        report_of("c", arrives=False),
        other,
    ):
        collector.pytest_runtest_logreport(report)
    collector.pytest_sessionfinish()
    assert summary.read_text().startswith("### pytest: 1 pass, 0 fail, 1 inconclusive\n")


def test_a_session_without_scenarios_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even a heading."""
    monkeypatch.setenv(step_summary.VARIABLE, str(tmp_path / "summary.md"))
    step_summary.Collector().pytest_sessionfinish()
    assert list(tmp_path.iterdir()) == []


def test_outside_of_a_step_reports_carry_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would read it."""
    monkeypatch.delenv(step_summary.VARIABLE, raising=False)
    assert not hasattr(report_of("a", arrives=True), step_summary._ATTRIBUTE)
