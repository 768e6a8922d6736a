"""Judging: what makes a run pass, fail or inconclusive, one claim a test, on timelines made by hand and saved ones."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.faults import Blackhole, FirewallIdle, LinkDown, PeerReboot, ProcessFreeze, ProcessKill
from harness.judge import EXIT_STATUS, Verdict, judge, worst
from harness.plan import TIMER_ALLOWANCE_MS, Plan
from harness.scenario import Endpoint, Keepalive
from harness.timeline import Event
from tests.unit import timelines
from tests.unit.timelines import ALIVE, SECOND, as_foreseen, at, changed, flap, moved, planned, unreachable, without

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
    """The foreseen run, noticed at another moment, without the RST that would show when the kernel decided."""
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


# --- runs that go as foreseen ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "plan",
    [
        unreachable(window_s=(5.0, 5.4)),
        flap(),
        planned(outcome="survives", bound_s=6),
        planned(PeerReboot(at_s=0.5)),
        planned(PeerReboot(at_s=0.5), client=Endpoint(), outcome="never", bound_s=5),
        planned(ProcessKill(at_s=0.5), outcome="eof", window_s=(0.0, 0.1), origin="fault"),
        planned(ProcessFreeze(at_s=0.5), outcome="never", bound_s=6),
        planned(LinkDown(on="client", at_s=0.5)),
        planned(FirewallIdle(timeout_s=1, then="reset"), errno="ECONNRESET"),
        planned(FirewallIdle(timeout_s=5, then="reset"), client=QUICK, outcome="survives", bound_s=6),
        planned(PeerReboot(on="client", at_s=0.5), client=Endpoint(), server=ALIVE, side="server"),
    ],
    ids=lambda plan: "-".join([*(fault.kind for fault in plan.scenario.faults), plan.scenario.expect.outcome]),
)
def test_what_goes_as_foreseen_passes(plan: Plan) -> None:
    """A run in which everything comes in its window passes, whatever is claimed."""
    found = verdict(plan, as_foreseen(plan), "pass")
    assert found.outcome == plan.expected[0].kind
    assert found.errno == plan.expected[0].errno


def test_a_verdict_says_what_it_rests_on() -> None:
    """It holds what was measured and expected, and cites arming, fault, evidence, healing, detection and the end."""
    plan = unreachable()
    events = as_foreseen(plan)
    found = verdict(plan, events, "pass", "3 probes unanswered", "traces")
    assert (found.name, found.clock, found.kernel, found.hz, found.side) == ("by/hand", "real", "6.18.0", 250, "client")
    assert (found.outcome, found.errno, found.claimed, found.predicted) == ("detected", *["ETIMEDOUT"] * 3)
    assert found.detected_ns == sum(window(plan)) // 2
    assert found.window_ns == window(plan)
    assert (found.probes, found.probes_expected) == (3, (3, 3))
    assert (found.allowance_ns, found.origin) == (ALLOWANCE_NS, "armed")
    kinds = ["subject.armed", "fault.injected", "subject.detected", "run.ended", "fault.evidence", "fault.healed"]
    assert [events[index].kind for index in found.cites] == kinds


@pytest.mark.parametrize(
    ("name", "plan"),
    [
        ("peer-unreachable", unreachable(window_s=(5.0, 5.4))),
        ("outage-survived", planned(Blackhole(at_s=0.5, for_s=3.1), outcome="survives", bound_s=8)),
    ],
)
def test_a_saved_run_is_judged_as_it_was(name: str, plan: Plan) -> None:
    """Timelines of real runs pass again, with their events in any order."""
    events = saved(name)
    found = verdict(plan, events, "pass")
    random.Random(1).shuffle(events)
    assert again(judge(plan, events)) == again(found)


def saved(name: str) -> list[Event]:
    """The events of a real run."""
    lines = (DATA / f"{name}.timeline.jsonl").read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Event) for line in lines]


def again(found: Verdict) -> Verdict:
    """A verdict without the places of events, which are others in another order."""
    return msgspec.structs.replace(found, cites=())


# --- when ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", ["armed", "claimed"])
def test_the_window_is_exact_to_the_nanosecond(origin: str) -> None:
    """One ns before it opens is too early; after it has closed the allowance counts, and one ns more is too late."""
    plan = unreachable()
    lo, hi = window(plan)
    words = ("the oracle's window",)
    if origin == "claimed":
        plan = unreachable(window_s=((lo + 5 * MS) / 1e9, (hi - 5 * MS) / 1e9))
        lo, hi, words = lo + 5 * MS, hi - 5 * MS, ("expect.window_s [5.077, 5.103] s after armed",)
    verdict(plan, noticed_at(plan, lo), "pass")
    verdict(plan, noticed_at(plan, hi), "pass")
    verdict(plan, noticed_at(plan, hi + ALLOWANCE_NS), "pass")
    verdict(plan, noticed_at(plan, hi + ALLOWANCE_NS + TOOK_NS), "pass")
    verdict(plan, noticed_at(plan, lo - 1), "fail", "before", *words)
    verdict(plan, noticed_at(plan, hi + ALLOWANCE_NS + TOOK_NS + 1), "fail", "after", *words)
    verdict(plan, noticed_at(plan, lo - 20 * MS), "fail", ", 0.020 s before", *words)
    verdict(plan, noticed_at(plan, hi + 70 * MS), "fail", ", 0.070 s after", *words)


def test_virtual_time_has_no_allowance() -> None:
    """Where nothing can be late, one nanosecond after the window is too late."""
    plan = planned(Blackhole(at_s=0.5), machine=msgspec.structs.replace(timelines.MACHINE, clock="virtual"))
    _, hi = window(plan)
    exact = changed(noticed_at(plan, hi), "subject.armed", took_ns=0)
    exact = moved(exact, "fault.injected", SECOND // 2)
    verdict(plan, changed(exact, "fault.injected", took_ns=0), "pass")
    late = changed(noticed_at(plan, hi + 1), "subject.armed", took_ns=0)
    verdict(plan, late, "fail", "after the oracle's window closed")


def test_a_claim_that_is_narrower_than_the_truth_fails() -> None:
    """Where the kernel keeps to the oracle but not to the claim, the claim is refuted and the oracle quoted."""
    plan = unreachable(window_s=(4.9, 5.0))
    words = ("after expect.window_s [4.9, 5] s after armed ended", "the oracle predicted ETIMEDOUT 5.072 s to 5.108 s")
    verdict(plan, as_foreseen(plan), "fail", *words)
    plan = unreachable(window_s=(5.2, 5.4))
    verdict(plan, as_foreseen(plan), "fail", "before expect.window_s [5.2, 5.4] s", "the oracle predicted")


def test_an_oracle_that_is_wrong_fails_the_run() -> None:
    """Where the kernel keeps to the claim but not to the oracle, that is no pass, and the reason names the oracle."""
    plan = unreachable(window_s=(4.0, 6.0))
    lo, _ = window(plan)
    verdict(plan, noticed_at(plan, lo - 100 * MS), "fail", "before the oracle's window opens")
    plan = planned(Blackhole(at_s=0.5), client=Endpoint(), outcome="detected", errno="ETIMEDOUT")
    # Nothing is foreseen here but that nothing is noticed.
    events = [at(0, "subject.armed", side="client", took_ns=1), *bitten(0, SECOND // 2)]
    events += [at(2 * SECOND, "subject.detected", side="client", errno="ETIMEDOUT")]
    events += [at(2 * SECOND + MS, "run.ended", "harness"), at(3 * SECOND, "capture.ended", dropped=0)]
    verdict(plan, events, "fail", "the claim holds but the oracle is wrong", "ETIMEDOUT 2.000 s after arming")


def test_the_rst_tells_outcomes_of_one_errno_apart() -> None:
    """With two windows for one errno, a moment that lies between both is in neither."""
    plan = unreachable()
    (early,) = plan.expected
    then = (7 * SECOND, 7 * SECOND + 9)
    late = msgspec.structs.replace(
        early, rst=False, window_ns=then, probes_seen=(2, 3), window_by_probes={2: then, 3: then}
    )
    assert plan.prediction is not None
    prediction = msgspec.structs.replace(plan.prediction, outcomes=(early, late))
    plan = msgspec.structs.replace(plan, prediction=prediction, expected=(early, late))
    verdict(plan, as_foreseen(plan), "pass")
    verdict(plan, noticed_at(plan, 6 * SECOND), "fail", "after the oracle's window closed")
    silent = [event for event in noticed_at(plan, 7 * SECOND) if event.data.get("role") != "rst"]
    verdict(plan, silent, "pass")
    fewer = [event for event in silent if event.data.get("role") != "probe"]
    verdict(plan, fewer, "fail", "0 probes on the wire, the oracle says 2 to 3")


def test_a_pass_says_why() -> None:
    """The reason is that of the outcome that came, not of another one that was possible too."""
    plan = unreachable()
    (outcome,) = plan.expected
    other = msgspec.structs.replace(outcome, errno="EPIPE", why="another reason")
    plan = msgspec.structs.replace(plan, expected=(other, outcome))
    assert verdict(plan, as_foreseen(unreachable()), "pass").reason == "3 probes unanswered (traces)"


def test_a_program_that_was_woken_late_is_not_blamed() -> None:
    """Where the RST shows that the kernel decided in time, lateness is this machine's: inconclusive."""
    for plan in (unreachable(), unreachable(window_s=(5.0, 5.2)), planned(PeerReboot(at_s=0.5))):
        late_ns = window(plan)[1] + 300 * MS
        events = moved(moved(as_foreseen(plan), "subject.detected", late_ns), "run.ended", late_ns + MS)
        words = f"the program ran {(late_ns - sum(window(plan)) // 2) / 1e9 + 0.0001:.3f} s later"
        verdict(plan, events, "inconclusive", "the kernel decided in time", words, "this machine is too busy")


