from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pytest

from harness.api.lab_session import Workbench
from harness.errors import ScenarioError
from harness.faults import (
    AnyFault,
    Blackhole,
    FirewallIdle,
    LinkDown,
    PeerReboot,
    ProcessFreeze,
    ProcessKill,
)
from harness.judge.result import Result
from harness.model.topology import Family, Kind, Topology, layout
from harness.plan import planner
from harness.plan.local_machine import local_machine
from harness.plan.plan import Plan
from harness.scenario.schema import Endpoint, Expect, Keepalive, Scenario
from tests.conformance.traces import network_untouched, nothing_held, process
from tests.live.command import started
from tests.running import undisturbed

pytestmark = [pytest.mark.live, pytest.mark.alone]

MIXED, FIREWALLS = 60, 40
DRAWN = {Blackhole, LinkDown, PeerReboot, ProcessKill, ProcessFreeze, FirewallIdle}
"""What is done to packets, interfaces, hosts and programs: by nftables, rtnetlink, namespaces and
signals.
"""
AT_S = 0.3
SETTINGS = ((1, 1, 1), (1, 1, 3), (1, 2, 1), (2, 1, 2), (2, 2, 1), (3, 1, 1))
"""Idle and interval in seconds, and count: all is over within eight seconds."""


def _run(plans: Sequence[Plan], out: Path) -> list[Result]:
    """All at once; the process and the network around it are as before at the end."""
    with nothing_held(), network_untouched():
        return undisturbed(plans, out)


def _not_passed(results: Sequence[Result]) -> dict[str, str]:
    return {r.plan.name: r.verdict.reason for r in results if r.verdict.verdict != "pass"}


# --- many of all kinds --------------------------------------------------------------------------


TOPOLOGIES = tuple(
    topology
    for topology in (
        Topology(kind=kind, family=family) for kind in get_args(Kind) for family in get_args(Family)
    )
    if layout(topology).is_whole
)


def _fault(chance: random.Random, kind: Kind, idle_s: int) -> AnyFault:
    anywhere: tuple[AnyFault, ...] = (
        Blackhole(at_s=AT_S),
        Blackhole(at_s=AT_S, direction="to-server"),
        Blackhole(at_s=AT_S, direction="to-client"),
        LinkDown(on="server", at_s=AT_S),
        LinkDown(on="client", at_s=AT_S),
        PeerReboot(at_s=AT_S),
        ProcessKill(at_s=AT_S),
        ProcessFreeze(at_s=AT_S),
        Blackhole(at_s=AT_S, for_s=idle_s + 0.4),  # the first probe is lost, the second is not
    )
    firewall = FirewallIdle(timeout_s=chance.randint(1, 3), then=chance.choice(("drop", "reset")))
    return chance.choice(anywhere + 3 * ((firewall,) if kind == "routed" else ()))


def _scenario(chance: random.Random, index: int) -> Scenario:
    topology = chance.choice(TOPOLOGIES)
    idle_s, interval_s, count = chance.choice(SETTINGS)
    return Scenario(
        name=f"mixed-{index}",
        topology=topology,
        client=Endpoint(keepalive=Keepalive(idle_s=idle_s, interval_s=interval_s, count=count)),
        faults=(_fault(chance, topology.kind, idle_s),),
    )


def _predictable(seed: int, number: int) -> list[Plan]:
    """So many random scenarios that the oracle has a model for, with its prediction as the
    claim.
    """
    chance, machine = random.Random(seed), local_machine()
    plans: list[Plan] = []
    while len(plans) < number:
        try:
            plans.append(planner.make(_scenario(chance, len(plans)), machine))
        except ScenarioError:
            continue
    return plans


@pytest.mark.parametrize("seed", [1])
def test_many_mixed_scenarios_at_once(tmp_path: Path, seed: int) -> None:
    """Scenarios of many faults, all topologies and families, run together, each meet their own
    prediction.
    """
    plans = _predictable(seed, MIXED)
    assert {type(p.scenario.faults[0]) for p in plans} == DRAWN
    assert {p.scenario.topology for p in plans} == set(TOPOLOGIES)
    assert _not_passed(_run(plans, tmp_path)) == {}


# --- firewalls ----------------------------------------------------------------------------------


def test_firewalls_do_not_mix(tmp_path: Path) -> None:
    """Connection tracking and packet filters of many labs at once count each its own packets, to
    the last one.
    """
    machine = local_machine()
    scenarios = [
        Scenario(
            name=f"{then}-{number}",
            topology=Topology(kind="routed", family=get_args(Family)[number % 2]),
            client=Endpoint(keepalive=Keepalive(idle_s=2, interval_s=1, count=1 + number % 4 // 2)),
            faults=(FirewallIdle(timeout_s=1, then=then),),
            expect=Expect(
                outcome="detected", errno="ETIMEDOUT" if then == "drop" else "ECONNRESET"
            ),
        )
        for number in range(FIREWALLS // 2)
        for then in ("drop", "reset")
    ]
    results = _run([planner.make(scenario, machine) for scenario in scenarios], tmp_path)
    assert _not_passed(results) == {}
    for result in results:
        # Of the handshake, the SYN is new and not yet tracked; of the end, an abort sends one RST
        # after its probes.
        settings = result.plan.scenario.client.keepalive_settings
        assert settings is not None
        late = 1 if result.plan.name.startswith("reset") else settings.count + 1
        (found,) = [e.data["found"] for e in result.events if e.kind == "fault.evidence"]
        assert re.match(rf"2 packets of tracked flows, {late} packets? met expired state", found)


# --- descriptors --------------------------------------------------------------------------------


def test_what_lasts_stays_above_select(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a run holds open while it waits has a descriptor that leaves those below 1024
    free.
    """
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with Workbench("routed") as first:
        first.connect(processes={"server"})  # the ledger's file is one for all runs
        before = process().descriptors
        with Workbench("routed") as bench, bench.inject(FirewallIdle(timeout_s=5)):
            assert bench.connect(processes={"server"}).echo()
            held = process().descriptors.keys() - before.keys()
    assert len(held) > 5
    assert min(held) >= 1024


OCCUPY = """
import fcntl, os, resource, sys
from harness.cli.main import main
lowest, number = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
for _ in range(number):
    fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, lowest)
sys.exit(main(sys.argv[3:]))
"""
"""`harness` in a process that holds so many descriptors from a number up."""
FIREWALL = ("run", "outcomes/firewall-resets", "--json", "-", "--out", "out")


def test_many_descriptors_do_not_abort_the_process(tmp_path: Path) -> None:
    """With more than 1024 descriptors in use, the packet filter's library, which cannot wait on
    them, still works.
    """
    command = (sys.executable, "-c", OCCUPY, "1024", "1200")
    with started(tmp_path, *FIREWALL, command=command) as running:
        ended = running.wait()
    assert ended.status == 0, ended.err
    assert json.loads(ended.out)["verdict"] == "pass"


def test_no_low_descriptor_left_is_an_error(tmp_path: Path) -> None:
    """Where none below 1024 is free, the run is inconclusive and says why.

    Glibc would abort the process.
    """
    command = (sys.executable, "-c", OCCUPY, "0", "1010")
    with started(tmp_path, *FIREWALL, command=command) as running:
        ended = running.wait()
    assert ended.status == 3, ended.err
    (found,) = json.loads(ended.out)["scenarios"]
    assert "expected free file descriptors below 1024 for nftables" in found["reason"]
