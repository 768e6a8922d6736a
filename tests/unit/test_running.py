"""What tests run again: how many at a time, and that the session's summary names it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from xdist import newhooks
from xdist.remote import Producer

from harness.batch import batch
from harness.judge.result import Result
from harness.judge.verdict import Verdict
from harness.model.machine import MachineFacts
from harness.plan.plan import Plan
from harness.plan.planner import make
from harness.scenario.schema import Expect, Scenario
from tests import conftest, documents, running
from tests.running import TOGETHER, group_of, undisturbed

pytest_plugins = ["pytester"]

CHECKOUT = Path(__file__).parents[2]
MACHINE = MachineFacts(kernel="6.18.0", hz=250, hz_source="given", cpus=2, clock="real")


def a_plan(name: str) -> Plan:
    """Of a living peer, which takes no time to plan."""
    return make(Scenario(name=name, expect=Expect(outcome="never", bound_s=1.0)), MACHINE)


def a_result(plan: Plan, attempts: int) -> Result:
    """What a run came to."""
    verdict = Verdict(
        name=plan.name,
        verdict="pass",
        cause="confirmed",
        reason="",
        clock="real",
        kernel=MACHINE.kernel,
        hz=MACHINE.hz,
        side="client",
    )
    return Result(plan=plan, events=(), verdict=verdict, attempts=attempts)


def test_what_came_too_late_is_noted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each attempt but the first, of what was run again at all.

    The batch makes two more attempts at the most.
    """
    asked: list[tuple[int | None, int]] = []

    def run(plans: Sequence[Plan], *given: object, retries: int) -> list[Result]:
        venue = given[-1]
        assert isinstance(venue, functools.partial)
        asked.append((venue.keywords["jobs"], retries))
        return [a_result(plan, attempts) for plan, attempts in zip(plans, (1, 3), strict=True)]

    checked: list[Path] = []
    monkeypatch.setattr(batch, "run", run)
    monkeypatch.setattr(documents, "check_run", checked.append)
    monkeypatch.setattr(running, "RETRIED", [])  # they are no retries of this test
    assert [
        result.plan.name for result in undisturbed([a_plan("a"), a_plan("b")], tmp_path, 80)
    ] == ["a", "b"]
    assert asked == [(80, 2)]
    assert checked == [tmp_path / "a", tmp_path / "b"]
    assert running.RETRIED == ["b, 2 times (this machine was too busy; then few at once)"]


SESSION = """
import pathlib

import pytest

from tests.running import note_retry

def test_quiet():
    pass

def test_twice():
    note_retry(["one", "two"], "too busy")

@pytest.mark.parametrize("n", range(8))
def test_worker(n, request):
    name = getattr(request.config, "workerinput", {}).get("workerid", "none")
    pathlib.Path(request.config.rootpath, f"worker-{name}").touch()
"""
AGAIN = ["test_twice: one (too busy)", "test_twice: two (too busy)"]


def session_of_tests(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write SESSION as a file of `TOGETHER`, beside a conftest.py that is that of all tests.

    Its path is given.
    """
    monkeypatch.setenv("TEST_NOTES", str(pytester.path))
    pytester.makeconftest(
        f"import sys; sys.path.insert(0, {str(CHECKOUT)!r})\nfrom tests.conftest import *"
    )
    folder = pytester.mkdir("tests") / "live"
    folder.mkdir()
    (folder / "test_daemons.py").write_text(SESSION)
    return "tests/live/test_daemons.py"


def assert_summary_names_what_was_run_again(
    result: pytest.RunResult, folder: Path, file: str
) -> None:
    """In the session's own words, and in the file that ci/test shows at its end."""
    result.assert_outcomes(passed=10)
    lines = [f"{file}::{each}" for each in AGAIN]
    result.stdout.fnmatch_lines(["*= run again: 2 =*", *lines])
    assert (folder / "again").read_text().splitlines() == lines
    assert (folder / "slow").read_text() == ""


def test_the_summary_names_what_was_run_again(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end of the session, counted, with the test."""
    file = session_of_tests(pytester, monkeypatch)
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:xdist")
    assert_summary_names_what_was_run_again(result, pytester.path, file)


class Worker:
    """What pytest-xdist's scheduler needs of a worker; `given`: the tests that it was sent."""

    def __init__(self, name: str, tests: list[str]) -> None:
        self.gateway, self.shutting_down = SimpleNamespace(id=name), False
        self._tests, self.given = tests, list[str]()

    def send_runtest_some(self, indices: Iterable[int]) -> None:
        """Tests by their place in the collection."""
        self.given += [self._tests[index] for index in indices]

    def shutdown(self) -> None:
        """It is not needed."""
        self.shutting_down = True


def test_workers_share_tests_but_not_those_of_one_group() -> None:
    """Each file of `TOGETHER` exists and has one worker of pytest-xdist, which would give each of
    two some tests.
    """
    assert [name for name in TOGETHER if not (CHECKOUT / name).is_file()] == []
    assert [*inspect.signature(newhooks.pytest_xdist_make_scheduler).parameters] == [
        "config",
        "log",
    ]
    together = [f"{min(TOGETHER)}::test_it[{number}]" for number in range(8)]
    apart = [f"tests/unit/test_it.py::test_it[{number}]" for number in range(8)]
    settings = {"dist": "loadgroup", "tx": ["2*popen"]}
    config: Any = SimpleNamespace(
        getoption=settings.get, getvalue=settings.get, option=SimpleNamespace(loadscopereorder=True)
    )
    scheduler = conftest.pytest_xdist_make_scheduler(config, Producer("test", enabled=False))
    tests = [*apart[:4], *together, *apart[4:]]
    workers = [Worker("one", tests), Worker("two", tests)]
    for worker in workers:
        scheduler.add_node(worker)
        scheduler.add_node_collection(worker, tests)
    scheduler.schedule()
    for _ in tests:
        for worker in workers:
            for test in worker.given:
                if not scheduler.assigned_work[worker].get(group_of(test), {}).get(test, True):
                    scheduler.mark_test_complete(worker, tests.index(test))
    given = [set(worker.given) for worker in workers]
    assert set.union(*given) == set(tests)
    assert [bool(tests & set(together)) for tests in given].count(True) == 1
    assert all(tests & set(apart) for tests in given)
    settings["dist"] = "load"
    assert conftest.pytest_xdist_make_scheduler(config, None) is None


def test_what_a_worker_ran_again_reaches_the_session() -> None:
    """As a property of the report, which pytest-xdist sends as plain data.

    The worker itself prints nothing.
    """
    properties = [(conftest.RETRY, "one (too busy)")]
    report = pytest.TestReport(
        "a", ("", 0, ""), {}, "passed", None, "call", user_properties=properties
    )
    assert [
        *map(tuple, pytest.TestReport._from_json(report._to_json()).user_properties)
    ] == properties


def test_slow_tests_are_listed() -> None:
    """Those whose set-up, call and teardown take longer than the limit together, the slowest
    first.
    """

    def report(name: str, when: str, seconds: float) -> pytest.TestReport:
        return pytest.TestReport(name, ("", 0, ""), {}, "passed", None, when, duration=seconds)  # type: ignore[arg-type]

    took = [("a", "setup", 3.0), ("a", "call", 3.0), ("b", "call", 5.0), ("c", "teardown", 7.5)]
    assert conftest._slow(report(*each) for each in took) == ["7.5 s  c", "6.0 s  a"]