def test_icmp_does_not_show_when_the_kernel_decided() -> None:
    """An ICMP error among the segments, which has no flags, does not disturb the judge."""
    plan = unreachable(window_s=(0.0, 9.0), origin="last-received")
    error = at(3 * SECOND, "segment", way="in", role="icmp", type=3, code=1, about=None)
    events = [*as_foreseen(plan), error]
    assert verdict(plan, events, "pass").detected_ns == sum(window(plan)) // 2 + MS
    late_ns = window(plan)[1] + 300 * MS
    events = [*moved(moved(events, "subject.detected", late_ns), "run.ended", late_ns + MS)]
    verdict(plan, [event for event in events if event.data.get("role") != "rst"], "fail")


# --- what ------------------------------------------------------------------------------------------------


def test_another_errno_fails() -> None:
    """The reason names both errnos and what the oracle said."""
    plan = unreachable()
    events = changed(as_foreseen(plan), "subject.detected", errno="ECONNRESET")
    words = ("expected errno ETIMEDOUT, found ECONNRESET 5.090 s after arming", "the oracle predicted ETIMEDOUT")
    assert verdict(plan, events, "fail", *words).errno == "ECONNRESET"


def test_an_errno_that_only_the_oracle_gave_fails() -> None:
    """Where the claim leaves the errno open, the prediction decides."""
    plan = planned(Blackhole(at_s=0.5), outcome="detected")
    events = changed(as_foreseen(plan), "subject.detected", errno="EPIPE")
    verdict(plan, events, "fail", "the claim holds but the oracle is wrong: EPIPE 5.090 s after arming")


