"""Timelines made by hand of a client whose connection is cut and given back, once or twice."""

from __future__ import annotations

from typing import Any

from harness.faults import AnyFault, Blackhole, RstInjected
from harness.model.programs import Command, Detects
from harness.plan.plan import Plan
from harness.scenario.schema import Endpoint
from harness.timeline import Event
from tests.unit.timelines import SECOND, at, planned

OUTAGE = Blackhole(at_s=10, for_s=20)
SECOND_OUTAGE = Blackhole(at_s=60, for_s=5)
RESET = RstInjected(toward="client", at_s=35)
CLIENT = Endpoint(command=Command(argv=("client",), detects=Detects(prints="lost")))
WITHIN = (0.0, 8.0)
FAR = 7000


def recovering(*faults: AnyFault, **expect: Any) -> Plan:
    """A client of which it is claimed that data passes again within 8 s."""
    return planned(*(faults or (OUTAGE,)), client=CLIENT, **{"recovers_s": WITHIN, **expect})


def run(plan: Plan, *more: Event, ended_s: float = 80) -> list[Event]:
    """What is recorded of a client that has had an answer a second after arming."""
    events = [
        Event(0, "opened", "harness", {"monotonic_ns": 5, "realtime_ns": 7}),
        at(
            0,
            "subject.armed",
            side="client",
            took_ns=0,
            local=["10.77.1.1", 41000],
            remote=["10.77.2.2", FAR],
        ),
        *answered(1),
        *more,
        at(round(ended_s * SECOND), "run.ended", "harness", reason="by hand"),
        at(round(ended_s * SECOND) + 1, "capture.ended", dropped=0),
    ]
    for index, fault in enumerate(plan.scenario.faults):
        names = {"index": index, "fault": fault.kind}
        healed_s = ended_s + 1 if fault.until_s is None else fault.until_s
        healed_ns = round(healed_s * SECOND)
        lost_ns = round((fault.at_s + 0.5) * SECOND)
        events += [
            segment(lost_ns, "out", 0, 0, 1, 41000),
            at(round(fault.at_s * SECOND), "fault.injected", "fault", took_ns=0, **names),
            at(healed_ns, "fault.evidence", "fault", level="bit", found="traces", **names),
            at(healed_ns, "fault.healed", "fault", took_ns=0, **names),
        ]
    return sorted(events, key=lambda event: event.t_ns)


def answered(at_s: float, port: int = 41000) -> list[Event]:
    """The client sends an octet, is answered, and acknowledges the answer at that moment."""
    number, at_ns = round(at_s * 1000), round(at_s * SECOND)
    return [
        segment(at_ns - 2, "out", number, number, 1, port),
        segment(at_ns, "in", number, number + 1, 1, port),
        segment(at_ns + 1, "out", number + 1, number + 1, 0, port),
    ]


def sent(at_s: float, port: int = 41000) -> list[Event]:
    """The client sends an octet, and the server's kernel acknowledges it."""
    number, at_ns = round(at_s * 1000), round(at_s * SECOND)
    return [
        segment(at_ns - 2, "out", number, number, 1, port),
        segment(at_ns, "in", number, number + 1, 0, port),
    ]


def segment(at_ns: int, way: str, seq: int, ack: int, length: int, port: int) -> Event:
    """One that is captured on the client's host."""
    ports = (port, FAR) if way == "out" else (FAR, port)
    return at(
        at_ns,
        "segment",
        way=way,
        role="data" if length else "ack",
        flags="A",
        seq=seq,
        ack=ack,
        length=length,
        sport=ports[0],
        dport=ports[1],
    )


def reconnected(at_s: float) -> Event:
    """Another connection of the client stands."""
    return at(round(at_s * SECOND), "subject.reconnected", side="client", remote=["10.77.2.2", FAR])
