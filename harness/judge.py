"""(Plan, Timeline) -> Verdict: pure, and the only place that decides.

To refute a claim, every fault must have been there in time; to prove it, every fault must also have bitten. So a run

    passes            when what was noticed is what the scenario claims and the oracle foresaw, in both their windows,
                      and every fault left evidence that it bit (a standing fault with nothing noticed: that it stood)
    fails             when something else was noticed, or nothing, or at another time; also when something was noticed
                      before any fault was injected: a false alarm
    is inconclusive   when it broke, was cut short, when a fault was missing or late, when this machine was too slow
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar

import msgspec

from harness.faults import AnyFault
from harness.lab.topology import SIDES, layout
from harness.oracle.prediction import NOUNS, Asking, Outcome, hull
from harness.oracle.timerwheel import tick_ns
from harness.plan import KIND_OF, TIMER_ALLOWANCE_MS, Plan, must_echo, settings_of, spell_outcomes
from harness.scenario import Expect
from harness.story import Change, Fact, Nonsense, Segment, Shut, Story, Wrote
from harness.timeline import Event

VerdictName = Literal["pass", "fail", "inconclusive"]
SEVERITY: dict[VerdictName, int] = {"pass": 0, "inconclusive": 1, "fail": 2}
EXIT_STATUS: dict[VerdictName, int] = {"pass": 0, "fail": 1, "inconclusive": 3}
_BUSY = ": this machine is too busy"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The answer, with what it rests on.

    `outcome`: what was measured ("detected", "noticed", "eof", "quiet", or None when inconclusive before that).
    `reports`: what a command said of it, or how it showed it (heartbeat, output, exit, close, reconnect).
    `reconnected_ns`: from being noticed to the connection that took the place of the lost one. `known_failure`: what is
    known of a claim that does not hold.
    `detected_ns`: from `origin` to the wake-up of the observing program. From the same origin, allowance not included:
    `window_ns`, what the oracle predicted, and `claimed_ns`, what the scenario claims where it names a window.
    `claimed` and `predicted` say what, in words. `probes`: on the wire before the end, as captured on the observer's
    host; `probes_expected` as (least, most); `asking` says whether they are keepalive's, retransmissions or
    repeated SYNs. `cites`: indices of the timeline's events. `as_foreseen`: outcome, errno, window and segments were
    held against the oracle's prediction and agree with it, even where a fault proves nothing because it met nothing.
    """

    name: str
    verdict: VerdictName
    reason: str
    clock: str
    kernel: str
    hz: int
    side: str
    outcome: str | None = None
    errno: str | None = None
    reports: str | None = None
    reconnected_ns: int | None = None
    known_failure: str = ""
    detected_ns: int | None = None
    window_ns: tuple[int, int] | None = None
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


class _Inconclusive(Exception):
    """The run cannot be judged; the text says why."""


class _Refuted(Exception):
    """The run was judged and something differs; the text says what."""


def judge(plan: Plan, events: Sequence[Event]) -> Verdict:
    """Decide. Never raises for any timeline; one that makes no sense is inconclusive.

    A claim that is known not to hold passes where it is refuted, and fails where it is confirmed.
    """
    verdict, known = _judge(plan, events), plan.scenario.known_failure
    if verdict.verdict == "fail" and known:
        return msgspec.structs.replace(verdict, verdict="pass", reason=f"a known failure ({known}): {verdict.reason}")
    if verdict.verdict == "pass" and known:
        reason = f"the claim holds, though it is said to fail ({known}): take known_failure away; {verdict.reason}"
        return msgspec.structs.replace(verdict, verdict="fail", reason=reason)
    return verdict