def test_end_of_file_is_no_error() -> None:
    """A FIN where an error was claimed fails."""
    plan = unreachable()
    eof = at(3 * SECOND, "subject.eof", side="client")
    events = [*without(as_foreseen(plan), "subject.detected"), eof]
    verdict(plan, events, "fail", "expected ETIMEDOUT, found end of file 3.000 s after arming")


def test_nothing_noticed_fails_where_something_is_claimed() -> None:
    """A dead peer that nobody notices, watched to the end, refutes the claim."""
    plan = unreachable()
    events = moved(without(as_foreseen(plan), "subject.detected"), "run.ended", plan.watch_ns)
    found = verdict(plan, events, "fail", "expected ETIMEDOUT, found nothing noticed")
    assert (found.outcome, found.detected_ns) == ("quiet", None)


def test_something_noticed_fails_where_survival_is_claimed() -> None:
    """An error during an outage that must be survived fails."""
    plan = flap()
    events = [*as_foreseen(plan), at(4 * SECOND, "subject.detected", side="client", errno="ETIMEDOUT")]
    verdict(plan, events, "fail", "expected the connection to survive, found ETIMEDOUT 4.000 s after arming")


def test_what_the_other_side_notices_does_not_count() -> None:
    """Only the side that is observed decides."""
    plan = unreachable()
    other = at(SECOND, "subject.detected", "server", side="server", errno="ECONNRESET")
    probes = [at(SECOND + n, "segment", "server", way="out", role="probe", flags="A") for n in range(5)]
    assert verdict(plan, [*as_foreseen(plan), other, *probes], "pass").errno == "ETIMEDOUT"


def test_survival_is_shown_by_data() -> None:
    """A quiet connection survives when data comes back at the end; unanswered it is dead, unsent it is unknown."""
    plan = planned(outcome="survives", bound_s=6)
    events = as_foreseen(plan)
    verdict(plan, events, "pass")
    verdict(plan, changed(events, "subject.alive", echo=False), "fail", "data sent at the end did not come back")
    verdict(plan, without(events, "subject.alive"), "inconclusive", "no data was sent")


def test_never_needs_no_data() -> None:
    """Where the claim is only that nothing is noticed, the connection may be dead."""
    plan = planned(PeerReboot(at_s=0.5), client=Endpoint(), outcome="never", bound_s=5)
    verdict(plan, without(as_foreseen(plan), "subject.alive"), "pass")


# --- faults ----------------------------------------------------------------------------------------------


def test_noticing_before_the_fault_is_a_false_alarm() -> None:
    """What is noticed although no fault has been injected is a failure of the subject, not of the run."""
    plan = unreachable(window_s=(0.0, 6.0))
    events = moved(as_foreseen(plan), "subject.detected", 300 * MS)
    early = [event for event in events if event.t_ns <= timelines.ARMED_NS + 300 * MS or "ended" in event.kind]
    verdict(plan, events, "fail", "a false alarm", "ETIMEDOUT 0.300 s after arming", "before any fault was injected")
    verdict(plan, early, "fail", "a false alarm")


def test_a_standing_fault_makes_no_alarm_false() -> None:
    """A firewall is there from the start, so what is noticed early is a matter of the window."""
    plan = planned(FirewallIdle(timeout_s=1), errno="ETIMEDOUT")
    verdict(plan, noticed_at(plan, SECOND), "fail", "before the oracle's window opens")


