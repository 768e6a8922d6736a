"""pytest-html's page has the figures of scenarios, and stays as it is without them."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from harness.judge.result import Result
from harness.plan.plan import Plan
from harness.pytest_plugin import scenarios
from harness.timeline import Event
from tests.unit.report.figure.drawn import result
from tests.unit.timelines import as_foreseen, without

pytest_plugins = ["pytester"]

SCENARIO = """
[client.keepalive]
idle_s = 2
interval_s = 1
count = 3

[[faults]]
kind = "blackhole"
at_s = 0.5

[expect]
outcome = "detected"
errno = "ETIMEDOUT"
"""
Bend = Callable[[list[Event]], list[Event]]


def going(bend: Bend) -> Callable[[object, Plan, Sequence[Plan]], Result]:
    """In the place of running scenarios: each goes as the bent events say."""

    def found(_: object, plan: Plan, __: Sequence[Plan]) -> Result:
        return result(plan, bend(as_foreseen(plan)))

    return found


@pytest.fixture
def written(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """Runs a session in which scenarios go as a function of the foreseen events says.

    Returns what pytest-html has of each test.
    """

    def run(bend: Bend, *flags: str) -> dict[str, Any]:
        monkeypatch.setattr(scenarios._Runs, "result", going(bend))
        (pytester.path / "cut.scenario.toml").write_text(SCENARIO)
        pytester.makepyfile("def test_it(): pass")
        pytester.runpytest_inprocess("--html=page.html", "--self-contained-html", *flags)
        page = (pytester.path / "page.html").read_text()
        blob = re.search(r'data-jsonblob="([^"]*)"', page)
        assert blob is not None
        tests: dict[str, Any] = json.loads(html.unescape(blob[1]))["tests"]
        return tests

    return run


def figures(tests: dict[str, Any], name: str) -> list[str]:
    """The extras of all reports of a test that the page shows."""
    return [
        extra["content"]
        for node, reports in tests.items()
        if name in node
        for report in reports
        for extra in report["extras"]
    ]


def test_a_scenario_shows_its_figures(written: Callable[..., dict[str, Any]]) -> None:
    """Once, with their style; a test of another kind has none."""
    tests = written(lambda events: events)
    (page,) = figures(tests, "cut.scenario.toml")
    assert page.startswith("<style>")
    assert page.count("<svg") == 2
    assert "ETIMEDOUT" in page
    assert figures(tests, "test_it") == []


def test_what_cannot_be_judged_shows_them_too(written: Callable[..., dict[str, Any]]) -> None:
    """An error of the set-up, after which there is no call."""
    (page,) = figures(written(lambda events: without(events, "run.ended")), "cut.scenario.toml")
    assert "judged: inconclusive" in page


def test_without_pytest_html_nothing_is_drawn(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is installed and no page is asked for, no report has extras."""
    monkeypatch.setattr(scenarios._Runs, "result", going(lambda events: events))
    (pytester.path / "cut.scenario.toml").write_text(SCENARIO)
    for flags in ([], ["-p", "no:html", "-p", "no:html_fixtures"]):
        record = pytester.inline_run(*flags)
        (report,) = [r for r in record.getreports() if getattr(r, "when", "") == "call"]
        assert report.passed
        assert not getattr(report, "extras", [])