def _judge(plan: Plan, events: Sequence[Event]) -> Verdict:
    try:
        story = Story(plan, events)
    except Nonsense as nonsense:
        return _verdict(plan, Story(plan, ()), "inconclusive", f"the timeline makes no sense: {nonsense}")
    try:
        _check_course(plan, story)
    except _Inconclusive as doubt:
        return _verdict(plan, story, "inconclusive", str(doubt))
    except _Refuted as refutation:
        return _verdict(plan, story, "fail", str(refutation))
    as_foreseen = plan.prediction is not None
    try:
        for index, fault in enumerate(plan.scenario.faults):
            _check_bite(plan, story, index, fault)
    except _Inconclusive as doubt:
        return _verdict(plan, story, "inconclusive", str(doubt), as_foreseen=as_foreseen)
    return _verdict(plan, story, "pass", _confirmation(plan, story), as_foreseen=as_foreseen)


def worst(verdicts: Sequence[Verdict]) -> VerdictName:
    """Fail before inconclusive before pass; nothing judged at all is inconclusive."""
    return max((v.verdict for v in verdicts), key=lambda name: SEVERITY[name], default="inconclusive")


def _verdict(plan: Plan, story: Story, verdict: VerdictName, reason: str, *, as_foreseen: bool = False) -> Verdict:
    return Verdict(
        name=plan.name,
        verdict=verdict,
        reason=reason,
        clock=plan.machine.clock,
        kernel=plan.machine.kernel,
        hz=plan.machine.hz,
        side=plan.scenario.expect.side,
        outcome=story.kind,
        errno=story.errno,
        reports=None if story.given_up is None else story.given_up.reports or story.given_up.how,
        reconnected_ns=_reconnected_ns(story),
        known_failure=plan.scenario.known_failure,
        detected_ns=story.detected_ns,
        window_ns=_predicted_window(plan, story),
        claimed_ns=_claimed_window(plan),
        allowance_ns=plan.allowance_ns,
        origin=plan.scenario.expect.origin,
        asking="probe" if plan.prediction is None else plan.prediction.asking,
        probes=len(story.probes) if story.armed is not None else None,
        probes_expected=_span([o.probes_seen for o in _foreseen(plan)]),
        claimed=_spelled(plan),
        predicted="" if plan.prediction is None else spell_outcomes(_foreseen(plan)),
        cites=story.cites,
        as_foreseen=as_foreseen,
    )


def _reconnected_ns(story: Story) -> int | None:
    return None if story.end is None or story.reconnected is None else story.reconnected.t_ns - story.end.t_ns


def _foreseen(plan: Plan) -> tuple[Outcome, ...]:
    """The predicted outcomes that are claimed or, where the claim contradicts the oracle, all of them."""
    return plan.expected or (() if plan.prediction is None else plan.prediction.outcomes)


def _predicted_window(plan: Plan, story: Story) -> tuple[int, int] | None:
    """From the scenario's origin; None where nothing is predicted, or that nothing is noticed."""
    windows = [o.window_ns for o in _foreseen(plan) if o.window_ns is not None]
    shift = 0 if plan.scenario.expect.origin == "armed" else None
    if story.origin is not None:
        shift = story.since_armed(story.origin[0])
    if not windows or shift is None:
        return None
    return max(0, min(w[0] for w in windows) - shift), max(w[1] for w in windows) - shift


def _claimed_window(plan: Plan) -> tuple[int, int] | None:
    claim = plan.scenario.expect.window_s
    return None if claim is None else (round(claim[0] * 1e9), round(claim[1] * 1e9))


def _check_course(plan: Plan, story: Story) -> None:
    """Whether all went as claimed and foreseen, whatever the faults left behind; raises for anything else."""
    _check_run(plan, story)
    _check_false_alarm(plan, story)
    for index, fault in enumerate(plan.scenario.faults):
        _check_in_place(plan, story, index, fault)
    _check_deeds(plan, story)
    _check_kind(plan, story)
    _check_claimed_window(plan, story)
    _check_reconnection(plan, story, plan.scenario.expect.reconnects_s)
    _check_prediction(plan, story)


# --- can it be judged ------------------------------------------------------------------------------------


