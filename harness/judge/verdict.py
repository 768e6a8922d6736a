"""(Plan, Timeline) -> Verdict: pure, and the only place that decides.

To refute a claim, every fault must have been in place in time; to prove it, every fault must also have left the
evidence that the plan demands. So a run

    passes            when what was noticed is what the scenario claims and the oracle foresaw, in both their windows,
                      and every fault left the evidence that the plan demands: that it acted, or that it was in place;
                      where the plan demands traffic, something was sent while the fault was on
    fails             when something else was noticed, or nothing, or at another time; also when something was noticed
                      before any fault was injected: a false alarm
    is inconclusive   when it broke, was cut short, when a fault was missing or late, when this machine was too slow, or
                      stood still so that a moment may lie on the other side of a window's edge
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from harness.judge.expectations import (
    check_claimed_reconnection,
    check_claimed_window,
    check_false_alarm,
    check_kind,
    check_prediction,
)
from harness.judge.history import Nonsense, Story
from harness.judge.liveness import check_liveness
from harness.judge.reasons import UNKEPT, Cause, Inconclusive, Refuted, claim, reconnected_ns, restored_ns
from harness.judge.silence import doubtful_silence
from harness.judge.stalls import Doubtful, blamed, check_kernel, check_programs, delay_ns, earlier, waiting_ns
from harness.judge.validity import check_bite, check_deeds, check_in_place, check_run
from harness.oracle.prediction import Asking, Outcome
from harness.plan.plan import Plan, spell_outcomes
from harness.timeline import Event

VerdictName = Literal["pass", "fail", "inconclusive"]
SEVERITY: dict[VerdictName, int] = {"pass": 0, "inconclusive": 1, "fail": 2}
EXIT_STATUS: dict[VerdictName, int] = {"pass": 0, "fail": 1, "inconclusive": 3}


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The answer, with what it rests on.

    `cause`: what the verdict rests on, for programs; `reason`: the same for people, with figures.
    `outcome`: what was measured ("detected", "noticed", "eof", "quiet", or None when inconclusive before that).
    `reports`: what a command said of it, or how it showed it (heartbeat, output, exit, close, reconnect).
    `reconnected_ns`: from being noticed to the connection that took the place of the lost one; with origin "healed"
    from the healing to the first connection after it. `known_failure`: what is known of a claim that does not hold.
    `detected_ns`: from `origin` to the wake-up of the observing program. From the same origin, allowance not included:
    `window_ns`, what the oracle predicted, and `claimed_ns`, what the scenario claims where it names a window.
    `armed_window_ns`: the predicted window after arming, which is known also where the origin never came.
    `claimed`: the whole claim in words, `predicted`: the predicted outcomes, `summary`: the scenario's. `probes`:
    on the wire before the end, as captured on the observer's host; `probes_expected` as (least, most); `asking`
    says whether they are keepalive's, retransmissions or repeated SYNs. `cites`: indices of the timeline's events.
    `as_foreseen`: outcome, errno, window and segments were held against the oracle's prediction and agree with it,
    even where a fault proves nothing because it met nothing.
    """

    name: str
    verdict: VerdictName
    cause: Cause
    reason: str
    clock: str
    kernel: str
    hz: int
    side: str
    summary: str = ""
    lab: str = "netns"
    outcome: str | None = None
    errno: str | None = None
    reports: str | None = None
    reconnected_ns: int | None = None
    known_failure: str = ""
    detected_ns: int | None = None
    window_ns: tuple[int, int] | None = None
    armed_window_ns: tuple[int, int] | None = None
    claimed_ns: tuple[int, int] | None = None
    allowance_ns: int = 0
    origin: str = "armed"
    asking: Asking = "probe"
    probes: int | None = None
    probes_expected: tuple[int, int] | None = None
    claimed: str = ""
    predicted: str = ""
    cites: tuple[int, ...] = ()
    as_foreseen: bool = False


