"""A batch in a process of its own: its results, its errors, its end."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from harness.batch.worker import Batch
from harness.errors import HarnessError
from harness.faults import PeerReboot, ProcessFreeze
from harness.plan import planner
from harness.plan.local_machine import local_machine
from harness.plan.plan import Plan
from harness.scenario.schema import Endpoint, Expect, Keepalive, Scenario

pytestmark = pytest.mark.live

QUICK = Endpoint(keepalive=Keepalive(idle_s=1, interval_s=1, count=1))


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "keepalive-harness"


def reboot(name: str) -> Plan:
    """A plan that takes one second."""
    scenario = Scenario(name=name, client=QUICK, faults=(PeerReboot(at_s=0.2),))
    return planner.make(scenario, local_machine())


def frozen() -> Plan:
    """A plan with a program that does not end by itself, watched for a minute."""
    scenario = Scenario(
        name="frozen", faults=(ProcessFreeze(),), expect=Expect(outcome="never", bound_s=60)
    )
    return planner.make(scenario, local_machine())


def test_results_come_as_if_run_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans, events and verdicts of all scenarios, whatever lies in the working directory."""
    (tmp_path / "json.py").write_text("raise RuntimeError('not this one')")
    monkeypatch.chdir(tmp_path)
    plans = [reboot("a/one"), reboot("b/two")]
    batch = Batch(plans, tmp_path / "out")
    results = {result.plan.name: result for result in batch.results()}
    batch.close()
    assert set(results) == {"a/one", "b/two"}
    for made in plans:
        result = results[made.name]
        assert (result.plan, result.verdict.verdict) == (made, "pass")
        assert result.wall_s is not None
        assert result.events[-1].kind == "capture.ended"
        assert (tmp_path / "out" / made.name / "verdict.json").exists()


def test_a_child_that_dies_is_told(tmp_path: Path) -> None:
    """Its status is the error; nobody waits for its results."""
    batch = Batch([frozen()], tmp_path / "out")
    os.kill(batch._process.pid, signal.SIGKILL)
    with pytest.raises(
        HarnessError,
        match="the process that ran the scenarios ended with status -9: without a word",
    ):
        list(batch.results())
    batch.close()


def test_its_errors_are_ours(tmp_path: Path) -> None:
    """What the child cannot do is raised here, in its own words."""
    (tmp_path / "out").touch()
    batch = Batch([reboot("x")], tmp_path / "out")
    with pytest.raises(
        HarnessError, match=r"^expected folders for the runs in .*/out, found .*Not a directory"
    ):
        list(batch.results())
    batch.close()


def test_nothing_is_left_when_the_caller_ends(tmp_path: Path, state: Path) -> None:
    """When its standard input ends, as that of a killed caller does, the child takes its programs
    along.
    """
    batch = Batch([frozen()], tmp_path / "out")
    errors: list[HarnessError] = []

    def listen() -> None:
        try:
            list(batch.results())
        except HarnessError as error:
            errors.append(error)

    waiting = threading.Thread(target=listen)
    waiting.start()
    told = tmp_path / "out" / "frozen" / "timeline.jsonl"
    until = time.monotonic() + 20
    while not (told.exists() and b"fault.injected" in told.read_bytes()):
        assert time.monotonic() < until
        time.sleep(0.02)
    assert len(list((state / "ledger").iterdir())) == 1
    batch.close()
    waiting.join()
    assert "ended with status 1" in str(errors[0])
    assert list((state / "ledger").iterdir()) == []