def test_a_fault_without_evidence_proves_and_refutes_nothing() -> None:
    """Evidence that the fault was not there, or none at all, makes the run inconclusive, whatever was noticed."""
    plan = unreachable()
    events = as_foreseen(plan)
    quiet = moved(without(events, "subject.detected"), "run.ended", plan.watch_ns)
    for run in (events, quiet, changed(events, "subject.detected", errno="EPIPE")):
        none = changed(run, "fault.evidence", level="none")
        verdict(plan, none, "inconclusive", "fault 0 (blackhole) left no evidence that it bit: traces")
        verdict(plan, without(run, "fault.evidence"), "inconclusive", "fault 0 (blackhole)", "none was gathered")


def test_a_fault_that_met_nothing_can_refute_but_not_prove() -> None:
    """A blackhole in place that no packet met is no pass; but what it did not cause refutes the claim."""
    plan = unreachable()
    events = changed(as_foreseen(plan), "fault.evidence", level="in-place")
    verdict(plan, events, "inconclusive", "fault 0 (blackhole) left no evidence that it bit")
    verdict(plan, changed(events, "subject.detected", errno="EPIPE"), "fail", "expected errno ETIMEDOUT, found EPIPE")
    quiet = moved(without(events, "subject.detected"), "run.ended", plan.watch_ns)
    verdict(plan, quiet, "fail", "expected ETIMEDOUT, found nothing noticed")


def test_a_standing_fault_need_not_bite_where_nothing_is_noticed() -> None:
    """A firewall whose state never expired is what the survival is about; a detection needs more than that."""
    kept = planned(FirewallIdle(timeout_s=5, then="reset"), client=QUICK, outcome="survives", bound_s=6)
    verdict(kept, changed(as_foreseen(kept), "fault.evidence", level="in-place"), "pass")
    verdict(kept, changed(as_foreseen(kept), "fault.evidence", level="none"), "inconclusive", "left no evidence")
    expired = planned(FirewallIdle(timeout_s=1), errno="ETIMEDOUT")
    verdict(expired, as_foreseen(expired), "pass")
    verdict(expired, changed(as_foreseen(expired), "fault.evidence", level="in-place"), "inconclusive", "no evidence")


def test_a_fault_that_never_came_is_told() -> None:
    """A quiet run without its fault is inconclusive."""
    plan = flap()
    verdict(
        plan, without(as_foreseen(plan), "fault.injected"), "inconclusive", "fault 0 (link-down) was never injected"
    )


def test_a_later_fault_that_was_not_waited_for() -> None:
    """What is noticed under the first fault is judged; if it agrees, the second one has still proven nothing."""
    plan = planned(Blackhole(at_s=0.5), PeerReboot(at_s=30.0), outcome="detected")
    events = [e for e in as_foreseen(plan) if e.data.get("index") != 1]
    verdict(plan, events, "inconclusive", "fault 1 (peer-reboot) was never injected: ETIMEDOUT 5.090 s")
    late = moved(events, "subject.detected", 4 * SECOND)
    verdict(plan, late, "fail", "before the oracle's window opens")


def test_a_fault_that_was_late_decides_nothing() -> None:
    """Injected or healed later than allowed, with a probe passing meanwhile: inconclusive. With none, no matter."""
    plan = flap()  # from 0.5 s to 3.6 s; probes pass at about 2.0, 3.0, 4.1 s
    events = as_foreseen(plan)
    verdict(plan, moved(events, "fault.injected", 700 * MS), "pass")
    late = "fault 0 (link-down) was injected 2.500 s to 2.502 s after arming, planned for 0.500 s to 0.550 s"
    verdict(plan, moved(events, "fault.injected", 2500 * MS), "inconclusive", late, "too busy")
    slow = changed(events, "fault.injected", took_ns=2500 * MS)
    verdict(plan, slow, "inconclusive", "was injected 0.500 s to 3.000 s after arming")
    verdict(plan, moved(events, "fault.healed", 3900 * MS), "pass")
    verdict(plan, moved(events, "fault.healed", 4900 * MS), "inconclusive", "was healed 4.900 s to 4.902 s", "too busy")
    verdict(plan, without(events, "fault.healed"), "inconclusive", "was never healed, planned for 3.600 s")


def test_a_fault_that_was_early_decides_nothing() -> None:
    """Healed before its time, with a probe in between: that is another outage than the one foreseen."""
    plan = flap()
    events = moved(as_foreseen(plan), "fault.healed", 2900 * MS)
    verdict(plan, events, "inconclusive", "was healed 2.900 s to 2.902 s after arming, planned for 3.600 s")
    verdict(plan, moved(events, "fault.healed", 3500 * MS), "pass")


def test_a_carrier_has_time_to_settle() -> None:
    """Where the kernel itself takes its time, a fault may set in later by as much."""
    plan = planned(PeerReboot(at_s=0.5))
    heard = at(690 * MS, "segment", way="in", role="ack", flags="A")
    verdict(plan, moved([*as_foreseen(plan), heard], "fault.injected", 640 * MS), "pass")
    words = "was injected 0.700 s to 0.702 s after arming, planned for 0.500 s to 0.650 s"
    verdict(plan, moved([*as_foreseen(plan), heard], "fault.injected", 700 * MS), "inconclusive", words)


