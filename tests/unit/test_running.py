"""What tests run again: how many at a time, and that the session's summary names it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness import batch
from harness.findings import Cause
from harness.judge import Verdict
from harness.plan import MachineFacts, Plan, make
from harness.scenario import Expect, Scenario
from tests import running
from tests.running import undisturbed

pytest_plugins = ["pytester"]

CHECKOUT = Path(__file__).parents[2]
MACHINE = MachineFacts(kernel="6.18.0", hz=250, hz_source="given", cpus=2, clock="real")


def a_plan(name: str) -> Plan:
    """Of a living peer, which takes no time to plan."""
    return make(Scenario(name=name, expect=Expect(outcome="never", bound_s=1.0)), MACHINE)


def a_result(plan: Plan, cause: Cause) -> batch.Result:
    """What a run came to."""
    verdict = Verdict(
        name=plan.name,
        verdict="inconclusive" if cause == "machine-too-busy" else "pass",
        cause=cause,
        reason="",
        clock="real",
        kernel=MACHINE.kernel,
        hz=MACHINE.hz,
        side="client",
    )
    return batch.Result(plan=plan, events=(), verdict=verdict, took_s=0.0)


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int | None, list[str]]]:
    """Each batch that was run: how many at once, and of what; "b" always comes too late, "a" never."""
    found: list[tuple[int | None, list[str]]] = []

    def run(plans: Sequence[Plan], _out: Path, _watcher: object, venue: functools.partial[Any]) -> list[batch.Result]:
        found.append((venue.keywords["jobs"], [plan.name for plan in plans]))
        return [a_result(plan, "machine-too-busy" if plan.name == "b" else "confirmed") for plan in plans]

    monkeypatch.setattr(batch, "run", run)
    monkeypatch.setattr(running, "RETRIED", [])  # they are no retries of this test
    return found


@pytest.mark.parametrize(("jobs", "then"), [(None, [4, 1]), (80, [4, 1]), (3, [3, 1]), (1, [1, 1])])
def test_what_came_too_late_is_run_again_by_fewer(
    rounds: list[tuple[int | None, list[str]]], tmp_path: Path, jobs: int | None, then: list[int]
) -> None:
    """Never by more than before; the rest is not run again; each attempt but the first is noted."""
    a, b = undisturbed([a_plan("a"), a_plan("b")], tmp_path, jobs)
    assert rounds == [(jobs, ["a", "b"]), *((few, ["b"]) for few in then)]
    assert (a.verdict.cause, b.verdict.cause) == ("confirmed", "machine-too-busy")
    assert [f"b (this machine was too busy; now at most {few} at once)" for few in then] == running.RETRIED


SESSION = """
from tests.running import note_retry

def test_quiet():
    pass

def test_twice():
    note_retry(["one", "two"], "too busy")
"""


@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n", "1")], ids=["alone", "xdist"])
def test_the_summary_names_what_was_run_again(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    """At the end of the session, counted, with the test; also where a worker of pytest-xdist ran it."""
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    pytester.makeconftest("from tests.conftest import pytest_runtest_makereport, pytest_terminal_summary\n")
    pytester.makepyfile(test_it=SESSION)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *options)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["*= run again: 2 =*", "test_it.py::test_twice: one (too busy)", "test_it.py::test_twice: two (too busy)"]
    )
    assert "test_quiet:" not in result.stdout.str()
