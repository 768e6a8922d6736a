"""Connections that are being made, that are being closed, and whose window is full."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from harness.faults import Blackhole, PeerReboot, ProcessFreeze, ProcessKill, StopsReading
from harness.lab.netns_lab import NetnsLab
from harness.model.topology import SIDES, Family, Side, Topology
from harness.plan.planner import make
from harness.probes.packets import Segment, parse
from harness.runner.event_loop import EventLoop
from harness.scenario.schema import Endpoint, Expect, Keepalive, Scenario
from harness.subjects.connect import connected
from harness.timeline import Event, Timeline
from harness.venue import uml
from harness.venue.kernel import Kernel
from tests.conformance.traces import nothing_held
from tests.running import in_guests

pytestmark = pytest.mark.live

FAMILIES: tuple[Family, ...] = ("ipv4", "ipv6")
NOT_READING = Endpoint(reads=False, receive_buffer_bytes=4096)
TALKER = Endpoint(writes_at_s=(0.2,), write_bytes=100_000)
REFUSED = Expect(outcome="detected", errno="ECONNREFUSED", window_s=(0.0, 0.5))
RESET = Expect(outcome="detected", errno="ECONNRESET", window_s=(0.5, 1.0))

QUICK: dict[str, dict[str, Any]] = {
    "refused by a new host": {"state": "connecting", "faults": (PeerReboot(),), "expect": REFUSED},
    "refused by a host without the program": {
        "state": "connecting",
        "faults": (ProcessKill(),),
        "expect": REFUSED,
    },
    "given up": {
        "state": "connecting",
        "client": Endpoint(user_timeout_s=0.7),
        "faults": (Blackhole(),),
        "expect": Expect(outcome="detected", errno="ETIMEDOUT", window_s=(0.7, 2.0)),
    },
    "made at the second attempt": {
        "state": "connecting",
        "faults": (Blackhole(for_s=0.5),),
        "expect": Expect(outcome="survives", bound_s=2.0),
    },
    "made for a program that stands still": {
        "state": "connecting",
        "client": Endpoint(keepalive=Keepalive(idle_s=1, interval_s=1, count=1)),
        "faults": (ProcessFreeze(for_s=0.5),),
        "expect": Expect(outcome="survives", bound_s=1.5),
    },
    "shut": {
        "client": Endpoint(shuts_at_s=0.3),
        "expect": Expect(side="server", outcome="eof", window_s=(0.3, 0.5)),
    },
    "full": {
        "client": TALKER,
        "server": NOT_READING,
        "expect": Expect(outcome="never", bound_s=1.5),
    },
    "full for a time": {
        "client": TALKER,
        "server": Endpoint(receive_buffer_bytes=4096),
        "faults": (StopsReading(at_s=0.1, for_s=1.0),),
        "expect": Expect(outcome="survives", bound_s=2.5),
    },
    "reset by a program that had not read": {
        "client": TALKER,
        "server": NOT_READING,
        "faults": (ProcessKill(at_s=0.5, unread=True),),
        "expect": RESET,
    },
}


def window(event: Event) -> int:
    """The window that a captured segment offers, as sent."""
    segment = parse(bytes.fromhex(event.data["frame"]))
    assert isinstance(segment, Segment)
    return segment.window


def sent(events: Sequence[Event], role: str, flags: str) -> list[float]:
    """When the client sent segments of a role with a flag, in seconds after arming."""
    armed = next(e.t_ns for e in events if e.kind == "subject.armed" and e.data["side"] == "client")
    segments = [
        e for e in events if e.kind == "segment" and e.source == "client" and e.data["way"] == "out"
    ]
    found = [e for e in segments if e.data["role"] == role and flags in e.data["flags"]]
    return sorted((e.t_ns - armed) / 1e9 for e in found)


@pytest.mark.virtual
def test_quick_ones(tmp_path: Path, kernel: Kernel) -> None:
    """Each as claimed, over both families, with its events."""
    scenarios = [
        Scenario(name=f"{family}/{number}", summary=name, topology=Topology(family=family), **keys)
        for family in FAMILIES
        for number, (name, keys) in enumerate(QUICK.items())
    ]
    machine = uml.machine(kernel)
    results = in_guests([make(scenario, machine) for scenario in scenarios], tmp_path, kernel)
    verdicts = [(r.plan.scenario.summary, r.verdict.verdict, r.verdict.reason) for r in results]
    assert [v for v in verdicts if v[1] != "pass"] == []
    for result in results:
        kinds = {event.kind for event in result.events}
        name = result.plan.scenario.summary
        assert ("subject.connected" in kinds) == name.startswith("made "), name
        assert ("subject.shut" in kinds) == (name == "shut"), name
        if name == "full":
            came = [
                e
                for e in result.events
                if e.kind == "segment" and e.source == "client" and e.data["way"] == "in"
            ]
            assert any(window(event) == 0 for event in came)
            assert sent(result.events, "probe", "A")


@pytest.mark.parametrize("apart", [(), ("client",), ("server",), SIDES], ids=str)
def test_connecting_inside_and_in_processes(apart: tuple[Side, ...]) -> None:
    """The same events either way; the server listens before the client is started."""
    timeline = Timeline()
    loop = EventLoop(timeline)
    scenario = Scenario(state="connecting", server=Endpoint(receive_buffer_bytes=4096))
    with nothing_held(), ExitStack() as stack:
        lab = stack.enter_context(NetnsLab(scenario.topology))
        stack.callback(loop.close)
        order: list[str] = []
        pair = connected(
            scenario,
            lab,
            timeline,
            loop,
            frozenset(apart),
            lambda: order.extend(e.kind for e in timeline.events),
        )
        connection = stack.enter_context(pair)
        assert "subject.armed" not in order
        for end in connection.ends.values():
            loop.watch(end)
        kinds = [e.kind for e in timeline.events]
        assert "subject.armed" in kinds
        deadline_ns = time.monotonic_ns() + 5_000_000_000
        loop.wait(deadline_ns, lambda: "subject.connected" in [e.kind for e in timeline.events])
        assert connection.ends["client"].say()
        loop.wait(deadline_ns, lambda: connection.echo_is_over)
        assert connection.echoed


def _slow(family: Family) -> list[Scenario]:
    """What takes minutes, by its name."""
    gone = Expect(outcome="detected", errno="ETIMEDOUT", window_s=(100.0, 1500.0))
    slow: dict[str, dict[str, Any]] = {
        "connecting": {"state": "connecting", "faults": (Blackhole(),), "expect": gone},
        "closing": {
            "client": Endpoint(shuts_at_s=1.0),
            "faults": (Blackhole(at_s=0.5),),
            "expect": gone,
        },
        "full": {
            "client": TALKER,
            "server": NOT_READING,
            "faults": (Blackhole(at_s=0.4),),
            "expect": gone,
        },
        "full for ever": {
            "client": TALKER,
            "server": NOT_READING,
            "expect": Expect(outcome="never", bound_s=5000.0),
        },
    }
    return [
        Scenario(name=f"{name}".replace(" ", "-"), topology=Topology(family=family), **slow[name])
        for name in slow
    ]


@pytest.mark.virtual
@pytest.mark.parametrize("family", FAMILIES)
def test_slow_ones_in_virtual_time(tmp_path: Path, kernel: Kernel, family: Family) -> None:
    """SYNs, FINs and probes of a closed window are repeated as often as the kernel's defaults say,
    and no more.
    """
    machine = uml.machine(kernel)
    results = in_guests([make(scenario, machine) for scenario in _slow(family)], tmp_path, kernel)
    assert [(r.plan.name, r.verdict.reason) for r in results if r.verdict.verdict != "pass"] == []
    events = {result.plan.name: result.events for result in results}
    assert (
        len(sent(events["connecting"], "syn", "S")) >= 7
    )  # tcp_syn_retries 6, and linear ones since Linux 6.5
    fins = sent(events["closing"], "fin", "F")
    assert len(fins) == 1 + 1 + 15  # itself, a loss probe, tcp_retries2
    assert fins[0] == pytest.approx(1.0, abs=0.001)
    assert len(sent(events["full"], "probe", "A")) == 15
    gaps = [
        later - earlier
        for earlier, later in itertools.pairwise(sent(events["full-for-ever"], "probe", "A"))
    ]
    assert gaps[-1] == pytest.approx(122.88, abs=0.001)
    assert len(gaps) > 40