def test_a_local_fault_hides_its_probes() -> None:
    """What one's own dead link swallows is on no wire, so a late healing counts wherever a probe may have been due."""
    plan = planned(LinkDown(on="client", at_s=0.5, for_s=2.0), outcome="survives", bound_s=8)
    events = as_foreseen(plan)
    verdict(plan, events, "pass")
    verdict(plan, moved(events, "fault.healed", 2700 * MS), "pass")
    hidden = [e for e in moved(events, "fault.healed", 3500 * MS) if not 3 * SECOND < e.t_ns < 3300 * MS]
    verdict(plan, hidden, "inconclusive", "was healed 3.500 s", "too busy")


def test_a_fin_that_came_late_with_its_fault_is_not_blamed() -> None:
    """A program killed late sends its FIN late: inconclusive, not a fail."""
    plan = planned(ProcessKill(at_s=0.5), outcome="eof")
    events = moved(moved(as_foreseen(plan), "fault.injected", 800 * MS), "subject.eof", 801 * MS)
    fin = at(800 * MS + 500_000, "segment", way="in", role="fin", flags="FA")
    events = [fin if event.data.get("role") == "fin" else event for event in moved(events, "run.ended", SECOND)]
    verdict(plan, events, "inconclusive", "fault 0 (process-kill) was injected 0.800 s", "too busy")


# --- the wire --------------------------------------------------------------------------------------------


def test_probes_are_counted() -> None:
    """One probe too many or too few on the wire is a disagreement with the oracle."""
    plan = unreachable()
    events = as_foreseen(plan)
    first = timelines.segments(events, "probe")[0]
    verdict(plan, [e for e in events if e is not first], "fail", "2 probes on the wire, the oracle says 3")
    more = at(4500 * MS, "segment", way="out", role="probe", flags="A")
    assert verdict(plan, [*events, more], "fail", "4 probes on the wire, the oracle says 3").probes == 4
    after_the_end = at(window(plan)[1] + MS, "segment", way="out", role="probe", flags="A")
    verdict(plan, [*events, after_the_end], "pass")
    from_the_peer = at(4500 * MS, "segment", way="in", role="probe", flags="A")
    verdict(plan, [*events, from_the_peer], "pass")


def test_probes_beyond_the_horizon_are_not_counted() -> None:
    """A quiet connection that is watched for longer than was looked ahead may be probed again."""
    plan = flap()
    longer = msgspec.structs.replace(plan, watch_ns=plan.watch_ns + 5 * SECOND)
    events = moved(as_foreseen(plan), "run.ended", longer.watch_ns)
    late = at(plan.watch_ns + SECOND, "segment", way="out", role="probe", flags="A")
    verdict(longer, [*events, late], "pass")
    verdict(longer, [*events, at(7 * SECOND, "segment", way="out", role="probe", flags="A")], "fail", "5 probes")


def test_probes_keep_to_their_windows() -> None:
    """Probes that are all a nanosecond outside of their windows fail; only a busy kernel is allowed for."""
    plan = unreachable()
    assert plan.prediction is not None
    lo, hi = plan.prediction.probe_windows_ns[1]
    busy_ns = TIMER_ALLOWANCE_MS * MS

    def sent(second_ns: int) -> list[Event]:
        probes = timelines.segments(as_foreseen(plan), "probe")
        later_ns = timelines.ARMED_NS + second_ns - probes[1].t_ns
        return [
            msgspec.structs.replace(e, t_ns=e.t_ns + later_ns) if e.data.get("role") == "probe" else e
            for e in as_foreseen(plan)
        ]

    verdict(plan, sent(lo), "pass")
    verdict(plan, sent(hi + busy_ns + TOOK_NS), "pass")
    verdict(plan, sent(lo - 1), "fail", "was sent", "the oracle says")
    verdict(plan, sent(hi + busy_ns + TOOK_NS + 1), "fail", "was sent")


def test_probes_keep_their_distance() -> None:
    """One probe moved within its window betrays itself: the kernel's spacing is exact."""
    plan = unreachable()
    events = as_foreseen(plan)
    second = timelines.segments(events, "probe")[1]
    moved_by = (TIMER_ALLOWANCE_MS + 4) * MS

    def shifted(by_ns: int) -> list[Event]:
        return [msgspec.structs.replace(e, t_ns=e.t_ns + by_ns) if e is second else e for e in events]

    verdict(plan, shifted(moved_by), "pass")
    verdict(plan, shifted(moved_by + 1), "fail", "probe 2 came 1.078 s after probe 1", "the oracle says 1.024 s")


def test_survival_rests_on_answers() -> None:
    """Where as many probes in a row as the count went unanswered, a live connection is a contradiction."""
    plan = flap()
    deaf = [e for e in as_foreseen(plan) if e.data.get("role") != "answer"]
    verdict(plan, deaf, "fail", "probes in a row went unanswered")