def _check_run(plan: Plan, story: Story) -> None:
    """Whether the run is whole: armed, watched until something was noticed or the time was up, nothing lost."""
    if story.broken is not None:
        raise _Inconclusive(f"the run broke: {story.broken.what.error}")
    if story.armed is None:
        nothing = "nothing was recorded" if story.is_empty else "no subject.armed event"
        raise _Inconclusive(f"the subject never got ready: {nothing}")
    if story.ended is None:
        raise _Inconclusive("the run was cut short: no run.ended event")
    watched_ns = story.since_armed(story.ended.t_ns)
    if story.end is None and watched_ns < plan.watch_ns:
        raise _Inconclusive(f"the run was cut short: watched for {_s(watched_ns)} of {_s(plan.watch_ns)}")
    if story.lost is None:
        raise _Inconclusive("the run was cut short: no capture.ended event of the observer's host")
    if story.lost:
        raise _Inconclusive(f"the capture lost {story.lost} frames: what passed the observer's host is not known")
    if plan.machine.clock == "real":
        _check_arming(plan, story, story.armed.t_ns)


def _check_arming(plan: Plan, story: Story, armed_ns: int) -> None:
    allowed_ns = plan.machine.oracle.arming_lag_ns
    if story.took_ns > allowed_ns:
        raise _Inconclusive(f"setting the options took {_s(story.took_ns)}, allowed are {_s(allowed_ns)}{_BUSY}")
    # TCP_USER_TIMEOUT counts from the last segment received, the handshake's; keepalive itself does not.
    shaken = [s.t_ns for s in story.segments if s.what.way == "in" and s.t_ns < armed_ns]
    if plan.scenario.endpoint(plan.scenario.expect.side).user_timeout_s and shaken:
        lag_ns = armed_ns + story.took_ns - max(shaken)
        if lag_ns > allowed_ns:
            raise _Inconclusive(f"armed {_s(lag_ns)} after the handshake, allowed are {_s(allowed_ns)}{_BUSY}")


def _check_false_alarm(plan: Plan, story: Story) -> None:
    faults = plan.scenario.faults
    if story.end is None or not faults or any(fault.standing for fault in faults):
        return
    if not any(story.before_end(injected.t_ns) for injected in story.injected.values()):
        raise _Refuted(f"a false alarm: {_measured(story)}, before any fault was injected{_oracle_says(plan)}")


def _check_in_place(plan: Plan, story: Story, index: int, fault: AnyFault) -> None:
    """Whether a fault was there, and in time: without that nothing is refuted either."""
    name = _name(index, fault)
    injected, proof = story.injected.get(index), story.proofs.get(index)
    if injected is None or not story.before_end(injected.t_ns):
        if story.end is None:
            raise _Inconclusive(f"{name} was never injected: the watch was over before")
        return  # what was noticed came first, under another fault: see _check_bite
    if proof is None:
        raise _Inconclusive(f"{name} left no evidence: none was gathered")
    if proof.what.level == "none":
        raise _Inconclusive(f"{name} left no evidence that it bit: {proof.what.found}")
    if fault.standing:
        return
    _check_moment(plan, story, fault, injected, fault.at_s, f"{name} was injected")
    if fault.until_s is not None:
        healed = story.healed.get(index)
        until_ns = round(fault.until_s * 1e9)
        last = story.end or story.ended
        if healed is not None:
            _check_moment(plan, story, fault, healed, fault.until_s, f"{name} was healed")
        elif last is not None and story.since_armed(last.t_ns) > until_ns:
            raise _Inconclusive(f"{name} was never healed, planned for {_s(until_ns)} after arming")


def _check_deeds(plan: Plan, story: Story) -> None:
    """Whether data was written and a direction shut, and in time."""
    for side in SIDES:
        end = plan.scenario.endpoint(side)
        written = [fact for fact in story.writes if fact.what.side == side]
        for number, at_s in enumerate(end.writes_at_s):
            if not _is_due(story, at_s):
                break
            wrote = _check_deed(plan, story, written[number : number + 1], at_s, f"write {number} of the {side}")
            if not wrote.written:
                raise _Inconclusive(f"write {number} of the {side} failed: the socket took no data")
            _check_round_trip(plan, story)
        if end.shuts_at_s is not None and _is_due(story, end.shuts_at_s):
            shut = [fact for fact in story.shuts if fact.what.side == side]
            if not _check_deed(plan, story, shut, end.shuts_at_s, f"shutdown of the {side}").done:
                raise _Inconclusive(f"shutdown of the {side} failed: the socket was not connected any more")


