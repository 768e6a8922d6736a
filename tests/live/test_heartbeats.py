"""The heartbeat designs against real faults in virtual time, each side, scaled down to a second or
two.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from harness.faults import Blackhole, LinkDown, PeerReboot, ProcessFreeze, ProcessKill, StopsReading
from harness.judge.result import Result
from harness.model.programs import (
    AnyHeartbeat,
    IdleState,
    IdleTimer,
    Reaper,
    Separate,
    Simple,
    Urgent,
)
from harness.model.topology import SIDES, Side, Topology
from harness.plan.planner import make
from harness.scenario.schema import Endpoint, Expect, Keepalive, Scenario
from harness.timeline import Event
from harness.venue import uml
from harness.venue.kernel import Kernel
from tests.running import in_guests

pytestmark = [pytest.mark.live, pytest.mark.virtual]

SIMPLE = Simple(idle_s=0.6, wait_s=0.2, misses=3)
SEPARATE = Separate(idle_s=0.6, wait_s=0.2, misses=3)
URGENT = Urgent(interval_s=0.2, misses=4)
IDLE_TIMER = IdleTimer(idle_s=0.5, retry_s=0.2, tries=3)
REAPER = Reaper(silence_s=1.2, poll_s=0.1)
IDLE_STATE = IdleState(write_idle_s=0.3, read_idle_s=0.9)


class Case(NamedTuple):
    """A client and its server; by side, [best, worst] from the fault, and from the last data where
    that is known.
    """

    client: AnyHeartbeat
    server: AnyHeartbeat
    since_fault_s: dict[Side, tuple[float, float]]
    since_data_s: dict[Side, tuple[float, float]]


CASES = {
    "simple": Case(
        SIMPLE,
        SIMPLE,
        {"client": (0.6, 1.2), "server": (0.8, 1.4)},
        {"client": (1.2, 1.2), "server": (1.4, 1.4)},
    ),
    "separate": Case(
        SEPARATE,
        SEPARATE,
        {"client": (0.6, 1.2), "server": (0.8, 1.4)},
        {"client": (1.2, 1.2), "server": (1.4, 1.4)},
    ),
    "urgent": Case(URGENT, URGENT, {"client": (0.8, 1.0), "server": (0.6, 1.0)}, {}),
    "idle-timer": Case(
        IDLE_TIMER,
        REAPER,
        {"client": (0.6, 1.1), "server": (0.7, 1.3)},
        {"client": (1.1, 1.1), "server": (1.2, 1.3)},
    ),
    "idle-state": Case(
        IDLE_STATE,
        REAPER,
        {"client": (0.6, 0.9), "server": (0.9, 1.3)},
        {"client": (0.9, 0.9), "server": (1.2, 1.3)},
    ),
}
BETWEEN_BEATS_S = {
    "simple": (0.7, 0.85),
    "separate": (0.75, 0.9),
    "urgent": (0.9, 1.1),
    "idle-timer": (0.7, 0.8),
    "idle-state": (0.75, 1.05),
}
"""When nothing is under way that a program could leave unread."""


def scenario(name: str, design: str, expect: Expect, *faults: object, **keys: object) -> Scenario:
    """A scenario of a design."""
    case = CASES[design]
    made = Scenario(
        name=f"{design}/{name}",
        client=Endpoint(heartbeat=case.client),
        server=Endpoint(heartbeat=case.server),
        faults=faults,  # type: ignore[arg-type]
        expect=expect,
    )
    return msgspec.structs.replace(made, **keys)


def proven(scenarios: Sequence[Scenario], folder: Path, kernel: Kernel) -> dict[str, Result]:
    """Run all; each must hold."""
    machine = uml.machine(kernel)
    ran = in_guests([make(each, machine) for each in scenarios], folder, kernel)
    results = {result.plan.name: result for result in ran}
    assert [
        (r.plan.name, r.verdict.reason) for r in results.values() if r.verdict.verdict != "pass"
    ] == []
    return results


def noticed(design: str, side: Side) -> Expect:
    """The program gives its peer up in the published window."""
    return Expect(
        side=side, outcome="noticed", origin="fault", window_s=CASES[design].since_fault_s[side]
    )


def since_data_s(events: Sequence[Event], side: Side) -> float:
    """From the last data that came to a side until it gave its peer up."""
    end = next(e for e in events if e.kind == "subject.noticed" and e.source == side)
    came = [e for e in events if e.kind == "segment" and e.source == side and e.data["way"] == "in"]
    return (end.t_ns - max(e.t_ns for e in came if e.data["length"] and e.t_ns < end.t_ns)) / 1e9


def test_faults_of_the_path(tmp_path: Path, kernel: Kernel) -> None:
    """Silence is detected in time from the fault, exactly so from the last data.

    A short outage is survived.
    """
    families = itertools.cycle([Topology(), Topology(family="ipv6")])
    reset = Expect(outcome="detected", errno="ECONNRESET", origin="fault", window_s=(0.0, 1.0))
    scenarios = []
    for design, case in CASES.items():
        for side in SIDES:
            expect = noticed(design, side)
            scenarios.append(
                scenario(side, design, expect, Blackhole(at_s=0.7), topology=next(families))
            )
        scenarios.append(scenario("reboot", design, reset, PeerReboot(at_s=0.45)))
        outage = Blackhole(at_s=0.55, for_s=0.2)
        client = Endpoint(
            heartbeat=case.client,
            keepalive=Keepalive(idle_s=1),
            writes_at_s=(0.1,),
            receive_buffer_bytes=4096,
            send_buffer_bytes=4096,
        )
        alive = Expect(outcome="survives", bound_s=1.8)
        scenarios.append(
            scenario("outage", design, alive, outage, client=client, topology=next(families))
        )
    results = proven(scenarios, tmp_path, kernel)
    for design, case in CASES.items():
        for side, (least_s, most_s) in case.since_data_s.items():
            found_s = since_data_s(results[f"{design}/{side}"].events, side)
            assert least_s - 0.001 <= found_s <= most_s + 0.001, (design, side)


def test_faults_of_the_program(tmp_path: Path, kernel: Kernel) -> None:
    """A heartbeat alone detects a frozen peer; the kernel's FIN tells of a killed one at once."""
    scenarios = []
    for design, side in itertools.product(CASES, SIDES):
        on: Side = "server" if side == "client" else "client"
        eof = Expect(side=side, outcome="eof", origin="fault", window_s=(0.0, 0.1))
        at_s = BETWEEN_BEATS_S[design][SIDES.index(side)]
        frozen = Expect(
            side=side, outcome="noticed"
        )  # in the oracle's window, which allows for slow answers
        scenarios.append(
            scenario(f"{side}-frozen", design, frozen, ProcessFreeze(on=on, at_s=at_s))
        )
        scenarios.append(scenario(f"{side}-killed", design, eof, ProcessKill(on=on, at_s=at_s)))
    proven(scenarios, tmp_path, kernel)