def judge(plan: Plan, events: Sequence[Event]) -> Verdict:
    """Decide. Never raises for any timeline; one that makes no sense is inconclusive.

    A claim that is known not to be kept passes where the peer is noticed too early, too late or never, under faults
    that bit, and fails where it is confirmed. Whatever else goes wrong is no known failure.
    """
    verdict, unkept = _judge(plan, events)
    known = plan.scenario.known_failure
    if unkept and known:
        reason = f"a known failure ({known}): {verdict.reason}"
        return msgspec.structs.replace(verdict, verdict="pass", cause="known-failure", reason=reason)
    if verdict.verdict == "pass" and known:
        reason = f"the claim holds, though it is said to fail ({known}): take known_failure away; {verdict.reason}"
        return msgspec.structs.replace(verdict, verdict="fail", cause="known-failure-gone", reason=reason)
    return verdict


def _judge(plan: Plan, events: Sequence[Event]) -> tuple[Verdict, bool]:
    """The verdict on the claim as it stands, and whether it is only the time that was not kept."""
    try:
        story = Story(plan, events)
    except Nonsense as nonsense:
        reason = f"the timeline makes no sense: {nonsense}"
        return _verdict(plan, Story(plan, ()), "inconclusive", "timeline-nonsense", reason), False
    try:
        _check_course(plan, story)
        _check_stalls(plan, story, events)
    except Inconclusive as doubt:
        told = doubt if doubt.cause == "machine-too-busy" else blamed(plan, story, str(doubt)) or doubt
        return _verdict(plan, story, "inconclusive", told.cause, str(told)), False
    except Refuted as refutation:
        stall = blamed(plan, story, str(refutation)) or _delayed(plan, story, events, refutation)
        if stall is not None:
            return _verdict(plan, story, "inconclusive", stall.cause, str(stall)), False
        unkept = refutation.cause in UNKEPT and _unbitten(plan, story) is None
        return _verdict(plan, story, "fail", refutation.cause, str(refutation)), unkept
    as_foreseen, unproven = plan.prediction is not None, _unbitten(plan, story)
    if unproven is not None:
        unproven = blamed(plan, story, str(unproven)) or unproven
        found = _verdict(plan, story, "inconclusive", unproven.cause, str(unproven))
    else:
        found = _verdict(plan, story, "pass", "confirmed", _confirmation(plan, story))
    return msgspec.structs.replace(found, as_foreseen=as_foreseen), False


def _unbitten(plan: Plan, story: Story) -> Inconclusive | None:
    """Of the first fault that lacks the evidence that the plan demands of it; None where there is no such."""
    try:
        for index in range(len(plan.faults)):
            check_bite(plan, story, index)
    except Inconclusive as doubt:
        return doubt
    return None


def worst(verdicts: Sequence[Verdict]) -> VerdictName:
    """Fail before inconclusive before pass; nothing judged at all is inconclusive."""
    return max((v.verdict for v in verdicts), key=lambda name: SEVERITY[name], default="inconclusive")


def _verdict(plan: Plan, story: Story, verdict: VerdictName, cause: Cause, reason: str) -> Verdict:
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
        outcome=story.kind,
        errno=story.errno,
        reports=None if story.given_up is None else story.given_up.reports or story.given_up.how,
        reconnected_ns=restored_ns(story) if plan.scenario.expect.origin == "healed" else reconnected_ns(story),
        known_failure=plan.scenario.known_failure,
        detected_ns=story.detected_ns,
        window_ns=_predicted_window(plan, story),
        armed_window_ns=_armed_window(plan),
        claimed_ns=_claimed_window(plan),
        allowance_ns=plan.allowance_ns,
        origin=plan.scenario.expect.origin,
        asking="probe" if plan.prediction is None else plan.prediction.asking,
        probes=len(story.probes) if story.armed is not None else None,
        probes_expected=_span([o.probes_seen for o in _foreseen(plan)]),
        claimed=claim(plan),
        predicted="" if plan.prediction is None else spell_outcomes(_foreseen(plan)),
        cites=story.cites,
    )