def test_a_reset_needs_its_rst() -> None:
    """ECONNRESET without an RST on the wire is nobody's doing."""
    plan = planned(PeerReboot(at_s=0.5), outcome="detected", errno="ECONNRESET")
    verdict(plan, as_foreseen(plan), "pass")
    silent = [e for e in as_foreseen(plan) if e.data.get("role") != "rst"]
    verdict(plan, silent, "fail", "no RST was captured")


def test_what_lies_between_two_possible_ends_is_in_neither() -> None:
    """The number of probes tells which of several ends it was, and each has a window of its own."""
    short = Blackhole(at_s=0.5, for_s=2.52)
    alive = Endpoint(keepalive=Keepalive(idle_s=1, interval_s=1, count=3))
    plan = planned(short, Blackhole(at_s=6), client=alive, outcome="detected", errno="ETIMEDOUT")
    (outcome,) = plan.expected
    windows = sorted(w for w in outcome.window_by_probes.values() if w is not None)
    assert len(windows) > 1
    assert windows[0][1] < windows[-1][0]
    assert outcome.window_ns == (windows[0][0], windows[-1][1])


def test_the_rst_at_the_abort_is_checked() -> None:
    """An RST that is missing, or that leaves though one's own link is down, is a disagreement with the oracle."""
    plan = unreachable()
    silent = [event for event in as_foreseen(plan) if event.data.get("role") != "rst"]
    verdict(plan, silent, "fail", "no RST left at the abort")
    local = planned(LinkDown(on="client", at_s=0.5))
    rst = at(window(local)[0], "segment", way="out", role="rst", flags="RA")
    verdict(local, [*as_foreseen(local), rst], "fail", "an RST left at the abort")
    torn_down = at(plan.watch_ns, "segment", way="out", role="rst", flags="RA")
    verdict(local, [*as_foreseen(local), torn_down], "pass")


def test_a_capture_that_lost_frames_decides_nothing() -> None:
    """Where frames were lost, probes cannot be counted; those lost on the other host do not matter."""
    plan = unreachable()
    lost = at(6 * SECOND, "capture.ended", dropped=3)
    verdict(plan, [*as_foreseen(plan), lost], "inconclusive", "the capture lost 3 frames")
    verdict(plan, [*as_foreseen(plan), msgspec.structs.replace(lost, source="server")], "pass")
    verdict(plan, [*as_foreseen(plan), at(6 * SECOND, "capture.ended", dropped=0)], "pass")


# --- origins, sides, missing predictions -----------------------------------------------------------------


def test_times_count_from_the_fault_where_the_claim_says_so() -> None:
    """The origin is the first injection; how long that took is how well it is known."""
    plan = unreachable(origin="fault", window_s=(4.0, 4.53))
    found = verdict(plan, as_foreseen(plan), "fail", "noticed 4.590 s after fault, 0.060 s after expect.window_s")
    assert found.detected_ns == 4_589_900_000
    assert found.window_ns == (5_072_000_000 - 500_100_000, 5_108_000_000 - 500_100_000)
    slow = changed(as_foreseen(plan), "fault.injected", took_ns=45 * MS)
    verdict(unreachable(origin="fault", window_s=(4.0, 4.5)), slow, "pass")


def test_times_count_from_the_last_segment_where_the_claim_says_so() -> None:
    """The last segment from the peer counts, be it the handshake's; RST and FIN are not signs of life."""
    plan = unreachable(origin="last-received", window_s=(5.0, 5.2))
    events = as_foreseen(plan)
    assert verdict(plan, events, "pass").detected_ns == sum(window(plan)) // 2 + MS
    heard = at(SECOND, "segment", way="in", role="ack", flags="A")
    verdict(plan, [*events, heard], "fail", "noticed 4.090 s after last-received", "before expect.window_s [5, 5.2]")
    reset = at(SECOND, "segment", way="in", role="rst", flags="R")
    verdict(plan, [*events, reset], "pass")
    unheard = [event for event in events if event.data.get("role") != "syn-ack"]
    verdict(plan, unheard, "inconclusive", "the origin of expect.window_s (last-received) never came")


def test_the_server_may_be_the_observer() -> None:
    """With side = "server" only the server's socket, probes and arming count."""
    plan = planned(PeerReboot(on="client", at_s=0.5), client=Endpoint(), server=ALIVE, side="server")
    events = as_foreseen(plan)
    armed = at(-MS, "subject.armed", "client", side="client", took_ns=9)
    reset = at(0, "subject.detected", "client", side="client", errno="EPIPE")
    found = verdict(plan, [*events, armed, reset], "pass")
    assert (found.side, found.errno, found.probes) == ("server", "ECONNRESET", 1)
    client_only = [*without(events, "subject.armed"), armed]
    verdict(plan, client_only, "inconclusive", "never got ready")


