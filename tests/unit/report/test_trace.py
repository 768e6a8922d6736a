"""Runs as traces: what the trace event format demands of each event, and what they say."""

from __future__ import annotations

from typing import Any

import msgspec

from harness.faults import LinkDown
from harness.plan.plan import Plan
from harness.report import trace
from harness.timeline import Event
from tests.unit.report.figure.drawn import Sent, both_ends, result
from tests.unit.report.figure.test_timeline import HANDSHAKE
from tests.unit.timelines import ARMED_NS, as_foreseen, at, planned, unreachable

DEMANDED = {
    "M": {"name", "args"},
    "X": {"name", "cat", "ts", "dur"},
    "i": {"name", "ts", "s"},
    "b": {"name", "cat", "id", "ts"},
    "e": {"name", "cat", "id", "ts"},
    "n": {"name", "cat", "id", "ts"},
}
"""What each kind of event must have, beside process and thread."""


def entries(*runs: tuple[Plan, list[Event]]) -> list[dict[str, Any]]:
    """The events of a trace."""
    document = msgspec.json.decode(trace.render([result(plan, events) for plan, events in runs]))
    found: list[dict[str, Any]] = document["traceEvents"]
    return found


def names(found: list[dict[str, Any]]) -> dict[tuple[int, int], str]:
    """What processes (with thread 0) and threads are called."""
    return {
        (entry["pid"], entry["tid"]): entry["args"]["name"]
        for entry in found
        if entry["name"] in ("process_name", "thread_name")
    }


def test_every_event_is_as_the_format_demands() -> None:
    """All keys are there, no time is negative, and every process and thread has a name."""
    plan = unreachable(window_s=(5.0, 5.4))
    found = entries((plan, [*HANDSHAKE, *as_foreseen(plan)]))
    known = names(found)
    for entry in found:
        assert DEMANDED[entry["ph"]] | {"pid", "tid"} <= entry.keys()
        assert entry.get("ts", 0) >= 0
        assert entry.get("dur", 0) >= 0
        assert (entry["pid"], 0) in known
        assert entry["ph"] in "Mben" or (entry["pid"], entry["tid"]) in known


def test_what_happened_is_on_its_track() -> None:
    """Fault, windows, detection and segments, in microseconds since the timeline was opened."""
    plan = unreachable(window_s=(5.0, 5.4))
    found = entries((plan, [*HANDSHAKE, *as_foreseen(plan)]))
    known, armed_us = names(found), ARMED_NS / 1000
    placed = {
        (known[entry["pid"], 0], known.get((entry["pid"], entry["tid"]), ""), entry["name"]): entry
        for entry in found
        if entry["ph"] != "M"
    }
    fault = placed["by/hand: faults", "blackhole on router", "blackhole on router"]
    assert fault["ts"] == armed_us + 500_100
    window = placed["by/hand: windows", "predicted, client", "ETIMEDOUT"]
    assert (window["ts"], window["dur"]) == (armed_us + 5_072_000, 36_000)
    detected = placed["by/hand: client", "detection", "ETIMEDOUT"]
    assert detected["ts"] == armed_us + 5_090_000
    assert detected["args"] == {"verdict": "pass"}
    assert ("by/hand: client", "segments", "sends keepalive probe") in placed
    assert ("by/hand: server", "segments", "receives SYN") in placed
    assert ("by/hand: network", "", "keepalive probe, lost") in placed


def test_a_segment_is_on_its_way_from_host_to_host() -> None:
    """A span that begins when it was sent and ends when it arrived."""
    plan = planned(outcome="survives", bound_s=6)
    armed = at(0, "subject.armed", side="client", took_ns=1)
    found = entries((plan, [armed, *both_ends(Sent(1000, "client", "data", 70_000, length=5))]))
    begin, end = (entry for entry in found if entry["ph"] in "be")
    assert (begin["ph"], end["ph"]) == ("b", "e")
    assert begin["id"] == end["id"]
    assert end["ts"] - begin["ts"] == 70


def test_several_runs_share_no_process() -> None:
    """Each run's processes have its name and numbers of their own."""
    one, two = unreachable(), planned(LinkDown(on="server", at_s=1))
    found = entries((one, as_foreseen(one)), (two, as_foreseen(two)))
    processes = [entry for entry in found if entry["name"] == "process_name"]
    assert len({entry["pid"] for entry in processes}) == len(processes) == 2 * 5