def _is_due(story: Story, at_s: float) -> bool:
    return story.end is None or story.since_armed(story.end.t_ns) > round(at_s * 1e9)


D = TypeVar("D", Wrote, Shut)


def _check_deed(plan: Plan, story: Story, found: Sequence[Fact[D]], at_s: float, what: str) -> D:
    """What the program did at its moment."""
    planned_ns = round(at_s * 1e9)
    if not found:
        raise _Inconclusive(f"{what} never happened, planned for {_s(planned_ns)} after arming")
    since_ns = story.since_armed(found[0].t_ns)
    done_ns = since_ns + found[0].what.took_ns
    allowed_ns = planned_ns + plan.machine.oracle.injection_ns
    if since_ns < planned_ns or done_ns - story.took_ns > allowed_ns:
        planned = f"planned for {_s(planned_ns)} to {_s(allowed_ns)}{_BUSY}"
        raise _Inconclusive(f"{what} came {_s(since_ns)} after arming, {planned}")
    return found[0].what


def _check_round_trip(plan: Plan, story: Story) -> None:
    """The first retransmission's timeout comes from what the handshake measured."""
    measured_ns, allowed_ns = story.round_trip_ns, plan.machine.oracle.rtt_ns
    if plan.machine.clock == "real" and measured_ns is not None and measured_ns > allowed_ns:
        raise _Inconclusive(f"the handshake's round trip took {_s(measured_ns)}, allowed are {_s(allowed_ns)}{_BUSY}")


def _check_moment(plan: Plan, story: Story, fault: AnyFault, change: Fact[Change], planned_s: float, what: str) -> None:
    """Whether a fault set in or wore off at its time, or so that it made no difference to anybody.

    The oracle leaves room for some delay. What is later than that is harmless unless a segment passed, or would have
    passed, in the meantime.
    """
    assert story.armed is not None
    effects = fault.effects(layout(plan.scenario.topology), plan.scenario.expect.side)
    planned_ns = round(planned_s * 1e9)
    since_ns = story.since_armed(change.t_ns)
    unsettled_ns = round(max((effect.unsettled_s for effect in effects), default=0.0) * 1e9)
    allowed_ns = planned_ns + plan.machine.oracle.injection_ns + unsettled_ns
    done_ns = since_ns + change.what.took_ns
    early = since_ns < planned_ns and story.crossed(change.t_ns, story.armed.t_ns + planned_ns)
    late = done_ns > allowed_ns and story.crossed(story.armed.t_ns + allowed_ns, change.t_ns + change.what.took_ns)
    if any(effect.mechanism == "lost-locally" for effect in effects) and plan.prediction is not None:
        # Such a probe is not on the wire for anybody to see.
        unseen = any(lo < done_ns and hi > allowed_ns for lo, hi in plan.prediction.probe_windows_ns)
        late = late or (done_ns > allowed_ns and unseen)
    if early or late:
        planned = f"planned for {_s(planned_ns)} to {_s(allowed_ns)}"
        raise _Inconclusive(f"{what} {_s(since_ns)} to {_s(done_ns)} after arming, {planned}{'' if early else _BUSY}")


def _check_bite(plan: Plan, story: Story, index: int, fault: AnyFault) -> None:
    """Whether a fault bit: without that nothing is proven.

    What stands from the beginning has bitten when nothing was noticed, and need not where another of its kind did.
    """
    name, proof = _name(index, fault), story.proofs.get(index)
    injected = story.injected.get(index)
    if injected is None or proof is None or not story.before_end(injected.t_ns):
        raise _Inconclusive(f"{name} was never injected: {_measured(story)} came first")
    bitten = {plan.scenario.faults[place].kind for place, each in story.proofs.items() if each.what.level == "bit"}
    stands = fault.standing and (story.kind == "quiet" or fault.kind in bitten)
    if proof.what.level != "bit" and not stands:
        raise _Inconclusive(f"{name} left no evidence that it bit: {proof.what.found}")


