"""The schema of a timeline's lines: every kind is described, and what is wrong is found."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from harness.cli import schema
from harness.judge import facts
from harness.model.events import KINDS
from harness.timeline import FORMAT, Event, Timeline
from tests import documents
from tests.unit.timelines import as_foreseen, unreachable

AT = ["10.77.1.1", 40000]
PEER = ["10.77.2.2", 7000]
TCP_INFO = {"state": 7, "retransmits": 0, "probes": 3, "backoff": 0, "rto_us": 1, "unacked": 0}
FRAME = {"host": "client", "device": "c0", "src": AT[0], "dst": PEER[0], "frame": "00"}
FAULT = {"index": 0, "fault": "blackhole"}
LEFT = {"local": AT, "remote": PEER, "state": "ESTABLISHED", "held": True, "unsent": 1, "unread": 0}
SETTINGS = {"keepalive": True, "idle_s": 2, "interval_s": 1, "count": 3, "user_timeout_ms": 0}
DATA: dict[str, dict[str, Any]] = {
    "opened": {"monotonic_ns": 1, "realtime_ns": 2, "format": 1},
    "lab.ready": {"hosts": ["client", "server"], "lab": "netns", "took_ns": 5},
    "subject.listening": {"side": "server", "port": 7000},
    "subject.armed": {"side": "client", "took_ns": 5, "lag_ns": 1, "local": AT, "remote": PEER},
    "subject.connected": {"side": "client"},
    "subject.detected": {
        "side": "client",
        "errno": "ETIMEDOUT",
        "syscall": "recv",
        "poll": ["IN", "ERR"],
        "tcp_info": TCP_INFO,
    },
    "subject.eof": {"side": "client", "poll": ["IN"]},
    "subject.noticed": {"side": "client", "how": "exit", "found": "status 1", "reports": None},
    "subject.sign": {"side": "server", "how": "output", "found": "dead", "reports": "x"},
    "subject.reconnected": {"side": "client", "remote": PEER},
    "subject.beatless": {"side": "server", "errno": "ECONNREFUSED", "remote": PEER},
    "subject.printed": {"side": "proxy", "line": "ready"},
    "subject.lives": {"side": "client", "line": "tick"},
    "subject.wrote": {"side": "client", "written": True, "octets": 1, "took_ns": 1, "lag_ns": 1},
    "subject.shut": {"side": "client", "done": True, "took_ns": 1},
    "subject.echoed": {"side": "client", "octets": 16},
    "subject.alive": {"side": "client", "echo": True},
    "subject.settings": {"side": "client", "when": "end", "local": AT, "remote": PEER, **SETTINGS},
    "subject.left": {"side": "client", "processes": ["psql"], "sockets": [LEFT]},
    "subject.ended": {"side": "client", "status": -9},
    "subject.restarted": {"side": "server"},
    "subject.ready": {"side": "server", "took_ns": 5},
    "fault.injected": {**FAULT, "took_ns": 5},
    "fault.evidence": {**FAULT, "level": "bit", "found": "1 packet", "others": 0},
    "fault.healed": {**FAULT, "took_ns": 5},
    "segment": {**FRAME, "way": "out", "role": "icmp", "wire_length": 90, "type": 3, "code": 1},
    "capture.ended": {"dropped": 0},
    "program.waited": {"program": "client", "took_ns": 5},
    "run.stalled": {"took_ns": 5},
    "run.ended": {"reason": "noticed"},
    "run.broken": {"error": "no lab"},
}
"""Of each kind the data of an event."""


def line(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    """A line of a timeline as a script reads it."""
    found: dict[str, Any] = json.loads(msgspec.json.encode(Event(5, kind, "client", data)))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind(kind: str) -> None:
    """An event is valid with its own keys, by type and by the published schema.

    It is not with one of them missing or of another type, nor is that of an unknown kind.
    """
    documents.check_event(Event(5, kind, "client", DATA[kind]))
    assert documents.problems("timeline", line(kind, DATA[kind])) == []
    required, _ = documents._keys(kind)
    for key in DATA[kind]:
        without = {name: value for name, value in DATA[kind].items() if name != key}
        assert bool(documents.problems("timeline", line(kind, without))) is (key in required), key
        wrong = line(kind, {**DATA[kind], key: {"not": "this"}})
        assert documents.problems("timeline", wrong), key
    assert documents.problems("timeline", line(f"{kind}.x", DATA[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_that_nobody_described_is_found(kind: str) -> None:
    """By the check that the tests of whole runs make; a reader ignores it."""
    more = {**DATA[kind], "later": 1}
    with pytest.raises(AssertionError, match="later"):
        documents.check_event(Event(5, kind, "client", more))
    assert documents.problems("timeline", line(kind, more)) == []


def test_what_a_timeline_begins_with() -> None:
    """The format's number is that of the schema."""
    opened, *_ = Timeline().events
    documents.check_event(opened)
    assert opened.data["format"] == FORMAT
    made = json.loads(schema.render("timeline"))
    assert made["$defs"]["Opened"]["properties"]["format"]["enum"] == [FORMAT]


def test_timelines_made_by_hand_are_judged() -> None:
    """The judge reads the same types, and demands only what it needs."""
    for event in as_foreseen(unreachable()):
        if event.kind in facts.KINDS:
            assert facts.KINDS[event.kind] is KINDS[event.kind]
            msgspec.convert(event.data, KINDS[event.kind])


def test_every_key_is_described() -> None:
    """And every kind, by a text of its own."""
    made = json.loads(schema.render("timeline"))
    assert [each["title"] for each in made["oneOf"]] == list(KINDS)
    texts = [each["description"] for each in made["oneOf"]]
    assert len(set(texts)) == len(texts)
    for name, table in made["$defs"].items():
        for key, node in table["properties"].items():
            assert node["description"] != table["description"], (name, key)