def _foreseen(plan: Plan) -> tuple[Outcome, ...]:
    """The predicted outcomes that are claimed or, where the claim contradicts the oracle, all of them."""
    return plan.expected or (() if plan.prediction is None else plan.prediction.outcomes)


def _predicted_window(plan: Plan, story: Story) -> tuple[int, int] | None:
    """From the scenario's origin; None where nothing is predicted, or that nothing is noticed."""
    found = _armed_window(plan)
    shift = 0 if plan.scenario.expect.origin == "armed" else None
    if story.origin is not None:
        shift = story.since_armed(story.origin[0])
    if found is None or shift is None:
        return None
    return max(0, found[0] - shift), found[1] - shift


def _armed_window(plan: Plan) -> tuple[int, int] | None:
    """After arming; None where nothing is predicted, or that nothing is noticed."""
    return _span([o.window_ns for o in _foreseen(plan) if o.window_ns is not None])


def _claimed_window(plan: Plan) -> tuple[int, int] | None:
    claim = plan.scenario.expect.window_s
    return None if claim is None else (round(claim[0] * 1e9), round(claim[1] * 1e9))


def _check_course(plan: Plan, story: Story) -> None:
    """Whether all went as claimed and foreseen, whatever the faults left behind; raises for anything else."""
    check_run(plan, story)
    check_programs(plan, story)
    check_false_alarm(plan, story)
    for index in range(len(plan.faults)):
        check_in_place(plan, story, index)
    check_deeds(plan, story)
    check_kind(plan, story)
    check_liveness(plan, story)
    check_claimed_window(plan, story)
    check_claimed_reconnection(plan, story)
    check_prediction(plan, story)


def _check_stalls(plan: Plan, story: Story, events: Sequence[Event]) -> None:
    """Whether all would have gone so, too, without the times in which the harness did not run."""
    check_kernel(plan, story)
    bent = earlier(plan, story, events, waiting_ns(story))
    if bent is None:
        return
    stall, sooner = bent
    try:
        _check_course(plan, Story(plan, sooner))
    except (Inconclusive, Refuted, Nonsense) as other:
        raise Doubtful(story, stall, f"this may be true as well: {other}") from other


def _delayed(plan: Plan, story: Story, events: Sequence[Event], refuted: Refuted) -> Doubtful | None:
    """The doubt about a refutation that many short delays may have brought about; None where they cannot have."""
    late_ns = delay_ns(plan, story)
    bent = earlier(plan, story, events, late_ns)
    doubt = Doubtful(story, None if bent is None else bent[0], f"this may be why {refuted}")
    if story.end is None:
        return doubt if late_ns > plan.allowance_ns else None
    if refuted.cause in ("oracle-refuted", "reconnection-refuted"):  # whose sides a cause does not tell apart
        return doubt if late_ns else None
    if bent is None:
        return None
    try:
        _check_course(plan, Story(plan, bent[1]))
    except Refuted as other:
        return None if other.cause == refuted.cause else doubt
    except (Inconclusive, Nonsense):
        return doubt
    return doubt


def _confirmation(plan: Plan, story: Story) -> str:
    proofs = [story.proofs[index].what.found for index in sorted(story.proofs)]
    evidence = f" ({'; '.join(proofs)})" if proofs else ""
    same = [o for o in plan.expected if o.kind == story.kind and o.errno == story.errno]
    why = f"{same[0].why}" if same else "as claimed"
    return f"{why}{evidence}{doubtful_silence(plan, story)}"


def _span(spans: list[tuple[int, int]]) -> tuple[int, int] | None:
    return (min(s[0] for s in spans), max(s[1] for s in spans)) if spans else None