# --- is it what was claimed and foreseen -----------------------------------------------------------------


def _check_kind(plan: Plan, story: Story) -> None:
    """Whether the scenario claims what was measured."""
    expect = plan.scenario.expect
    wanted: tuple[str, ...] = tuple(outcome.kind for outcome in plan.expected)
    if expect.outcome != "as-predicted":
        wanted = (KIND_OF[expect.outcome],)
    if story.kind not in wanted:
        raise _Refuted(f"expected {_spelled(plan)}, found {_measured(story)}{_oracle_says(plan)}")
    if expect.errno is not None and story.errno != expect.errno:
        raise _Refuted(f"expected errno {expect.errno}, found {_measured(story)}{_oracle_says(plan)}")
    if expect.reports is not None and (story.given_up is None or story.given_up.reports != expect.reports):
        raise _Refuted(f"expected a report of {expect.reports!r}, found {_measured(story)}")
    if story.kind == "quiet" and must_echo(plan):
        if story.alive is None:
            raise _Inconclusive("nothing was noticed, but no data was sent to show that the connection lives")
        if not story.alive.what.echo:
            raise _Refuted("nothing was noticed, yet the connection is dead: data sent at the end did not come back")


def _check_claimed_window(plan: Plan, story: Story) -> None:
    expect = plan.scenario.expect
    if expect.window_s is None:
        return
    if story.end is None:
        raise _Refuted(f"nothing was noticed, the claim is from {expect.window_s[0]:g} to {expect.window_s[1]:g} s")
    if story.origin is None or story.detected_ns is None:
        raise _Inconclusive(f"the origin of expect.window_s ({expect.origin}) never came")
    measured, vague_ns = story.detected_ns, story.origin[1]
    lo, hi = round(expect.window_s[0] * 1e9), round(expect.window_s[1] * 1e9)
    noticed = f"noticed {_s(measured)} after {expect.origin}"
    where = f"expect.window_s [{expect.window_s[0]:g}, {expect.window_s[1]:g}] s after {expect.origin}"
    if measured < lo:
        raise _Refuted(f"{noticed}, {_s(lo - measured)} before {where}{_oracle_says(plan)}")
    if measured - vague_ns > hi + plan.allowance_ns:
        _blame_late_wake_up(plan, story, story.since_armed(story.origin[0]) + hi)
        raise _Refuted(f"{noticed}, {_s(measured - hi)} after {where} ended{_oracle_says(plan)}")


def _check_reconnection(plan: Plan, story: Story, claim_s: tuple[float, float] | None) -> None:
    """Whether the lost connection was replaced in time, counted from being noticed."""
    if claim_s is None or story.end is None:
        return
    found_ns, said = _reconnected_ns(story), f"{claim_s[0]:g} to {claim_s[1]:g} s"
    if found_ns is None:
        raise _Refuted(f"{_measured(story)}, and no other connection was made, expected {said} after that")
    if not round(claim_s[0] * 1e9) <= found_ns <= round(claim_s[1] * 1e9) + plan.allowance_ns:
        raise _Refuted(f"another connection stood {_s(found_ns)} after being noticed, expected {said}")


