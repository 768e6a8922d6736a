"""Scenarios behind a proxy, many at once: each has a toxiproxy of its own, at the same address in
its own network.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pytest

from harness.faults import AnyFault, ProxyDown, ToxicLatency, ToxicTimeout
from harness.judge.result import Result
from harness.lab import toxiproxy_server
from harness.model.topology import Family, Topology
from harness.plan.local_machine import local_machine
from harness.plan.planner import make
from harness.scenario.schema import Endpoint, Expect, Keepalive, Scenario
from harness.venue import uml
from harness.venue.kernel import Kernel
from tests.live.command import PATIENCE_S, harness, started
from tests.running import in_guests, undisturbed

pytestmark = [pytest.mark.live, pytest.mark.needs("toxiproxy-server")]

AT_ONCE = 20
AT_S = 0.5
ALIVE = Keepalive(idle_s=2, interval_s=1, count=2)


def _timeout_ms(number: int) -> int:
    return 600 + 150 * number


def _scenario(number: int) -> Scenario:
    """A toxic timeout of its own length, which the oracle predicts.

    Every fourth one has its proxy switched off.
    """
    family = get_args(Family)[number % 2]
    faults: tuple[AnyFault, ...] = (ToxicTimeout(timeout_ms=_timeout_ms(number), at_s=AT_S),)
    if number % 4 == 3:
        faults = (ProxyDown(at_s=_timeout_ms(number) / 1000),)
    return Scenario(
        name=f"proxied-{number}",
        topology=Topology(kind="proxied", family=family),
        client=Endpoint(keepalive=ALIVE),
        faults=faults,
        expect=Expect(outcome="eof"),
    )


def _proofs(result: Result) -> list[str]:
    return [event.data["found"] for event in result.events if event.kind == "fault.evidence"]


def _check(results: Sequence[Result]) -> None:
    """Each has met its own prediction, and its server knew its own toxic and no other."""
    assert {r.plan.name: r.verdict.reason for r in results if r.verdict.verdict != "pass"} == {}
    for number, result in enumerate(results):
        assert result.plan.prediction is not None
        (proof,) = _proofs(result)
        if number % 4 == 3:
            assert proof.startswith("the proxy is disabled")
        else:
            assert re.match(rf"toxic timeout_downstream \(timeout {_timeout_ms(number)}\) ", proof)


@pytest.mark.virtual
def test_twenty_toxics(tmp_path: Path, kernel: Kernel) -> None:
    """In guests each ends at its own millisecond: predicted to 5 ms after its toxic's time."""
    plans = [make(_scenario(number), uml.machine(kernel)) for number in range(AT_ONCE)]
    _check(in_guests(plans, tmp_path, kernel))


@pytest.mark.parametrize("missing", ["server", "library"])
def test_what_is_missing_is_said(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is inconclusive, with the fix; a relay does without."""
    if missing == "server":
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    else:
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
        monkeypatch.delitem(sys.modules, toxiproxy_server._OWN, raising=False)
        toxiproxy_server._library.cache_clear()
    scenario = Scenario(
        name="missing",
        topology=Topology(kind="proxied"),
        client=Endpoint(keepalive=ALIVE),
        faults=(ToxicLatency(latency_ms=1, at_s=1),),
        expect=Expect(outcome="never", bound_s=2),
    )
    (result,) = undisturbed([make(scenario, local_machine())], tmp_path / "runs", 1)
    assert result.verdict.verdict == "inconclusive"
    assert "Fix: " in result.verdict.reason


def test_killed_with_a_proxy_at_work(tmp_path: Path) -> None:
    """The server does not end with the harness that is killed.

    It is in the ledger, and `clean` removes it.
    """
    with started(
        tmp_path, "run", "proxied/server-frozen-defaults", "--yes", "--out", "out"
    ) as running:
        ledger, deadline = (
            running.state / "keepalive-harness" / "ledger",
            time.monotonic() + PATIENCE_S,
        )
        while not any(toxiproxy_server.NAME in file.read_text() for file in ledger.glob("*.jsonl")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.5)
        running.process.kill()
    cleaned = harness(tmp_path, "clean")
    assert re.search(
        rf"^removed process \d+ \({toxiproxy_server.NAME} on proxy: ", cleaned.out, re.MULTILINE
    )
    assert harness(tmp_path, "clean").out == "nothing to remove\n"
