"""Judging: whether faults were there, in time, and bit."""

from __future__ import annotations

import msgspec
import pytest

from harness.faults import Blackhole, FirewallIdle, LinkDown, PeerReboot, ProcessKill, ToxicTimeout
from harness.system.kernel_clock import Clock
from harness.timeline import Event
from tests.unit import timelines
from tests.unit.judging import MS, QUICK, noticed_at, verdict
from tests.unit.timelines import (
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


def test_noticing_before_the_fault_is_a_false_alarm() -> None:
    """What is detected although no fault has been injected is a failure of the subject, not of the
    run.
    """
    plan = unreachable(window_s=(0.0, 6.0))
    events = moved(as_foreseen(plan), "subject.detected", 300 * MS)
    early = [
        event
        for event in events
        if event.t_ns <= timelines.ARMED_NS + 300 * MS or "ended" in event.kind
    ]
    verdict(
        plan,
        events,
        "fail",
        "a false alarm",
        "ETIMEDOUT 0.300 s after arming",
        "before any fault was injected",
    )
    verdict(plan, early, "fail", "a false alarm")


def test_a_standing_fault_makes_no_alarm_false() -> None:
    """A firewall is there from the start, so what is detected early is a matter of the window."""
    plan = planned(FirewallIdle(timeout_s=1), errno="ETIMEDOUT")
    verdict(plan, noticed_at(plan, SECOND), "fail", "before the oracle's window opens")


def test_a_fault_without_evidence_proves_and_refutes_nothing() -> None:
    """Evidence that the fault was not there, or none at all, makes the run inconclusive, whatever
    was detected.
    """
    plan = unreachable()
    events = as_foreseen(plan)
    quiet = moved(without(events, "subject.detected"), "run.ended", plan.watch_ns)
    for run in (events, quiet, changed(events, "subject.detected", errno="EPIPE")):
        none = changed(run, "fault.evidence", level="none")
        verdict(plan, none, "inconclusive", "fault 0 (blackhole) left no evidence: traces")
        verdict(
            plan,
            without(run, "fault.evidence"),
            "inconclusive",
            "fault 0 (blackhole)",
            "none was gathered",
        )


def test_a_fault_that_met_nothing_can_refute_but_not_prove() -> None:
    """A blackhole in place that no packet met is no pass.

    But what it did not cause refutes the claim.
    """
    plan = unreachable()
    events = changed(as_foreseen(plan), "fault.evidence", level="in-place")
    verdict(plan, events, "inconclusive", "fault 0 (blackhole) left no evidence that it acted")
    verdict(
        plan,
        changed(events, "subject.detected", errno="EPIPE"),
        "fail",
        "expected errno ETIMEDOUT, found EPIPE",
    )
    quiet = moved(without(events, "subject.detected"), "run.ended", plan.watch_ns)
    verdict(plan, quiet, "fail", "expected ETIMEDOUT, found nothing detected")


def test_a_standing_fault_must_act_only_where_it_decides() -> None:
    """A firewall whose state never expired is what the survival is about.

    A detection needs more than that.
    """
    kept = planned(
        FirewallIdle(timeout_s=5, then="reset"), client=QUICK, outcome="survives", bound_s=6
    )
    verdict(kept, changed(as_foreseen(kept), "fault.evidence", level="in-place"), "pass")
    verdict(
        kept,
        changed(as_foreseen(kept), "fault.evidence", level="none"),
        "inconclusive",
        "left no evidence",
    )
    expired = planned(FirewallIdle(timeout_s=1), errno="ETIMEDOUT")
    verdict(expired, as_foreseen(expired), "pass")
    verdict(
        expired,
        changed(as_foreseen(expired), "fault.evidence", level="in-place"),
        "inconclusive",
        "no evidence",
    )


@pytest.mark.parametrize("clock", ["real", "virtual"])
def test_a_firewall_that_keepalive_keeps_open_need_not_act(clock: Clock) -> None:
    """The peer dies later: that fault must act, and the firewall must have been in place."""
    machine = msgspec.structs.replace(timelines.MACHINE, clock=clock)
    plan = planned(FirewallIdle(timeout_s=5), LinkDown(on="server", at_s=9), machine=machine)
    events = as_foreseen(plan) if clock == "real" else unhurried(as_foreseen(plan))
    levels = [e.data["level"] for e in events if e.kind == "fault.evidence"]
    assert sorted(levels) == ["bit", "in-place"]
    verdict(plan, events, "pass", "3 probes unanswered")
    gone = [
        changed([e], "fault.evidence", level="none")[0] if e.data.get("index") == 0 else e
        for e in events
    ]
    verdict(plan, gone, "inconclusive", "fault 0 (firewall-idle) left no evidence")
    unmet = changed(events, "fault.evidence", level="in-place")
    verdict(plan, unmet, "inconclusive", "fault 1 (link-down) left no evidence that it acted")


def unhurried(events: list[Event]) -> list[Event]:
    """The events in virtual time, where no call takes any."""
    return [
        msgspec.structs.replace(e, data={**e.data, "took_ns": 0}) if "took_ns" in e.data else e
        for e in events
    ]


def test_either_of_two_that_do_the_same_is_evidence() -> None:
    """Of two firewalls with one timeout the nearer one acts, and the farther one meets nothing."""
    firewalls = (
        FirewallIdle(timeout_s=1, on="firewall-a"),
        FirewallIdle(timeout_s=1, on="firewall-b"),
    )
    plan = planned(*firewalls, kind="firewalls", errno="ETIMEDOUT")
    events = as_foreseen(plan)
    one = [
        changed([e], "fault.evidence", level="in-place")[0] if e.data.get("index") == 1 else e
        for e in events
    ]
    verdict(plan, one, "pass")
    neither = changed(events, "fault.evidence", level="in-place")
    verdict(plan, neither, "inconclusive", "fault 0 (firewall-idle) left no evidence that it acted")


def test_a_fault_that_met_nothing_says_how_to_send() -> None:
    """When it was on, that nothing was sent, and the keys that change that."""
    plan = planned(Blackhole(at_s=0.5, for_s=1), outcome="survives", bound_s=8)
    unmet = changed(
        as_foreseen(plan), "fault.evidence", level="in-place", found="0 packets dropped"
    )
    words = "it acted: 0 packets dropped; nothing that it acts on was sent while it was on"
    when = "(from 0.500 s after arming to 1.500 s)"
    verdict(plan, unmet, "inconclusive", words, when, "keepalive", "writes_at_s", "at_s", "bound_s")


def test_a_fault_that_never_came_is_told() -> None:
    """A quiet run without its fault is inconclusive."""
    plan = flap()
    verdict(
        plan,
        without(as_foreseen(plan), "fault.injected"),
        "inconclusive",
        "fault 0 (link-down) was never injected",
    )


def test_a_later_fault_that_was_not_waited_for() -> None:
    """What is detected under the first fault is judged.

    If it agrees, the second one has still proven nothing.
    """
    plan = planned(Blackhole(at_s=0.5), PeerReboot(at_s=30.0), outcome="detected")
    events = [e for e in as_foreseen(plan) if e.data.get("index") != 1]
    verdict(
        plan, events, "inconclusive", "fault 1 (peer-reboot) was never injected: ETIMEDOUT 5.090 s"
    )
    late = moved(events, "subject.detected", 4 * SECOND)
    verdict(plan, late, "fail", "before the oracle's window opens")


def test_a_fault_that_was_late_decides_nothing() -> None:
    """Injected or healed later than allowed, with a probe passing meanwhile: inconclusive.

    With none, no matter.
    """
    plan = flap()  # from 0.5 s to 3.6 s; probes pass at about 2.0, 3.0, 4.1 s
    events = as_foreseen(plan)
    verdict(plan, moved(events, "fault.injected", 700 * MS), "pass")
    late = (
        "fault 0 (link-down) was injected 2.500 s to 2.502 s after arming, planned for 0.500 s "
        "to 0.550 s"
    )
    verdict(plan, moved(events, "fault.injected", 2500 * MS), "inconclusive", late, "too busy")
    slow = changed(events, "fault.injected", took_ns=2500 * MS)
    verdict(plan, slow, "inconclusive", "was injected 0.500 s to 3.000 s after arming")
    verdict(plan, moved(events, "fault.healed", 3900 * MS), "pass")
    verdict(
        plan,
        moved(events, "fault.healed", 4900 * MS),
        "inconclusive",
        "was healed 4.900 s to 4.902 s",
        "too busy",
    )
    verdict(
        plan,
        without(events, "fault.healed"),
        "inconclusive",
        "was never healed, planned for 3.600 s",
    )


def test_a_fault_that_was_early_decides_nothing() -> None:
    """Healed before its time, with a probe in between: that is another outage than the one
    foreseen.
    """
    plan = flap()
    events = moved(as_foreseen(plan), "fault.healed", 2900 * MS)
    verdict(
        plan,
        events,
        "inconclusive",
        "was healed 2.900 s to 2.902 s after arming, planned for 3.600 s",
    )
    verdict(plan, moved(events, "fault.healed", 3500 * MS), "pass")


def test_what_went_as_foreseen_is_told_from_what_was_not_compared() -> None:
    """A fault that met nothing, or that the end forestalled, leaves the oracle's prediction
    compared and held.
    """
    plan = unreachable()
    events = as_foreseen(plan)
    assert verdict(plan, events, "pass").as_foreseen
    assert verdict(
        plan, changed(events, "fault.evidence", level="in-place"), "inconclusive", "acted"
    ).as_foreseen
    assert not verdict(
        plan, changed(events, "fault.evidence", level="none"), "inconclusive", "evidence"
    ).as_foreseen
    assert not verdict(plan, changed(events, "subject.detected", errno="EPIPE"), "fail").as_foreseen
    assert not verdict(plan, without(events, "run.ended"), "inconclusive", "cut short").as_foreseen
    forestalled = planned(Blackhole(at_s=0.5), PeerReboot(at_s=6.0))
    assert verdict(forestalled, as_foreseen(forestalled), "inconclusive", "came first").as_foreseen


def test_nothing_is_as_foreseen_without_a_prediction() -> None:
    """A claim that the oracle has no model of can pass, and agrees with nobody."""
    plan = unreachable(window_s=(5.0, 5.4))
    unmodelled = msgspec.structs.replace(
        plan, prediction=None, unpredictable="no model", expected=()
    )
    assert not verdict(unmodelled, as_foreseen(plan), "pass").as_foreseen


def test_a_carrier_has_time_to_settle() -> None:
    """Where the kernel itself takes its time, a fault may set in later by as much."""
    plan = planned(PeerReboot(at_s=0.5))
    heard = at(690 * MS, "segment", way="in", role="ack", flags="A")
    verdict(plan, moved([*as_foreseen(plan), heard], "fault.injected", 640 * MS), "pass")
    words = "was injected 0.700 s to 0.702 s after arming, planned for 0.500 s to 0.650 s"
    verdict(
        plan, moved([*as_foreseen(plan), heard], "fault.injected", 700 * MS), "inconclusive", words
    )


def test_a_local_fault_hides_its_probes() -> None:
    """What one's own dead link swallows is on no wire, so a late healing counts wherever a probe
    may have been due.
    """
    plan = planned(LinkDown(on="client", at_s=0.5, for_s=2.0), outcome="survives", bound_s=8)
    events = as_foreseen(plan)
    verdict(plan, events, "pass")
    verdict(plan, moved(events, "fault.healed", 2700 * MS), "pass")
    hidden = [
        e for e in moved(events, "fault.healed", 3500 * MS) if not 3 * SECOND < e.t_ns < 3300 * MS
    ]
    verdict(plan, hidden, "inconclusive", "was healed 3.500 s", "too busy")


def test_a_fin_that_came_late_with_its_fault_is_not_blamed() -> None:
    """A program killed late sends its FIN late: inconclusive, not a fail."""
    plan = planned(ProcessKill(at_s=0.5), outcome="eof")
    events = moved(moved(as_foreseen(plan), "fault.injected", 800 * MS), "subject.eof", 801 * MS)
    fin = at(800 * MS + 500_000, "segment", way="in", role="fin", flags="FA")
    events = [
        fin if event.data.get("role") == "fin" else event
        for event in moved(events, "run.ended", SECOND)
    ]
    verdict(plan, events, "inconclusive", "fault 0 (process-kill) was injected 0.800 s", "too busy")


def test_a_fault_with_a_clock_of_its_own_is_never_late_without_harm() -> None:
    """A toxic counts from when it is in place: nothing passes meanwhile, and yet all that it does
    is late.
    """
    toxic = ToxicTimeout(at_s=0.5, timeout_ms=2000)
    plan = planned(toxic, kind="proxied", client=QUICK, outcome="eof")
    events = as_foreseen(plan)
    verdict(plan, events, "pass")
    late = "fault 0 (toxic-timeout) was injected 0.500 s to 0.600 s after arming"
    verdict(
        plan, changed(events, "fault.injected", took_ns=100 * MS), "inconclusive", late, "too busy"
    )


def test_what_is_late_in_silence_does_no_harm_without_a_clock() -> None:
    """A toxic that never closes sets no clock; nor does the healing of one that does."""
    endless = planned(
        ToxicTimeout(at_s=0.5, timeout_ms=0),
        kind="proxied",
        client=QUICK,
        outcome="never",
        bound_s=4,
    )
    verdict(endless, changed(as_foreseen(endless), "fault.injected", took_ns=100 * MS), "pass")
    timed = ToxicTimeout(at_s=0.5, timeout_ms=60_000, for_s=2)
    plan = planned(timed, kind="proxied", client=QUICK, outcome="eof")
    events = as_foreseen(plan)
    verdict(plan, events, "pass")
    verdict(plan, changed(events, "fault.healed", took_ns=100 * MS), "pass")
