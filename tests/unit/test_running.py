"""What tests run again: how many at a time, and that the session's summary names it."""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness import batch
from harness.judge import Verdict
from harness.model.machine import MachineFacts
from harness.plan import Plan, make
from harness.result import Result
from harness.scenario import Expect, Scenario
from tests import running
from tests.running import TOGETHER, undisturbed

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
    """Each attempt but the first, of what was run again at all; the batch makes two more attempts at the most."""
    asked: list[tuple[int | None, int]] = []

    def run(plans: Sequence[Plan], *given: object, retries: int) -> list[Result]:
        venue = given[-1]
        assert isinstance(venue, functools.partial)
        asked.append((venue.keywords["jobs"], retries))
        return [a_result(plan, attempts) for plan, attempts in zip(plans, (1, 3), strict=True)]

    monkeypatch.setattr(batch, "run", run)
    monkeypatch.setattr(running, "RETRIED", [])  # they are no retries of this test
    assert [result.plan.name for result in undisturbed([a_plan("a"), a_plan("b")], tmp_path, 80)] == ["a", "b"]
    assert asked == [(80, 2)]
    assert running.RETRIED == ["b, 2 times (this machine was too busy; then few at once)"]


SESSION = """
from tests.running import note_retry

def test_quiet():
    pass

def test_twice():
    note_retry(["one", "two"], "too busy")
"""


@pytest.mark.slow
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


def test_tests_of_one_file_that_go_together_have_one_worker(pytester: pytest.Pytester) -> None:
    """Each file of `TOGETHER` exists; pytest-xdist would give each of two workers some of its tests."""
    assert [name for name in TOGETHER if not (CHECKOUT / name).is_file()] == []
    pytester.makeconftest(f"import sys; sys.path.insert(0, {str(CHECKOUT)!r})\nfrom tests.conftest import *")
    tests = """
        import pathlib, pytest
        @pytest.mark.parametrize("n", range(8))
        def test_it(n, worker_id, request):
            pathlib.Path(request.config.rootpath, f"worker-{worker_id}").touch()
        """
    folder = pytester.mkdir("tests") / "live"
    folder.mkdir()
    (folder / "test_daemons.py").write_text(textwrap.dedent(tests))
    ended = pytester.runpytest_subprocess("-n", "2", "--dist", "loadgroup", "--rootdir", str(pytester.path))
    ended.assert_outcomes(passed=8)
    assert len(list(pytester.path.glob("worker-*"))) == 1
