"""Timelines made by hand: what a run that goes exactly as foreseen would leave, to be bent by the
tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from harness.faults import AnyFault, Blackhole, LinkDown
from harness.model.machine import MachineFacts
from harness.model.topology import SIDES, Kind, Topology
from harness.plan.plan import Plan
from harness.plan.planner import make
from harness.scenario.schema import EndExpect, Endpoint, Expect, Keepalive, Scenario, State
from harness.timeline import Event

ARMED_NS = 100_000_000
"""When after the timeline's opening the subject is armed."""
SECOND = 1_000_000_000
MACHINE = MachineFacts(kernel="6.18.0", hz=250, hz_source="given", cpus=2)
ALIVE = Endpoint(keepalive=Keepalive(idle_s=2, interval_s=1, count=3))
"""Detected 5.072 s after arming at the earliest, at HZ=250."""
SLOWER = Endpoint(keepalive=Keepalive(idle_s=10, interval_s=1, count=3))
SILENT = Endpoint()


def planned(
    *faults: AnyFault,
    client: Endpoint = ALIVE,
    server: Endpoint = SILENT,
    machine: MachineFacts = MACHINE,
    kind: Kind = "routed",
    state: State = "established",
    known_failure: str = "",
    **expect: Any,
) -> Plan:
    """A plan for a client with keepalive 2/1/3 and a claim of these parts, unless said
    otherwise.
    """
    scenario = Scenario(
        name="by/hand",
        topology=Topology(kind=kind),
        state=state,
        client=client,
        server=server,
        faults=faults,
        expect=Expect(**expect),
        known_failure=known_failure,
    )
    return make(scenario, machine)


def unreachable(**expect: Any) -> Plan:
    """The common case: a blackhole, ETIMEDOUT, an RST at the abort."""
    return planned(Blackhole(at_s=0.5), **{"outcome": "detected", "errno": "ETIMEDOUT", **expect})


def flap() -> Plan:
    """An outage that is survived: two probes are lost, the later ones answered."""
    return planned(LinkDown(on="server", at_s=0.5, for_s=3.1), outcome="survives", bound_s=8)


def as_foreseen(plan: Plan) -> list[Event]:
    """The events of a run in which everything comes in the middle of its window."""
    prediction = plan.prediction
    assert prediction is not None
    side = plan.scenario.expect.side
    outcome = plan.expected[0]
    end_ns = None if outcome.window_ns is None else _middle(outcome.window_ns)
    events = [
        Event(0, "opened", "harness", {"monotonic_ns": 5, "realtime_ns": 7}),
        at(-1_000_000, "segment", side, way="in", role="syn-ack", flags="SA"),
        at(0, "subject.armed", side, side=side, took_ns=1000),
        *_faults(plan, plan.watch_ns if end_ns is None else end_ns),
        *_writes(plan),
    ]
    for window in prediction.probe_windows_ns[: outcome.probes_seen[0]]:
        sent_ns = _middle(window)
        events.append(at(sent_ns, "segment", side, way="out", role=prediction.asking, flags="A"))
        if end_ns is None and sent_ns > _until_ns(plan):
            events.append(at(sent_ns + 50_000, "segment", side, way="in", role="answer", flags="A"))
    if end_ns is None:
        ended_ns = plan.watch_ns + 1_000_000
        events.append(at(ended_ns, "subject.alive", "client", side="client", echo=True))
    else:
        ended_ns = end_ns + 20_000_000
        events += _end(plan, side, end_ns)
    events.append(at(ended_ns + 1000, "run.ended", "harness", reason="by hand"))
    events.append(at(ended_ns + 40_000_000, "capture.ended", side, dropped=0))
    return sorted(events, key=lambda event: event.t_ns)


def both_judged(client: dict[str, Any], server: dict[str, Any], known_failure: str = "") -> Plan:
    """A blackhole between two ends with keepalive, each with a claim of its own."""
    scenario = Scenario(
        name="by/hand",
        client=ALIVE,
        server=SLOWER,
        faults=(Blackhole(at_s=0.5),),
        expect=Expect(client=EndExpect(**client), server=EndExpect(**server)),
        known_failure=known_failure,
    )
    return make(scenario, MACHINE)


