"""(Plan, Timeline) -> Verdict: pure, and the only place that decides.

To refute a claim, every fault must have been in place in time; to prove it, every fault must also
have left the evidence that the plan demands. So a run

    passes            when what was detected is what the scenario claims and the oracle predicted,
                      in both their windows, and every fault left the evidence that the plan
                      demands: it acted, or it was in place; where the plan demands traffic,
                      something was sent while the fault was on
    fails             when something else was detected, or nothing, or at another time; also when
                      something was detected before any fault was injected: a false alarm
    is inconclusive   when it broke, was cut short, when a fault was missing or late, when this
                      machine was too slow, or stood still so that a moment may lie on the other
                      side of a window's edge
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from harness.judge.confirmation import confirmation
from harness.judge.end_timeline import of_end
from harness.judge.expectations import (
    check_claimed_reconnection,
    check_claimed_window,
    check_false_alarm,
    check_kind,
    check_prediction,
)
from harness.judge.history import History, InvalidTimeline
from harness.judge.liveness import check_liveness
from harness.judge.reasons import (
    RECOVERY_MISMATCHES,
    TIMING_MISMATCHES,
    Cause,
    Inconclusive,
    Refuted,
    claim,
    reconnected_ns,
    restored_ns,
)
from harness.judge.recovery import check_recovery, recovered_ns
from harness.judge.stalls import (
    Doubtful,
    blamed,
    check_kernel,
    check_programs,
    delay_ns,
    earlier,
    lateness_ns,
    waiting_ns,
)
from harness.judge.validity import check_actions, check_evidence, check_in_place, check_run
from harness.model.topology import LabKind, Side
from harness.oracle.prediction import Asking, Outcome, OutcomeKind
from harness.plan.plan import Plan, spell_outcomes
from harness.scenario.schema import Origin
from harness.system.kernel_clock import Clock
from harness.timeline import Event

VerdictName = Literal["pass", "fail", "inconclusive"]
SEVERITY: dict[VerdictName, int] = {"pass": 0, "inconclusive": 1, "fail": 2}
EXIT_STATUS: dict[VerdictName, int] = {"pass": 0, "fail": 1, "inconclusive": 3}


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The answer, with what it rests on.

    `cause`: what the verdict rests on, for programs; `reason`: the same for people, with figures.
    `outcome`: what was measured ("detected", "noticed", "eof", "quiet", or None when inconclusive
    before that). `reports`: what a command said of it, or how it showed it (heartbeat, output,
    exit, close, reconnect). `reconnected_ns`: from being detected to the connection that took the
    place of the lost one; with origin "healed" from the healing to the first connection after it.
    `recovered_ns`: from the moment at which no fault was on any more that ends, to the first data
    that passed then; None where none did, or another fault was injected before.
    `known_failure`: what is known of a claim that does not hold. `detected_ns`: from `origin` to
    the wake-up of the observing program. From the same origin, allowance not included: `window_ns`,
    what the oracle predicted, and `claimed_ns`, what the scenario claims where it names a window.
    `armed_window_ns`: the predicted window after arming, which is known also where the origin never
    came. `claimed`: the whole claim in words, `predicted`: the predicted outcomes, `summary`: the
    scenario's. `probes`: on the wire before the end, as captured on the observer's host;
    `probes_expected` as (least, most); `asking` says whether they are keepalive's, retransmissions
    or repeated SYNs. `cites`: indices of the timeline's events. `as_foreseen`: outcome, errno,
    window and segments were held against the oracle's prediction and agree with it, even where a
    fault proves nothing because it met nothing. `ends`: where both ends are judged, the verdict on
    each of them; the run's own measurements are then those of the end whose verdict it is, `side`.
    """

    name: str
    verdict: VerdictName
    cause: Cause
    reason: str
    clock: Clock
    kernel: str
    hz: int
    side: Side
    summary: str = ""
    lab: LabKind = "netns"
    outcome: OutcomeKind | None = None
    errno: str | None = None
    reports: str | None = None
    reconnected_ns: int | None = None
    recovered_ns: int | None = None
    known_failure: str = ""
    detected_ns: int | None = None
    window_ns: tuple[int, int] | None = None
    armed_window_ns: tuple[int, int] | None = None
    claimed_ns: tuple[int, int] | None = None
    allowance_ns: int = 0
    origin: Origin = "armed"
    asking: Asking = "probe"
    probes: int | None = None
    probes_expected: tuple[int, int] | None = None
    claimed: str = ""
    predicted: str = ""
    cites: tuple[int, ...] = ()
    as_foreseen: bool = False
    ends: tuple[Verdict, ...] = ()