def _check_prediction(plan: Plan, story: Story) -> None:
    """Whether the oracle foresaw it: a disagreement with the kernel is a failure of one of them."""
    if plan.prediction is None:
        return
    same = [o for o in plan.prediction.outcomes if o.kind == story.kind and o.errno == story.errno]
    if not same:
        raise _Refuted(f"the claim holds but the oracle is wrong: {_measured(story)}{_oracle_says(plan)}")
    # Outcomes of one kind and errno differ by the RST; it tells which of them this is.
    same = [o for o in same if o.rst == story.sent_rst] or same
    if story.end is not None:
        measured = story.since_armed(story.end.t_ns)
        windows = [w for o in same if (w := o.window_by_probes.get(len(story.probes), o.window_ns)) is not None]
        lo, hi = min(w[0] for w in windows), max(w[1] for w in windows)
        if measured < lo - story.late_count_ns:
            raise _Refuted(f"noticed {_s(measured)} after arming, {_s(lo - measured)} before the oracle's window opens")
        if measured - story.took_ns > hi + plan.allowance_ns:
            _blame_late_wake_up(plan, story, hi)
            raise _Refuted(f"noticed {_s(measured)} after arming, {_s(measured - hi)} after the oracle's window closed")
    _check_since_read(plan, story, same)
    again = [outcome.reconnects_ns for outcome in same if outcome.reconnects_ns is not None]
    _check_reconnection(plan, story, (hull(again)[0] / 1e9, hull(again)[1] / 1e9) if again else None)
    _check_segments(plan, story, same)


def _check_since_read(plan: Plan, story: Story, same: list[Outcome]) -> None:
    """Sharper than from arming: how long after the last data the program gave its peer up."""
    windows = [outcome.since_read_ns for outcome in same if outcome.since_read_ns is not None]
    if not windows or story.end is None or story.last_read is None:
        return
    measured, (lo, hi) = story.end.t_ns - story.last_read, hull(windows)
    if not lo <= measured <= hi + plan.allowance_ns:
        raise _Refuted(f"noticed {_s(measured)} after the last data came, the oracle says {_s(lo)} to {_s(hi)}")


def _check_segments(plan: Plan, story: Story, same: list[Outcome]) -> None:
    """Number, times and spacing of the probes, the answers that survival rests on, and the RST at the end."""
    assert plan.prediction is not None
    probes: list[Fact[Segment]] = story.probes
    noun = NOUNS[plan.prediction.asking]
    possible = {number for outcome in same for number in outcome.window_by_probes}
    if possible and len(probes) not in possible:
        foreseen = _range((min(possible), max(possible)))
        raise _Refuted(f"{len(probes)} {noun}s on the wire, the oracle says {foreseen}")
    late_ns = 0 if plan.machine.clock == "virtual" else TIMER_ALLOWANCE_MS * 1_000_000
    for number, (probe, window) in enumerate(zip(probes, plan.prediction.probe_windows_ns, strict=False), start=1):
        at = story.since_armed(probe.t_ns)
        if at < window[0] - story.late_count_ns or at - story.took_ns > window[1] + late_ns:
            raise _Refuted(
                f"{noun} {number} was sent {_s(at)} after arming, the oracle says {_s(window[0])} to {_s(window[1])}"
            )
    slack_ns = late_ns + plan.machine.oracle.late_jiffies * tick_ns(plan.machine.hz)
    # As many as there are: predictions list the first few gaps, runs may have fewer.
    gaps = zip(probes, probes[1:], plan.prediction.probe_gaps_ns, strict=False)
    for number, (probe, later, gap) in enumerate(gaps, start=1):
        measured = later.t_ns - probe.t_ns
        if not gap[0] - slack_ns <= measured <= gap[1] + slack_ns:
            foreseen = f"the oracle says {_s(gap[0])} to {_s(gap[1])}"
            raise _Refuted(f"{noun} {number + 1} came {_s(measured)} after {noun} {number}, {foreseen}")
    if plan.prediction.asking == "probe":
        _check_answers(plan, story)
    _check_rst(story, same)


def _check_answers(plan: Plan, story: Story) -> None:
    """Nothing noticed means that no `count` probes in a row went unanswered."""
    settings = settings_of(plan.scenario, plan.scenario.expect.side)
    if story.kind != "quiet" or settings.user_timeout_ms:
        return
    answers = [s.t_ns for s in story.segments if s.what.role == "answer" and s.what.way == "in"]
    streak = 0
    for probe, later in zip(story.probes, story.probes[1:], strict=False):
        answered = any(probe.t_ns <= answer <= later.t_ns for answer in answers)
        streak = 0 if answered else streak + 1
        if streak >= settings.count:
            raise _Refuted(f"nothing was noticed, yet {streak} probes in a row went unanswered")