def as_both_foresee(plan: Plan) -> list[Event]:
    """The run in which everything comes in the middle of its window, at both ends."""
    runs = [as_foreseen(end) for end in plan.ends]
    of_run = [event for event in runs[-1] if event.source not in ("client", "server")]
    of_ends = [event for run in runs for event in run if event.source in ("client", "server")]
    (ended,) = (event for event in of_run if event.kind == "run.ended")
    last_ns = max(event.t_ns for run in runs for event in run if event.kind == "run.ended")
    of_run = moved(of_run, ended.kind, last_ns - ARMED_NS)
    return sorted([*of_ends, *of_run], key=lambda event: event.t_ns)


def at(after_armed_ns: int, kind: str, source: str = "client", **data: Any) -> Event:
    """An event at a time after arming."""
    return Event(ARMED_NS + after_armed_ns, kind, source, data)


def without(events: Sequence[Event], *kinds: str) -> list[Event]:
    """The events, less those of some kinds."""
    return [event for event in events if event.kind not in kinds]


def moved(events: Sequence[Event], kind: str, to_ns: int) -> list[Event]:
    """The events, with those of a kind at another time after arming."""
    return [
        msgspec.structs.replace(e, t_ns=ARMED_NS + to_ns) if e.kind == kind else e for e in events
    ]


def changed(events: Sequence[Event], kind: str, **data: Any) -> list[Event]:
    """The events, with other data in those of a kind."""
    return [
        msgspec.structs.replace(e, data={**e.data, **data}) if e.kind == kind else e for e in events
    ]


def segments(events: Sequence[Event], role: str) -> list[Event]:
    """The captured segments of a role."""
    return [event for event in events if event.kind == "segment" and event.data["role"] == role]


def _middle(window: tuple[int, int]) -> int:
    return (window[0] + window[1]) // 2


def _until_ns(plan: Plan) -> int:
    return round(max((fault.until_s or 0.0 for fault in plan.scenario.faults), default=0.0) * 1e9)


def _faults(plan: Plan, end_ns: int) -> list[Event]:
    events = []
    for index, fault in enumerate(plan.scenario.faults):
        injected_ns = -50_000_000 if fault.standing else round(fault.at_s * 1e9) + 100_000
        healed_ns = (
            end_ns + 30_000_000 if fault.until_s is None else round(fault.until_s * 1e9) + 100_000
        )
        common = {"index": index, "fault": fault.kind}
        level = "in-place" if plan.faults[index].demand == "must-stand" else "bit"
        events += [
            at(injected_ns, "fault.injected", "fault", took_ns=2_000_000, **common),
            at(healed_ns - 5000, "fault.evidence", "fault", level=level, found="traces", **common),
            at(healed_ns, "fault.healed", "fault", took_ns=2_000_000, **common),
        ]
    return events


def _writes(plan: Plan) -> list[Event]:
    shuts = [(side, plan.scenario.endpoint(side).shuts_at_s) for side in SIDES]
    return [
        at(round(at_s * 1e9) + 100_000, "subject.shut", side, side=side, done=True, took_ns=1000)
        for side, at_s in shuts
        if at_s is not None
    ] + [
        at(
            round(at_s * 1e9) + 100_000,
            "subject.wrote",
            side,
            side=side,
            written=True,
            took_ns=1000,
        )
        for side in SIDES
        for at_s in plan.scenario.endpoint(side).writes_at_s
    ]


def _end(plan: Plan, side: str, end_ns: int) -> list[Event]:
    outcome = plan.expected[0]
    if outcome.kind == "eof":
        fin = at(end_ns - 100_000, "segment", side, way="in", role="fin", flags="FA")
        return [fin, at(end_ns, "subject.eof", side, side=side, poll=["IN", "RDHUP"])]
    noticed = at(
        end_ns, "subject.detected", side, side=side, errno=outcome.errno, poll=["IN", "ERR"]
    )
    if outcome.rst:
        return [at(end_ns - 100_000, "segment", side, way="out", role="rst", flags="RA"), noticed]
    if outcome.errno == "ECONNRESET":
        return [at(end_ns - 100_000, "segment", side, way="in", role="rst", flags="R"), noticed]
    return [noticed]
