"""Judging: runs that go as foreseen, and what and when is detected; one claim a test."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from harness.faults import Blackhole, FirewallIdle, LinkDown, PeerReboot, ProcessFreeze, ProcessKill
from harness.judge.verdict import Verdict, judge
from harness.plan.plan import Plan
from harness.scenario.schema import Endpoint
from tests.unit import timelines
from tests.unit.judging import (
    ALLOWANCE_NS,
    MS,
    QUICK,
    TOOK_NS,
    bitten,
    noticed_at,
    saved,
    verdict,
    window,
)
from tests.unit.timelines import (
    ALIVE,
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
        planned(
            FirewallIdle(timeout_s=5, then="reset"), client=QUICK, outcome="survives", bound_s=6
        ),
        planned(PeerReboot(on="client", at_s=0.5), client=Endpoint(), server=ALIVE, side="server"),
    ],
    ids=lambda plan: "-".join(
        [*(fault.kind for fault in plan.scenario.faults), plan.scenario.expect.outcome]
    ),
)
def test_what_goes_as_foreseen_passes(plan: Plan) -> None:
    """A run in which everything comes in its window passes, whatever is claimed."""
    found = verdict(plan, as_foreseen(plan), "pass")
    assert found.outcome == plan.expected[0].kind
    assert found.errno == plan.expected[0].errno


def test_a_verdict_says_what_it_rests_on() -> None:
    """It holds what was measured and expected, and cites arming, fault, evidence, healing,
    detection and the end.
    """
    plan = unreachable()
    events = as_foreseen(plan)
    found = verdict(plan, events, "pass", "3 probes unanswered", "traces")
    assert (found.name, found.clock, found.kernel, found.hz, found.side) == (
        "by/hand",
        "real",
        "6.18.0",
        250,
        "client",
    )
    assert (found.outcome, found.errno, found.claimed, found.predicted) == (
        "detected",
        *["ETIMEDOUT"] * 3,
    )
    assert found.detected_ns == sum(window(plan)) // 2
    assert found.window_ns == window(plan)
    assert (found.probes, found.probes_expected) == (3, (3, 3))
    assert (found.allowance_ns, found.origin) == (ALLOWANCE_NS, "armed")
    kinds = [
        "subject.armed",
        "fault.injected",
        "subject.detected",
        "run.ended",
        "fault.evidence",
        "fault.healed",
    ]
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


def again(found: Verdict) -> Verdict:
    """A verdict without the places of events, which are others in another order."""
    return msgspec.structs.replace(found, cites=())


@pytest.mark.parametrize("origin", ["armed", "claimed"])
def test_the_window_is_exact_to_the_nanosecond(origin: str) -> None:
    """One ns before it opens is too early.

    After it has closed the allowance counts, and one ns more is too late.
    """
    plan = unreachable()
    lo, hi = window(plan)
    words = ("the oracle's window",)
    if origin == "claimed":
        plan = unreachable(window_s=((lo + 5 * MS) / 1e9, (hi - 5 * MS) / 1e9))
        lo, hi, words = (
            lo + 5 * MS,
            hi - 5 * MS,
            ("expect.window_s (5.077 to 5.103 s after arming)",),
        )
    verdict(plan, noticed_at(plan, lo), "pass")
    verdict(plan, noticed_at(plan, hi), "pass")
    verdict(plan, noticed_at(plan, hi + ALLOWANCE_NS), "pass")
    verdict(plan, noticed_at(plan, hi + ALLOWANCE_NS + TOOK_NS), "pass")
    verdict(plan, noticed_at(plan, lo - 1), "fail", "before", *words)
    verdict(plan, noticed_at(plan, hi + ALLOWANCE_NS + TOOK_NS + 1), "fail", "after", *words)
    verdict(plan, noticed_at(plan, lo - 20 * MS), "fail", ", 0.020 s before", *words)
    verdict(plan, noticed_at(plan, hi + 70 * MS), "fail", ", 0.070 s after", *words)


def test_a_count_of_jiffies_that_was_behind_makes_timers_earlier() -> None:
    """What the program saw of that when it set its timer moves the window's beginning, and not its
    end.
    """
    plan = unreachable()
    lo, hi = window(plan)
    tick = 1_000_000_000 // plan.machine.hz
    for lag_ns, late_ns in ((tick, 0), (tick + 3 * MS, 3 * MS)):
        behind = changed(noticed_at(plan, lo - late_ns), "subject.armed", lag_ns=lag_ns)
        verdict(plan, behind, "pass")
        earlier = changed(noticed_at(plan, lo - late_ns - 1), "subject.armed", lag_ns=lag_ns)
        verdict(plan, earlier, "fail", "before the oracle's window opens")
    after = changed(
        noticed_at(plan, hi + ALLOWANCE_NS + TOOK_NS + 1), "subject.armed", lag_ns=tick + 3 * MS
    )
    verdict(plan, after, "fail", "after the oracle's window closed")


def test_virtual_time_has_no_allowance() -> None:
    """Where nothing can be late, one nanosecond after the window is too late."""
    plan = planned(
        Blackhole(at_s=0.5), machine=msgspec.structs.replace(timelines.MACHINE, clock="virtual")
    )
    _, hi = window(plan)
    exact = changed(noticed_at(plan, hi), "subject.armed", took_ns=0)
    exact = moved(exact, "fault.injected", SECOND // 2)
    verdict(plan, changed(exact, "fault.injected", took_ns=0), "pass")
    late = changed(noticed_at(plan, hi + 1), "subject.armed", took_ns=0)
    verdict(plan, late, "fail", "after the oracle's window closed")


def test_a_claim_that_is_narrower_than_the_truth_fails() -> None:
    """Where the kernel keeps to the oracle but not to the claim, the claim is refuted and the
    oracle quoted.
    """
    plan = unreachable(window_s=(4.9, 5.0))
    words = (
        "after expect.window_s (4.9 to 5 s after arming) ended",
        "the oracle predicted ETIMEDOUT 5.072 s to 5.108 s",
    )
    verdict(plan, as_foreseen(plan), "fail", *words)
    plan = unreachable(window_s=(5.2, 5.4))
    verdict(
        plan,
        as_foreseen(plan),
        "fail",
        "before expect.window_s (5.2 to 5.4 s",
        "the oracle predicted",
    )


def test_an_oracle_that_is_wrong_fails_the_run() -> None:
    """Where the kernel keeps to the claim but not to the oracle, that is no pass, and the reason
    names the oracle.
    """
    plan = unreachable(window_s=(4.0, 6.0))
    lo, _ = window(plan)
    verdict(plan, noticed_at(plan, lo - 100 * MS), "fail", "before the oracle's window opens")
    plan = planned(Blackhole(at_s=0.5), client=Endpoint(), outcome="detected", errno="ETIMEDOUT")
    # Nothing is foreseen here but that nothing is detected.
    events = [at(0, "subject.armed", side="client", took_ns=1), *bitten(0, SECOND // 2)]
    events += [at(2 * SECOND, "subject.detected", side="client", errno="ETIMEDOUT")]
    events += [
        at(2 * SECOND + MS, "run.ended", "harness"),
        at(3 * SECOND, "capture.ended", dropped=0),
    ]
    verdict(
        plan,
        events,
        "fail",
        "the claim holds but the oracle is wrong",
        "ETIMEDOUT 2.000 s after arming",
    )


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
    assert (
        verdict(plan, as_foreseen(unreachable()), "pass").reason == "3 probes unanswered (traces)"
    )


def test_a_program_that_was_woken_late_is_not_blamed() -> None:
    """Where the RST shows that the kernel decided in time, lateness is this machine's:
    inconclusive.
    """
    for plan in (unreachable(), unreachable(window_s=(5.0, 5.2)), planned(PeerReboot(at_s=0.5))):
        late_ns = window(plan)[1] + 300 * MS
        events = moved(
            moved(as_foreseen(plan), "subject.detected", late_ns), "run.ended", late_ns + MS
        )
        words = f"the program ran {(late_ns - sum(window(plan)) // 2) / 1e9 + 0.0001:.3f} s later"
        verdict(
            plan,
            events,
            "inconclusive",
            "the kernel decided in time",
            words,
            "this machine is too busy",
        )


def test_in_virtual_time_no_program_is_woken_late() -> None:
    """It stands still while anything computes: what takes longer is the program's delay, or the
    oracle is wrong.
    """
    plan = unreachable(window_s=(5.0, 5.2))
    plan = msgspec.structs.replace(
        plan, machine=msgspec.structs.replace(plan.machine, clock="virtual")
    )
    for late_ns, name in ((4 * MS, "inconclusive"), (6 * MS, "fail")):
        end_ns = sum(window(plan)) // 2 - MS // 10 + late_ns
        barely = msgspec.structs.replace(
            plan.expected[0], window_ns=(0, end_ns - late_ns), window_by_probes={}
        )
        assert plan.prediction is not None
        prediction = msgspec.structs.replace(
            plan.prediction, outcomes=(barely,), probe_windows_ns=()
        )
        tight = msgspec.structs.replace(
            plan, prediction=prediction, expected=(barely,), allowance_ns=0
        )
        events = moved(
            moved(as_foreseen(plan), "subject.detected", end_ns), "run.ended", end_ns + MS
        )
        verdict(tight, events, name)


def test_icmp_does_not_show_when_the_kernel_decided() -> None:
    """An ICMP error among the segments, which has no flags, does not disturb the judge."""
    plan = unreachable(window_s=(0.0, 9.0), origin="last-received")
    error = at(3 * SECOND, "segment", way="in", role="icmp", type=3, code=1, about=None)
    events = [*as_foreseen(plan), error]
    assert verdict(plan, events, "pass").detected_ns == sum(window(plan)) // 2 + MS
    late_ns = window(plan)[1] + 300 * MS
    events = [*moved(moved(events, "subject.detected", late_ns), "run.ended", late_ns + MS)]
    verdict(plan, [event for event in events if event.data.get("role") != "rst"], "fail")


def test_another_errno_fails() -> None:
    """The reason names both errnos and what the oracle said."""
    plan = unreachable()
    events = changed(as_foreseen(plan), "subject.detected", errno="ECONNRESET")
    words = (
        "expected errno ETIMEDOUT, found ECONNRESET 5.090 s after arming",
        "the oracle predicted ETIMEDOUT",
    )
    assert verdict(plan, events, "fail", *words).errno == "ECONNRESET"


def test_an_errno_that_only_the_oracle_gave_fails() -> None:
    """Where the claim leaves the errno open, the prediction decides."""
    plan = planned(Blackhole(at_s=0.5), outcome="detected")
    events = changed(as_foreseen(plan), "subject.detected", errno="EPIPE")
    verdict(
        plan, events, "fail", "the claim holds but the oracle is wrong: EPIPE 5.090 s after arming"
    )


def test_end_of_file_is_no_error() -> None:
    """A FIN where an error was claimed fails."""
    plan = unreachable()
    eof = at(3 * SECOND, "subject.eof", side="client")
    events = [*without(as_foreseen(plan), "subject.detected"), eof]
    verdict(plan, events, "fail", "expected ETIMEDOUT, found end of file 3.000 s after arming")


def test_nothing_noticed_fails_where_something_is_claimed() -> None:
    """A dead peer that nobody detects, watched to the end, refutes the claim."""
    plan = unreachable()
    events = moved(without(as_foreseen(plan), "subject.detected"), "run.ended", plan.watch_ns)
    found = verdict(plan, events, "fail", "expected ETIMEDOUT, found nothing detected")
    assert (found.outcome, found.detected_ns) == ("quiet", None)


def test_something_noticed_fails_where_survival_is_claimed() -> None:
    """An error during an outage that must be survived fails."""
    plan = flap()
    events = [
        *as_foreseen(plan),
        at(4 * SECOND, "subject.detected", side="client", errno="ETIMEDOUT"),
    ]
    verdict(
        plan,
        events,
        "fail",
        "expected the connection to survive, found ETIMEDOUT 4.000 s after arming",
    )


def test_what_the_other_side_notices_does_not_count() -> None:
    """Only the side that is observed decides."""
    plan = unreachable()
    other = at(SECOND, "subject.detected", "server", side="server", errno="ECONNRESET")
    probes = [
        at(SECOND + n, "segment", "server", way="out", role="probe", flags="A") for n in range(5)
    ]
    assert verdict(plan, [*as_foreseen(plan), other, *probes], "pass").errno == "ETIMEDOUT"


def test_survival_is_shown_by_data() -> None:
    """A quiet connection survives when data comes back at the end.

    Unanswered it is dead, unsent it is unknown.
    """
    plan = planned(outcome="survives", bound_s=6)
    events = as_foreseen(plan)
    verdict(plan, events, "pass")
    verdict(
        plan,
        changed(events, "subject.alive", echo=False),
        "fail",
        "data sent at the end did not come back",
    )
    verdict(plan, without(events, "subject.alive"), "inconclusive", "no data was sent")


def test_never_needs_no_data() -> None:
    """Where the claim is only that nothing is detected, the connection may be dead."""
    plan = planned(PeerReboot(at_s=0.5), client=Endpoint(), outcome="never", bound_s=5)
    verdict(plan, without(as_foreseen(plan), "subject.alive"), "pass")


def test_times_count_from_the_fault_where_the_claim_says_so() -> None:
    """The origin is the first injection; how long that took is how well it is known."""
    plan = unreachable(origin="fault", window_s=(4.0, 4.53))
    found = verdict(
        plan,
        as_foreseen(plan),
        "fail",
        "detected 4.590 s after the fault, 0.060 s after expect.window_s",
    )
    assert found.detected_ns == 4_589_900_000
    assert found.window_ns == (5_072_000_000 - 500_100_000, 5_108_000_000 - 500_100_000)
    slow = changed(as_foreseen(plan), "fault.injected", took_ns=45 * MS)
    verdict(unreachable(origin="fault", window_s=(4.0, 4.5)), slow, "pass")


def test_times_count_from_the_last_segment_where_the_claim_says_so() -> None:
    """The last segment from the peer counts, be it the handshake's.

    RST and FIN are not signs of life.
    """
    plan = unreachable(origin="last-received", window_s=(5.0, 5.2))
    events = as_foreseen(plan)
    assert verdict(plan, events, "pass").detected_ns == sum(window(plan)) // 2 + MS
    heard = at(SECOND, "segment", way="in", role="ack", flags="A")
    verdict(
        plan,
        [*events, heard],
        "fail",
        "detected 4.090 s after the last segment received",
        "before expect.window_s (5 to 5.2 s",
    )
    reset = at(SECOND, "segment", way="in", role="rst", flags="R")
    verdict(plan, [*events, reset], "pass")
    unheard = [event for event in events if event.data.get("role") != "syn-ack"]
    verdict(
        plan, unheard, "inconclusive", "the origin of expect.window_s (last-received) never came"
    )


def test_the_server_may_be_the_observer() -> None:
    """With side = "server" only the server's socket, probes and arming count."""
    plan = planned(
        PeerReboot(on="client", at_s=0.5), client=Endpoint(), server=ALIVE, side="server"
    )
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
    """Kind, errno and window are held against the scenario's own.

    Probes and RST are nobody's to foresee.
    """
    plan = unpredictable(outcome="detected", errno="ETIMEDOUT", window_s=(5.0, 5.4))
    events = [at(0, "subject.armed", side="client", took_ns=TOOK_NS)]
    events += [*bitten(0, SECOND // 2), *bitten(1, SECOND)]
    noticed = at(5200 * MS, "subject.detected", side="client", errno="ETIMEDOUT")
    events += [
        noticed,
        at(10 * SECOND, "run.ended", "harness"),
        at(11 * SECOND, "capture.ended", dropped=0),
    ]
    found = verdict(plan, events, "pass", "as claimed (traces; traces)")
    assert (found.window_ns, found.probes_expected, found.predicted) == (None, None, "")
    assert (found.claimed_ns, found.claimed) == (
        (5 * SECOND, 5400 * MS),
        "ETIMEDOUT 5 to 5.4 s after arming",
    )
    verdict(plan, moved(events, "subject.detected", 4 * SECOND), "fail", "before expect.window_s")
    verdict(plan, moved(events, "subject.detected", 100 * MS), "fail", "a false alarm")
    verdict(
        plan,
        changed(events, "subject.detected", errno="EPIPE"),
        "fail",
        "expected errno ETIMEDOUT, found EPIPE",
    )