def _check_rst(story: Story, same: list[Outcome]) -> None:
    """The RST that leaves at an abort, at that moment; or the one that came and ended the connection."""
    if story.kind != "detected":
        return
    if story.errno == "ECONNRESET":
        if not story.resets("in"):
            raise _Refuted("the connection was reset, yet no RST was captured on the observer's host")
        return
    left = story.resets("out")
    if bool(left) not in {outcome.rst for outcome in same}:
        raise _Refuted(f"{'an' if left else 'no'} RST left at the abort, the oracle says otherwise")
    opens_ns = min((outcome.window_ns[0] for outcome in same if outcome.window_ns is not None), default=0)
    opens_ns -= story.late_count_ns
    if left and (story.since_armed(left[0]) < opens_ns or not story.before_end(left[0])):
        raise _Refuted(
            f"an RST left {_s(story.since_armed(left[0]))} after arming, which is not the moment of the abort"
        )


def _blame_late_wake_up(plan: Plan, story: Story, hi_ns: int) -> None:
    """Raise _Inconclusive where the kernel decided in time and only this machine was slow to run the program.

    `hi_ns`: the last acceptable moment, after arming.
    """
    moment_ns = story.kernel_moment_ns
    if moment_ns is None or story.end is None:
        return
    decided_ns = story.since_armed(moment_ns)
    if decided_ns - story.took_ns > hi_ns + plan.allowance_ns:
        return
    raise _Inconclusive(
        f"the kernel decided in time ({_s(decided_ns)} after arming) but the program ran "
        f"{_s(story.end.t_ns - moment_ns)} later; the allowance is {_s(plan.allowance_ns)}{_BUSY}"
    )


# --- in words --------------------------------------------------------------------------------------------


def _confirmation(plan: Plan, story: Story) -> str:
    proofs = [story.proofs[index].what.found for index in sorted(story.proofs)]
    evidence = f" ({'; '.join(proofs)})" if proofs else ""
    same = [o for o in plan.expected if o.kind == story.kind and o.errno == story.errno]
    why = f"{same[0].why}" if same else "as claimed"
    return f"{why}{evidence}"


def _name(index: int, fault: AnyFault) -> str:
    return f"fault {index} ({fault.kind})"


def _measured(story: Story) -> str:
    if story.end is None:
        return "nothing noticed"
    what = story.errno if story.kind == "detected" else "end of file"
    if story.given_up is not None:
        what = f"{story.given_up.how}: {story.given_up.found}"
    return f"{what} {_s(story.since_armed(story.end.t_ns))} after arming"


def _spelled(plan: Plan) -> str:
    expect: Expect = plan.scenario.expect
    words = {
        "detected": expect.errno or "an error",
        "noticed": "the program to give its peer up",
        "eof": "end of file",
        "survives": "the connection to survive",
        "never": "nothing to be noticed",
    }
    return words.get(expect.outcome, "what the oracle predicts")


def _oracle_says(plan: Plan) -> str:
    if plan.prediction is None:
        return ""
    said = []
    for outcome in plan.prediction.outcomes:
        text = spell_outcomes((outcome,))
        if outcome.window_ns is not None:
            text += f" {_s(outcome.window_ns[0])} to {_s(outcome.window_ns[1])} after arming"
        said.append(f"{text} ({outcome.why})")
    return f"; the oracle predicted {' or '.join(said)}"


def _span(spans: list[tuple[int, int]]) -> tuple[int, int] | None:
    return (min(s[0] for s in spans), max(s[1] for s in spans)) if spans else None


def _range(span: tuple[int, int]) -> str:
    return str(span[0]) if span[0] == span[1] else f"{span[0]} to {span[1]}"


def _s(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e9:.3f} s"