def unpredictable(**expect: Any) -> Plan:
    """A plan without a prediction: a FIN that is sent into a cut path."""
    plan = planned(Blackhole(at_s=0.5), ProcessKill(at_s=1.0), **expect)
    assert plan.prediction is None
    return plan


def test_without_a_prediction_the_claim_decides_alone() -> None:
    """Kind, errno and window are held against the scenario's own; probes and RST are nobody's to foresee."""
    plan = unpredictable(outcome="detected", errno="ETIMEDOUT", window_s=(5.0, 5.4))
    events = [at(0, "subject.armed", side="client", took_ns=TOOK_NS)]
    events += [*bitten(0, SECOND // 2), *bitten(1, SECOND)]
    noticed = at(5200 * MS, "subject.detected", side="client", errno="ETIMEDOUT")
    events += [noticed, at(10 * SECOND, "run.ended", "harness"), at(11 * SECOND, "capture.ended", dropped=0)]
    found = verdict(plan, events, "pass", "as claimed (traces; traces)")
    assert (found.window_ns, found.probes_expected, found.predicted) == (None, None, "")
    assert (found.claimed_ns, found.claimed) == ((5 * SECOND, 5400 * MS), "ETIMEDOUT")
    verdict(plan, moved(events, "subject.detected", 4 * SECOND), "fail", "before expect.window_s")
    verdict(plan, moved(events, "subject.detected", 100 * MS), "fail", "a false alarm")
    verdict(plan, changed(events, "subject.detected", errno="EPIPE"), "fail", "expected errno ETIMEDOUT, found EPIPE")


# --- runs that cannot be judged --------------------------------------------------------------------------


def test_a_broken_run_is_inconclusive() -> None:
    """Whatever else it says, with the error in the reason."""
    plan = unreachable()
    broken = at(6 * SECOND, "run.broken", "harness", error="the lab is gone")
    verdict(plan, [*as_foreseen(plan), broken], "inconclusive", "the run broke: the lab is gone")
    assert judge(plan, [broken]).outcome is None


def test_a_killed_run_is_inconclusive() -> None:
    """Without its last event a run has not said everything."""
    plan = unreachable()
    verdict(plan, without(as_foreseen(plan), "run.ended"), "inconclusive", "cut short: no run.ended")
    verdict(plan, [], "inconclusive", "never got ready")


def test_a_run_that_was_never_armed_is_inconclusive() -> None:
    """There is nothing to count from."""
    plan = unreachable()
    found = verdict(plan, without(as_foreseen(plan), "subject.armed"), "inconclusive", "no subject.armed event")
    assert (found.probes, found.detected_ns, found.window_ns) == (None, None, window(plan))
    from_fault = unreachable(origin="fault", window_s=(4.0, 5.0))
    assert (judge(from_fault, []).window_ns, judge(from_fault, []).claimed_ns) == (None, (4 * SECOND, 5 * SECOND))


def test_a_quiet_run_must_be_watched_to_the_end() -> None:
    """Nothing noticed means nothing when nobody looked."""
    plan = flap()
    events = moved(as_foreseen(plan), "run.ended", plan.watch_ns - 1)
    verdict(plan, events, "inconclusive", "watched for 8.000 s of 8.000 s")
    verdict(plan, moved(events, "run.ended", plan.watch_ns), "pass")


def test_options_that_were_set_late_decide_nothing() -> None:
    """A call that took longer than the allowance leaves the origin unknown."""
    plan = unreachable()
    verdict(plan, changed(as_foreseen(plan), "subject.armed", took_ns=ALLOWANCE_NS), "pass")
    slow = changed(as_foreseen(plan), "subject.armed", took_ns=ALLOWANCE_NS + 1)
    verdict(plan, slow, "inconclusive", "setting the options took 0.050 s", "this machine is too busy")


def test_user_timeout_counts_from_the_handshake() -> None:
    """With TCP_USER_TIMEOUT the time between handshake and arming matters; with keepalive alone it does not."""
    patient = Endpoint(keepalive=Keepalive(idle_s=2, interval_s=1, count=9), user_timeout_s=3.0)
    plan = planned(Blackhole(at_s=0.5), client=patient)
    events = as_foreseen(plan)
    verdict(plan, events, "pass")
    early = [
        at(-80 * MS, "segment", way="in", role="syn-ack", flags="SA") if e.data.get("role") == "syn-ack" else e
        for e in events
    ]
    verdict(plan, early, "inconclusive", "armed 0.080 s after the handshake", "this machine is too busy")
    plain = unreachable()
    verdict(plain, [at(-80 * MS, "segment", way="in", role="ack", flags="A"), *as_foreseen(plain)], "pass")


@pytest.mark.parametrize(
    ("nonsense", "words"),
    [
        (at(0, "segment", way="up", role="probe"), "event 0 (segment)"),
        (at(0, "fault.injected", "fault", index=1, took_ns=1), "the scenario has no fault 1"),
        (at(0, "fault.injected", "fault", index=-1, took_ns=1), "event 0 (fault.injected)"),
        (at(0, "subject.armed", side="client"), "missing required field `took_ns`"),
        (at(0, "subject.detected", side="nobody", errno="EPIPE"), "Invalid enum value 'nobody'"),
        (at(-1, "subject.detected", side="client", errno="EPIPE"), "event 0 (subject.detected) is older than arming"),
        (at(0, "run.broken", "harness"), "missing required field `error`"),
    ],
)
def test_nonsense_is_inconclusive_and_named(nonsense: Event, words: str) -> None:
    """An event that no run can have written makes the timeline worthless, and the reason says which and why."""
    plan = unreachable()
    found = verdict(plan, [nonsense, *as_foreseen(plan)], "inconclusive", "the timeline makes no sense", words)
    assert (found.outcome, found.cites) == (None, ())


def test_unknown_kinds_of_events_are_passed_over() -> None:
    """A later version may write more than this one knows."""
    plan = unreachable()
    verdict(plan, [*as_foreseen(plan), at(1, "weather", "sky", rain=True)], "pass")


# --- several verdicts ------------------------------------------------------------------------------------


def test_fail_is_worse_than_inconclusive_is_worse_than_pass() -> None:
    """The worst verdict stands for a whole run, and each has an exit status of its own."""
    plan = unreachable()
    events = as_foreseen(plan)
    good, bad = judge(plan, events), judge(plan, changed(events, "subject.detected", errno="EPIPE"))
    unclear = judge(plan, [])
    assert worst([good, good]) == "pass"
    assert worst([good, unclear]) == "inconclusive"
    assert worst([unclear, bad, good]) == "fail"
    assert EXIT_STATUS == {"pass": 0, "fail": 1, "inconclusive": 3}


def test_nothing_judged_is_inconclusive() -> None:
    """A run of no scenarios proves nothing."""
    assert worst([]) == "inconclusive"


# --- any timeline at all ---------------------------------------------------------------------------------

REAL = {
    "peer-unreachable": (unreachable(window_s=(5.0, 5.4)), saved("peer-unreachable")),
    "outage-survived": (
        planned(Blackhole(at_s=0.5, for_s=3.1), outcome="survives", bound_s=8),
        saved("outage-survived"),
    ),
}
NEEDED = {
    "peer-unreachable": {
        "subject.armed",
        "subject.detected",
        "fault.injected",
        "fault.evidence",
        "run.ended",
        "segment",
    },
    "outage-survived": {
        *("subject.armed", "subject.alive", "fault.injected", "fault.evidence", "fault.healed", "run.ended", "segment"),
    },
}
JUNK = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)


@settings(deadline=None)
@given(st.data())
def test_any_timeline_gets_a_verdict(data: st.DataObject) -> None:
    """Cut, shuffled, torn, with mangled times and data: the judge never raises, and says the same twice."""
    plan, real = REAL[data.draw(st.sampled_from(sorted(REAL)))]
    events = data.draw(st.lists(st.sampled_from(real), max_size=len(real)))
    for _ in range(data.draw(st.integers(0, 4)) if events else 0):
        index = data.draw(st.integers(0, len(events) - 1))
        events[index] = data.draw(mangled(events[index]))
    found = judge(plan, events)
    assert found.verdict in EXIT_STATUS
    assert judge(plan, list(events)) == found


@st.composite
def mangled(draw: st.DrawFn, event: Event) -> Event:
    """An event with another time, kind, source or piece of data."""
    what = draw(st.sampled_from(("t_ns", "kind", "source", "data", "missing")))
    if what == "t_ns":
        return msgspec.structs.replace(event, t_ns=draw(st.integers(-(2**40), 2**40)))
    if what == "kind":
        kinds = sorted({e.kind for _, real in REAL.values() for e in real} | {"subject.eof", "run.broken"})
        return msgspec.structs.replace(event, kind=draw(st.sampled_from(kinds)))
    if what == "source":
        return msgspec.structs.replace(event, source=draw(st.sampled_from(("client", "server", "?"))))
    if not event.data:
        return event
    key = draw(st.sampled_from(sorted(event.data)))
    if what == "data":
        return msgspec.structs.replace(event, data={**event.data, key: draw(JUNK)})
    return msgspec.structs.replace(event, data={k: v for k, v in event.data.items() if k != key})


@settings(deadline=None)
@given(st.data())
def test_no_timeline_passes_without_what_it_needs(data: st.DataObject) -> None:
    """Whatever else is left out and in whatever order: without one kind of needed event a run is no pass."""
    name = data.draw(st.sampled_from(sorted(REAL)))
    plan, real = REAL[name]
    gone = data.draw(st.sampled_from(sorted(NEEDED[name])))
    kept = [e for e in real if e.kind != gone or (gone == "subject.armed" and e.source == "server")]
    optional = [e for e in kept if e.kind not in NEEDED[name]]
    left_out = data.draw(st.sets(st.integers(0, len(optional) - 1))) if optional else set()
    missing = {id(optional[index]) for index in left_out}
    events = data.draw(st.permutations([e for e in kept if id(e) not in missing]))
    assert judge(plan, events).verdict != "pass"
