"""Judging: each cause of a verdict, reached by a run that has it.

Programs branch on causes, so no name may be lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import msgspec
import pytest

from harness.faults import Blackhole, FirewallIdle
from harness.judge.reasons import Cause, Difference, Doubt
from harness.judge.verdict import judge
from harness.model.programs import Command, Detects
from harness.plan.plan import Plan
from harness.plan.planner import make
from harness.scenario.schema import Endpoint, Expect, Scenario
from harness.timeline import Event
from tests.unit.judging import MS, bitten, noticed_at, window
from tests.unit.recovering import OUTAGE, RESET, answered, reconnected, recovering, run
from tests.unit.timelines import (
    ALIVE,
    MACHINE,
    SECOND,
    as_foreseen,
    at,
    changed,
    flap,
    moved,
    planned,
    unreachable,
    without,
)

Run = tuple[Plan, list[Event]]


def foreseen(plan: Plan) -> Run:
    """A run without any surprise."""
    return plan, as_foreseen(plan)


def unnoticed(plan: Plan) -> Run:
    """A run that is watched to its end, in which nothing is detected."""
    return plan, moved(without(as_foreseen(plan), "subject.detected"), "run.ended", plan.watch_ns)


def in_vain(plan: Plan, *kinds: str) -> Run:
    """A run without some of its events."""
    return plan, without(as_foreseen(plan), *kinds)


def bent(plan: Plan, kind: str, **data: object) -> Run:
    """A run with other data in one kind of events."""
    return plan, changed(as_foreseen(plan), kind, **data)


def broken() -> Run:
    """A run that ended with an error of the harness."""
    plan, events = foreseen(unreachable())
    return plan, [*events, at(SECOND, "run.broken", "harness", error="no more memory")]


def never_asked() -> Run:
    """A quiet run in which nobody sent data at the end."""
    return in_vain(flap(), "subject.alive")


def unwritten() -> Run:
    """A write that the scenario asks for and that never came."""
    client = msgspec.structs.replace(ALIVE, writes_at_s=(1.0,))
    return in_vain(planned(Blackhole(at_s=0.5), client=client), "subject.wrote")


def out_of_nowhere() -> Run:
    """A claim that counts from a segment that never came."""
    plan = unreachable(window_s=(0.0, 9.0), origin="last-received")
    return plan, [e for e in as_foreseen(plan) if e.data.get("way") != "in"]


def late_injection() -> Run:
    """A fault that came after the probe that it should have met."""
    plan = flap()
    return plan, moved(as_foreseen(plan), "fault.injected", 2500 * MS)


def given_up(known_failure: str = "", **expect: object) -> Run:
    """A program that gives its peer up 2 s after arming."""
    client = Endpoint(command=Command(argv=("client",), detects=Detects(prints="lost")))
    claim = msgspec.convert({"outcome": "noticed", "window_s": (1.0, 3.0), **expect}, Expect)
    faults = (Blackhole(at_s=0.5),)
    scenario = Scenario(
        name="by/hand", client=client, faults=faults, expect=claim, known_failure=known_failure
    )
    plan = make(scenario, MACHINE)
    events = [
        at(0, "subject.armed", side="client", took_ns=1000),
        *bitten(0, SECOND // 2),
        at(2 * SECOND, "subject.noticed", side="client", how="output", found="lost"),
        at(3 * SECOND, "run.ended", "harness"),
        at(3 * SECOND, "capture.ended", dropped=0),
    ]
    return plan, events


def never_reconnected() -> Run:
    """A program that gives its peer up and should have connected again."""
    return given_up(reconnects_s=(0.0, 1.0))


def recovery(plan: Plan, *more: Event) -> Run:
    """A program whose connection is cut and given back."""
    return plan, run(plan, *more)


RUNS: dict[Cause, Callable[[], Run]] = {
    "confirmed": lambda: foreseen(unreachable()),
    "known-failure": lambda: given_up("takes longer", window_s=(0.5, 1.0)),
    "timeline-invalid": lambda: bent(unreachable(), "fault.injected", index=7),
    "run-broken": broken,
    "never-armed": lambda: in_vain(unreachable(), "subject.armed"),
    "run-cut-short": lambda: in_vain(unreachable(), "run.ended"),
    "capture-incomplete": lambda: bent(unreachable(), "capture.ended", dropped=3),
    "machine-too-busy": late_injection,
    "fault-never-injected": lambda: in_vain(flap(), "fault.injected"),
    "fault-left-no-evidence": lambda: bent(unreachable(), "fault.evidence", level="none"),
    "fault-met-nothing": lambda: bent(unreachable(), "fault.evidence", level="in-place"),
    "fault-mistimed": lambda: in_vain(flap(), "fault.healed"),
    "action-failed": unwritten,
    "liveness-not-shown": never_asked,
    "origin-missing": out_of_nowhere,
    "false-alarm": lambda: (unreachable(), noticed_at(unreachable(), 300 * MS)),
    "never-noticed": lambda: unnoticed(unreachable()),
    "noticed-too-early": lambda: foreseen(unreachable(window_s=(6.0, 7.0))),
    "noticed-too-late": lambda: foreseen(unreachable(window_s=(4.0, 5.0))),
    "noticed-unexpectedly": lambda: given_up(outcome="never", window_s=None, bound_s=5),
    "claim-refuted": lambda: bent(unreachable(), "subject.detected", errno="EPIPE"),
    "connection-dead": lambda: bent(flap(), "subject.alive", echo=False),
    "reconnection-refuted": never_reconnected,
    "never-recovered": lambda: recovery(recovering()),
    "reconnected-without-data": lambda: recovery(recovering(), reconnected(31)),
    "recovered-after-another-fault": lambda: recovery(recovering(OUTAGE, RESET), *answered(36)),
    "recovered-too-early": lambda: recovery(recovering(recovers_s=(2.0, 3.0)), *answered(31)),
    "recovered-too-late": lambda: recovery(recovering(), *answered(39)),
    "oracle-refuted": lambda: (
        unreachable(),
        noticed_at(unreachable(), window(unreachable())[0] - 1),
    ),
    "known-failure-gone": lambda: given_up("takes longer"),
}
NAMES = {
    "pass": {"confirmed", "known-failure"},
    "inconclusive": set(get_args(Doubt)),
    "fail": set(get_args(Difference)),
}


def test_every_cause_is_named_here() -> None:
    """The runs below are of all causes that a verdict can have."""
    assert set(RUNS) == set().union(*NAMES.values())


@pytest.mark.parametrize("cause", RUNS)
def test_a_run_is_judged_by_its_cause(cause: Cause) -> None:
    """Each doubt is inconclusive, each difference a fail."""
    plan, events = RUNS[cause]()
    found = judge(plan, events)
    assert found.cause == cause, found.reason
    assert cause in NAMES[found.verdict]


def test_too_busy_is_told_from_too_early() -> None:
    """A fault that was healed early is no matter of a busy machine, which may ask for a retry."""
    plan = flap()
    early = judge(plan, moved(as_foreseen(plan), "fault.healed", 2900 * MS))
    late = judge(plan, moved(as_foreseen(plan), "fault.healed", 4900 * MS))
    assert (early.cause, late.cause) == ("fault-mistimed", "machine-too-busy")


def test_a_fault_whose_evidence_is_that_it_was_gone() -> None:
    """Standing faults too must have been in place for what is detected to be theirs."""
    plan = planned(FirewallIdle(timeout_s=1), errno="ETIMEDOUT")
    assert judge(*bent(plan, "fault.evidence", level="none")).cause == "fault-left-no-evidence"