def judge(plan: Plan, events: Sequence[Event]) -> Verdict:
    """Decide. Never raises for any timeline; one that makes no sense is inconclusive.

    Where both ends are judged, each is judged by its own plan, and the worse verdict is that of the
    run. A claim that is known not to be kept passes where the peer is detected too early, too late
    or never, under faults that bit, and fails where it is confirmed. Whatever else goes wrong is no
    known failure.
    """
    if not plan.ends:
        verdict, mistimed = _judge(plan, events)
        return _known(plan.scenario.known_failure, verdict, mistimed=mistimed)
    judged = [_judge(end, of_end(end, events)) for end in plan.ends]
    known = plan.scenario.known_failure
    if any(mistimed for _, mistimed in judged):  # the other end may keep its claim
        ends = [
            _known(known, verdict, mistimed=True) if mistimed else verdict
            for verdict, mistimed in judged
        ]
        return _together(plan, ends)
    return _known(known, _together(plan, [verdict for verdict, _ in judged]), mistimed=False)


def _known(known: str, verdict: Verdict, *, mistimed: bool) -> Verdict:
    """The verdict on a claim that may be known to fail, as `known` says."""
    if mistimed and known:
        reason = f"a known failure ({known}): {verdict.reason}"
        return msgspec.structs.replace(
            verdict, verdict="pass", cause="known-failure", reason=reason
        )
    if verdict.verdict == "pass" and known:
        reason = (
            f"the claim holds, though it is said to fail ({known}): take known_failure away; "
            f"{verdict.reason}"
        )
        return msgspec.structs.replace(
            verdict, verdict="fail", cause="known-failure-gone", reason=reason
        )
    return verdict


def _together(plan: Plan, ends: Sequence[Verdict]) -> Verdict:
    """The verdict on a run in which both ends are judged: the worse one, with the reasons of both.

    Of two alike it is the first end's, but that a known failure is told before a confirmation.
    """
    worse = max(ends, key=lambda end: (SEVERITY[end.verdict], end.cause == "known-failure"))
    told = sorted(ends, key=lambda end: end is not worse)
    reasons = dict.fromkeys(end.reason for end in told)
    return msgspec.structs.replace(
        worse,
        reason="; ".join(f"{end.side}: {end.reason}" for end in told)
        if len(reasons) > 1
        else worse.reason,
        claimed=claim(plan),
        predicted="; ".join(f"{end.side}: {end.predicted}" for end in ends if end.predicted),
        cites=tuple(sorted({place for end in ends for place in end.cites})),
        as_foreseen=all(end.as_foreseen for end in ends),
        ends=tuple(ends),
    )


def _judge(plan: Plan, events: Sequence[Event]) -> tuple[Verdict, bool]:
    """The verdict on the claim as it stands, and whether it is only the time that was not kept."""
    try:
        history = History(plan, events)
    except InvalidTimeline as invalid:
        reason = f"the timeline makes no sense: {invalid}"
        return _verdict(plan, History(plan, ()), "inconclusive", "timeline-invalid", reason), False
    try:
        _check_course(plan, history)
        _check_stalls(plan, history, events)
    except Inconclusive as doubt:
        told = (
            doubt
            if doubt.cause == "machine-too-busy"
            else blamed(plan, history, str(doubt)) or doubt
        )
        return _verdict(plan, history, "inconclusive", told.cause, str(told)), False
    except Refuted as refutation:
        stall = blamed(plan, history, str(refutation)) or _delayed(
            plan, history, events, refutation
        )
        if stall is not None:
            return _verdict(plan, history, "inconclusive", stall.cause, str(stall)), False
        mistimed = (
            refutation.cause in TIMING_MISMATCHES and _missing_evidence(plan, history) is None
        )
        return _verdict(plan, history, "fail", refutation.cause, str(refutation)), mistimed
    as_foreseen, unproven = _is_foreseen(plan, history), _missing_evidence(plan, history)
    if unproven is not None:
        unproven = blamed(plan, history, str(unproven)) or unproven
        found = _verdict(plan, history, "inconclusive", unproven.cause, str(unproven))
    else:
        found = _verdict(plan, history, "pass", "confirmed", confirmation(plan, history))
    return msgspec.structs.replace(found, as_foreseen=as_foreseen), False


def _is_foreseen(plan: Plan, history: History) -> bool:
    """Whether the run agrees with the oracle's prediction: it does where a claim was confirmed."""
    if plan.prediction is None or plan.scenario.expect.outcome != "any":
        return plan.prediction is not None
    try:
        check_prediction(plan, history)
    except (Refuted, Inconclusive):
        return False
    return True


def _missing_evidence(plan: Plan, history: History) -> Inconclusive | None:
    """Of the first fault that lacks the evidence that the plan demands of it.

    None where there is no such.
    """
    try:
        for index in range(len(plan.faults)):
            check_evidence(plan, history, index)
    except Inconclusive as doubt:
        return doubt
    return None


def worst(verdicts: Sequence[Verdict]) -> VerdictName:
    """Fail before inconclusive before pass; nothing judged at all is inconclusive."""
    return max(
        (v.verdict for v in verdicts), key=lambda name: SEVERITY[name], default="inconclusive"
    )


