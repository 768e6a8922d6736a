"""Runs of an examination made by hand: what a client and a server leave under one fault."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from harness.examine import grid
from harness.examine.describe import describe
from harness.examine.faults import FAULT_AT_S
from harness.examine.findings import CellReport, Examination
from harness.examine.grid import Cell
from harness.judge.result import Result
from harness.judge.verdict import Verdict
from harness.model.machine import MachineFacts
from harness.model.programs import Command
from harness.plan.planner import make
from harness.scenario.schema import Endpoint, Scenario
from harness.timeline import Event

MACHINE = MachineFacts(kernel="6.18.0", hz=250, hz_source="given", cpus=1, clock="virtual")
BASE = Scenario(
    client=Endpoint(command=Command(argv=("./client", "{server}", "{port}"))),
    server=Endpoint(command=Command(argv=("./server", "{port}"))),
)
SETTINGS = {
    "keepalive": True,
    "idle_s": 60,
    "interval_s": 10,
    "count": 3,
    "user_timeout_ms": 0,
}
OFF = {**SETTINGS, "keepalive": False}
CLIENT, SERVER = ["10.77.1.1", 41000], ["10.77.2.1", 7000]
SECOND = 1_000_000_000


def cell(fault: str, base: Scenario = BASE) -> Cell:
    """The cell of one fault."""
    return grid.of(base, [fault]).cells[0]


def at(after_fault_s: float, kind: str, source: str = "client", **data: Any) -> Event:
    """An event, so many seconds after the fault."""
    return Event(round((FAULT_AT_S + after_fault_s) * 1e9), kind, source, data)


def segment(after_fault_s: float, way: str, role: str = "data", **data: Any) -> Event:
    """A segment of the watched connection, as the client's host captured it."""
    ports = (CLIENT[1], SERVER[1]) if way == "out" else (SERVER[1], CLIENT[1])
    return at(
        after_fault_s,
        "segment",
        **{
            "way": way,
            "role": role,
            "flags": "A",
            "seq": 100,
            "ack": 100,
            "length": 5 if role == "data" else 0,
            "sport": ports[0],
            "dport": ports[1],
            **data,
        },
    )


def sign(after_fault_s: float, how: str, found: str, side: str = "client", **data: Any) -> Event:
    """A sign that the run recognised."""
    return at(after_fault_s, "subject.sign", side, side=side, how=how, found=found, **data)


def printed(after_fault_s: float, line: str, side: str = "client") -> Event:
    """A line of output."""
    return at(after_fault_s, "subject.printed", side, side=side, line=line)


def events(
    *more: Event,
    settings: dict[str, Any] | None = None,
    healed_s: float | None = None,
    watched_s: float = 10_800.0,
) -> tuple[Event, ...]:
    """A run in which nothing happens but `more`. The handshake ends with arming."""
    ends = {"client": (CLIENT, SERVER), "server": (SERVER, CLIENT)}
    armed = [
        at(-FAULT_AT_S, "subject.armed", side, side=side, took_ns=0, local=near, remote=far)
        for side, (near, far) in ends.items()
    ]
    read = [
        at(-FAULT_AT_S, "subject.settings", side, side=side, when="armed", **(settings or SETTINGS))
        for side in ends
    ]
    healed = [] if healed_s is None else [at(healed_s, "fault.healed", "fault", index=0, took_ns=0)]
    found = [
        segment(-FAULT_AT_S, "in", "syn-ack", flags="SA"),
        *armed,
        *read,
        at(0, "fault.injected", "fault", index=0, fault="by hand", took_ns=0),
        *healed,
        *more,
        at(watched_s, "run.ended", "harness", reason="by hand"),
    ]
    return tuple(sorted(found, key=lambda event: event.t_ns))


def described(of: Cell, found: Sequence[Event], **verdict: Any) -> CellReport:
    """The report on a run with these events, which went as planned unless the verdict differs."""
    plan = make(of.scenario, MACHINE)
    told = {"verdict": "pass", "cause": "confirmed", "reason": "by hand", **verdict}
    result = Result(
        plan=plan,
        events=tuple(found),
        verdict=Verdict(
            name=plan.name, clock="virtual", kernel="6.18.0", hz=250, side="client", **told
        ),
    )
    return describe(of, result)


def examination(*cells: CellReport, **more: Any) -> Examination:
    """A whole examination of these cells."""
    made = Examination(
        client="./client", server="./server", clock="virtual", kernel="6.18.0", hz=250, cells=cells
    )
    return msgspec.structs.replace(made, **more)
