"""What tests of the judge share: verdicts held against a name and words, and timelines bent in
common ways.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from harness.judge.verdict import Verdict, judge
from harness.plan.plan import Plan
from harness.scenario.schema import Endpoint, Keepalive
from harness.timeline import Event
from tests.unit.timelines import SECOND, as_foreseen, at, moved

DATA = Path(__file__).parent / "data"
MS = 1_000_000
TOOK_NS = 1000
"""How long arming takes in these timelines."""
ALLOWANCE_NS = 50 * MS
QUICK = Endpoint(keepalive=Keepalive(idle_s=1, interval_s=1, count=2))


def verdict(plan: Plan, events: list[Event], name: str, *words: str) -> Verdict:
    """The verdict, after making sure of its name and of words in its reason."""
    found = judge(plan, events)
    assert (found.verdict, found.reason) == (name, found.reason)
    for word in words:
        assert word in found.reason
    return found


def window(plan: Plan) -> tuple[int, int]:
    """The window of the one expected outcome, in ns after arming."""
    (outcome,) = plan.expected
    assert outcome.window_ns is not None
    return outcome.window_ns


def noticed_at(plan: Plan, moment_ns: int) -> list[Event]:
    """The foreseen run, detected at another moment, without the RST that would show when the kernel
    decided.
    """
    events = moved(as_foreseen(plan), "subject.detected", moment_ns)
    events = [event for event in events if event.data.get("role") != "rst"]
    rst = at(moment_ns, "segment", way="out", role="rst", flags="RA")
    return moved([*events, rst], "run.ended", moment_ns + 20 * MS)


def bitten(index: int, injected_ns: int) -> list[Event]:
    """A fault that was injected at a time, left evidence and was healed late."""
    return [
        at(injected_ns, "fault.injected", "fault", index=index, took_ns=MS),
        at(20 * SECOND, "fault.evidence", "fault", index=index, level="bit", found="traces"),
        at(20 * SECOND, "fault.healed", "fault", index=index, took_ns=MS),
    ]


def saved(name: str) -> list[Event]:
    """The events of a real run."""
    lines = (DATA / f"{name}.timeline.jsonl").read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Event) for line in lines]