def _verdict(
    plan: Plan, history: History, verdict: VerdictName, cause: Cause, reason: str
) -> Verdict:
    return Verdict(
        name=plan.name,
        summary=plan.scenario.summary,
        verdict=verdict,
        cause=cause,
        reason=reason,
        clock=plan.machine.clock,
        kernel=plan.machine.kernel,
        hz=plan.machine.hz,
        side=plan.scenario.expect.side,
        lab=plan.machine.lab,
        outcome=history.kind,
        errno=history.errno,
        reports=None
        if history.given_up is None
        else history.given_up.reports or history.given_up.how,
        reconnected_ns=restored_ns(history)
        if plan.scenario.expect.origin == "healed"
        else reconnected_ns(history),
        recovered_ns=recovered_ns(plan, history),
        known_failure=plan.scenario.known_failure,
        detected_ns=history.detected_ns,
        window_ns=_predicted_window(plan, history),
        armed_window_ns=_armed_window(plan),
        claimed_ns=_claimed_window(plan),
        allowance_ns=plan.allowance_ns,
        origin=plan.scenario.expect.origin,
        asking="probe" if plan.prediction is None else plan.prediction.asking,
        probes=len(history.probes) if history.armed is not None else None,
        probes_expected=_span([o.probes_seen for o in _foreseen(plan)]),
        claimed=claim(plan),
        predicted="" if plan.prediction is None else spell_outcomes(_foreseen(plan)),
        cites=history.cites,
    )


def _foreseen(plan: Plan) -> tuple[Outcome, ...]:
    """The predicted outcomes that are claimed or, where the claim contradicts the oracle, all of
    them.
    """
    return plan.expected or (() if plan.prediction is None else plan.prediction.outcomes)


def _predicted_window(plan: Plan, history: History) -> tuple[int, int] | None:
    """From the scenario's origin; None where nothing is predicted, or that nothing is detected."""
    found = _armed_window(plan)
    shift = 0 if plan.scenario.expect.origin == "armed" else None
    if history.origin is not None:
        shift = history.since_armed(history.origin[0])
    if found is None or shift is None:
        return None
    return max(0, found[0] - shift), found[1] - shift


def _armed_window(plan: Plan) -> tuple[int, int] | None:
    """After arming; None where nothing is predicted, or that nothing is detected."""
    return _span([o.window_ns for o in _foreseen(plan) if o.window_ns is not None])


def _claimed_window(plan: Plan) -> tuple[int, int] | None:
    claim = plan.scenario.expect.window_s
    return None if claim is None else (round(claim[0] * 1e9), round(claim[1] * 1e9))


def _check_course(plan: Plan, history: History) -> None:
    """Whether all went as claimed and foreseen, whatever the faults left behind.

    Raises for anything else.
    """
    check_run(plan, history)
    check_programs(plan, history)
    check_false_alarm(plan, history)
    for index in range(len(plan.faults)):
        check_in_place(plan, history, index)
    check_actions(plan, history)
    if plan.scenario.expect.outcome == "any":
        return
    check_kind(plan, history)
    check_liveness(plan, history)
    check_claimed_window(plan, history)
    check_claimed_reconnection(plan, history)
    check_recovery(plan, history)
    check_prediction(plan, history)


def _check_stalls(plan: Plan, history: History, events: Sequence[Event]) -> None:
    """Whether all would have gone so, too, without the times in which the harness did not run."""
    check_kernel(plan, history)
    shifted = earlier(plan, history, events, waiting_ns(plan, history))
    if shifted is None:
        return
    stall, sooner = shifted
    try:
        _check_course(plan, History(plan, sooner))
    except (Inconclusive, Refuted, InvalidTimeline) as other:
        raise Doubtful(history, stall, f"this may be true as well: {other}") from other


def _delayed(
    plan: Plan, history: History, events: Sequence[Event], refuted: Refuted
) -> Doubtful | None:
    """The doubt about a refutation that many short delays may have brought about.

    None where they cannot have.
    """
    late_ns, least_ns = delay_ns(plan, history), None
    shifted = earlier(plan, history, events, lateness_ns(plan, history))
    doubt = Doubtful(history, None if shifted is None else shifted[0], f"this may be why {refuted}")
    if refuted.cause in RECOVERY_MISMATCHES:  # which come after what was detected
        late_ns = delay_ns(plan, history, to_the_end=True)
        least_ns = 0 if refuted.cause == "recovered-too-late" else plan.allowance_ns
    elif history.end is None:
        least_ns = plan.allowance_ns
    elif refuted.cause in ("oracle-refuted", "reconnection-refuted"):
        least_ns = 0  # a cause does not tell their sides apart
    if least_ns is not None:
        return doubt if late_ns > least_ns else None
    if shifted is None:
        return None
    try:
        _check_course(plan, History(plan, shifted[1]))
    except Refuted as other:
        return None if other.cause == refuted.cause else doubt
    except (Inconclusive, InvalidTimeline):
        return doubt
    return doubt


def _span(spans: list[tuple[int, int]]) -> tuple[int, int] | None:
    return (min(s[0] for s in spans), max(s[1] for s in spans)) if spans else None