def test_what_a_design_alone_has(tmp_path: Path, kernel: Kernel) -> None:
    """Another server, a NAT in the way, a full buffer."""
    full = Endpoint(
        heartbeat=SIMPLE, writes_at_s=(0.2, 0.7), write_bytes=500_000, send_buffer_bytes=4096
    )
    stuck = msgspec.structs.replace(full, heartbeat=msgspec.structs.replace(SIMPLE, blocking=True))
    not_reading = StopsReading(at_s=0.1)
    restless = msgspec.structs.replace(IDLE_STATE, servers=("server", "router"), retry_s=0.2)
    scenarios = [
        scenario(
            "another-server",
            "idle-state",
            Expect(
                outcome="noticed", origin="fault", window_s=(0.6, 0.9), reconnects_s=(0.2, 0.201)
            ),
            LinkDown(on="server", at_s=0.75),
            client=Endpoint(heartbeat=restless),
        ),
        scenario(
            "no-way-back",
            "separate",
            Expect(outcome="noticed", window_s=(1.2, 1.201)),
            topology=Topology(kind="nat"),
        ),
        scenario("full", "simple", noticed("simple", "client"), Blackhole(at_s=0.65), client=full),
        scenario(
            "not-reading",
            "simple",
            Expect(outcome="noticed", window_s=(1.1, 1.4)),
            not_reading,
            client=full,
        ),
        scenario(
            "hangs",
            "simple",
            Expect(outcome="never", bound_s=2.5),
            Blackhole(at_s=0.65),
            client=stuck,
        ),
        scenario(
            "waits-and-notices",
            "simple",
            noticed("simple", "client"),
            Blackhole(at_s=0.75),
            client=Endpoint(heartbeat=stuck.heartbeat),
        ),
    ]
    results = proven(scenarios, tmp_path, kernel)
    again = [
        e.data
        for e in results["idle-state/another-server"].events
        if e.kind == "subject.reconnected"
    ]
    assert [(data["server"], data["remote"]) for data in again] == [
        ("router", ["10.77.1.254", 7000])
    ]
    lost = [e.data for e in results["separate/no-way-back"].events if e.kind == "subject.beatless"]
    assert [(data["side"], data["errno"], data["remote"][0]) for data in lost] == [
        ("server", "ECONNREFUSED", "10.77.2.254")
    ]
