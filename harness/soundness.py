"""Whether a run can be judged at all: whole, with every fault in place and in time, and with evidence of each. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from harness.faults import AnyFault
from harness.findings import Inconclusive, TooBusy, fault_name, secs, seen
from harness.lab.topology import SIDES, layout
from harness.plan import Plan
from harness.story import Change, Fact, Shut, Story, Wrote

D = TypeVar("D", Wrote, Shut)


def check_run(plan: Plan, story: Story) -> None:
    """Whether the run is whole: armed, watched until something was noticed or the time was up, nothing lost."""
    if story.broken is not None:
        raise Inconclusive("run-broken", f"the run broke: {story.broken.what.error}")
    if story.armed is None:
        nothing = "nothing was recorded" if story.is_empty else "no subject.armed event"
        raise Inconclusive("never-armed", f"the subject never got ready: {nothing}")
    if story.ended is None:
        raise Inconclusive("run-cut-short", "the run was cut short: no run.ended event")
    watched_ns = story.since_armed(story.ended.t_ns)
    if story.end is None and watched_ns < plan.watch_ns:
        watched = f"watched for {secs(watched_ns)} of {secs(plan.watch_ns)}"
        raise Inconclusive("run-cut-short", f"the run was cut short: {watched}")
    if story.lost is None:
        missing = "no capture.ended event of the observer's host"
        raise Inconclusive("run-cut-short", f"the run was cut short: {missing}")
    if story.lost:
        unknown = "what passed the observer's host is not known"
        raise Inconclusive("capture-incomplete", f"the capture lost {story.lost} frames: {unknown}")
    if plan.machine.clock == "real":
        _check_arming(plan, story, story.armed.t_ns)


def _check_arming(plan: Plan, story: Story, armed_ns: int) -> None:
    allowed_ns = plan.machine.oracle.arming_lag_ns
    if story.took_ns > allowed_ns:
        raise TooBusy(f"setting the options took {secs(story.took_ns)}, allowed are {secs(allowed_ns)}")
    # TCP_USER_TIMEOUT counts from the last segment received, the handshake's; keepalive itself does not.
    shaken = [s.t_ns for s in story.segments if s.what.way == "in" and s.t_ns < armed_ns]
    if plan.scenario.endpoint(plan.scenario.expect.side).user_timeout_s and shaken:
        lag_ns = armed_ns + story.took_ns - max(shaken)
        if lag_ns > allowed_ns:
            raise TooBusy(f"armed {secs(lag_ns)} after the handshake, allowed are {secs(allowed_ns)}")


def check_in_place(plan: Plan, story: Story, index: int, fault: AnyFault) -> None:
    """Whether a fault was there, and in time: without that nothing is refuted either."""
    name = fault_name(index, fault)
    injected, proof = story.injected.get(index), story.proofs.get(index)
    if injected is None or not story.before_end(injected.t_ns):
        if story.end is None:
            raise Inconclusive("fault-never-injected", f"{name} was never injected: the watch was over before")
        return  # what was noticed came first, under another fault: see check_bite
    if proof is None:
        raise Inconclusive("fault-left-no-evidence", f"{name} left no evidence: none was gathered")
    if proof.what.level == "none":
        raise Inconclusive("fault-left-no-evidence", f"{name} left no evidence that it bit: {proof.what.found}")
    if fault.standing:
        return
    _check_moment(plan, story, fault, injected, fault.at_s, f"{name} was injected", sets_clock=fault.has_clock)
    if fault.until_s is not None:
        healed = story.healed.get(index)
        until_ns = round(fault.until_s * 1e9)
        last = story.end or story.ended
        if healed is not None:
            _check_moment(plan, story, fault, healed, fault.until_s, f"{name} was healed")
        elif last is not None and story.since_armed(last.t_ns) > until_ns:
            planned = f"planned for {secs(until_ns)} after arming"
            raise Inconclusive("fault-mistimed", f"{name} was never healed, {planned}")


def check_deeds(plan: Plan, story: Story) -> None:
    """Whether data was written and a direction shut, and in time."""
    for side in SIDES:
        end = plan.scenario.endpoint(side)
        written = [fact for fact in story.writes if fact.what.side == side]
        for number, at_s in enumerate(end.writes_at_s):
            if not _is_due(story, at_s):
                break
            wrote = _check_deed(plan, story, written[number : number + 1], at_s, f"write {number} of the {side}")
            if not wrote.written:
                raise Inconclusive("action-failed", f"write {number} of the {side} failed: the socket took no data")
            _check_round_trip(plan, story)
        if end.shuts_at_s is not None and _is_due(story, end.shuts_at_s):
            shut = [fact for fact in story.shuts if fact.what.side == side]
            if not _check_deed(plan, story, shut, end.shuts_at_s, f"shutdown of the {side}").done:
                words = f"shutdown of the {side} failed: the socket was not connected any more"
                raise Inconclusive("action-failed", words)


def _is_due(story: Story, at_s: float) -> bool:
    return story.end is None or story.since_armed(story.end.t_ns) > round(at_s * 1e9)


def _check_deed(plan: Plan, story: Story, found: Sequence[Fact[D]], at_s: float, what: str) -> D:
    """What the program did at its moment."""
    planned_ns = round(at_s * 1e9)
    if not found:
        words = f"{what} never happened, planned for {secs(planned_ns)} after arming"
        raise Inconclusive("action-failed", words)
    since_ns = story.since_armed(found[0].t_ns)
    done_ns = since_ns + found[0].what.took_ns
    allowed_ns = planned_ns + plan.machine.oracle.injection_ns
    if since_ns < planned_ns or done_ns - story.took_ns > allowed_ns:
        planned = f"planned for {secs(planned_ns)} to {secs(allowed_ns)}"
        raise TooBusy(f"{what} came {secs(since_ns)} after arming, {planned}")
    return found[0].what


def _check_round_trip(plan: Plan, story: Story) -> None:
    """The first retransmission's timeout comes from what the handshake measured."""
    measured_ns, allowed_ns = story.round_trip_ns, plan.machine.oracle.rtt_ns
    if plan.machine.clock == "real" and measured_ns is not None and measured_ns > allowed_ns:
        raise TooBusy(f"the handshake's round trip took {secs(measured_ns)}, allowed are {secs(allowed_ns)}")


def _check_moment(
    plan: Plan,
    story: Story,
    fault: AnyFault,
    change: Fact[Change],
    planned_s: float,
    what: str,
    *,
    sets_clock: bool = False,
) -> None:
    """Whether a fault set in or wore off at its time, or so that it made no difference to anybody.

    The oracle leaves room for some delay. What is later than that is harmless unless a segment passed, or would have
    passed, in the meantime, or it sets a clock of the fault's own.
    """
    assert story.armed is not None
    effects = fault.effects(layout(plan.scenario.topology), plan.scenario.expect.side)
    planned_ns = round(planned_s * 1e9)
    since_ns = story.since_armed(change.t_ns)
    unsettled_ns = round(max((effect.unsettled_s for effect in effects), default=0.0) * 1e9)
    allowed_ns = planned_ns + max(plan.machine.oracle.injection_ns, round(fault.takes_s * 1e9)) + unsettled_ns
    done_ns = since_ns + change.what.took_ns
    early = since_ns < planned_ns and story.crossed(change.t_ns, story.armed.t_ns + planned_ns)
    late = done_ns > allowed_ns and (
        sets_clock or story.crossed(story.armed.t_ns + allowed_ns, change.t_ns + change.what.took_ns)
    )
    if any(effect.mechanism == "lost-locally" for effect in effects) and plan.prediction is not None:
        # Such a probe is not on the wire for anybody to see.
        unseen = any(lo < done_ns and hi > allowed_ns for lo, hi in plan.prediction.probe_windows_ns)
        late = late or (done_ns > allowed_ns and unseen)
    if early or late:
        planned = f"planned for {secs(planned_ns)} to {secs(allowed_ns)}"
        words = f"{what} {secs(since_ns)} to {secs(done_ns)} after arming, {planned}"
        raise Inconclusive("fault-mistimed", words) if early else TooBusy(words)


def check_bite(plan: Plan, story: Story, index: int, fault: AnyFault) -> None:
    """Whether a fault bit: without that nothing is proven.

    What stands from the beginning has bitten when nothing was noticed, and need not where another of its kind did.
    """
    name, proof = fault_name(index, fault), story.proofs.get(index)
    injected = story.injected.get(index)
    if injected is None or proof is None or not story.before_end(injected.t_ns):
        raise Inconclusive("fault-never-injected", f"{name} was never injected: {seen(story)} came first")
    bitten = {plan.scenario.faults[place].kind for place, each in story.proofs.items() if each.what.level == "bit"}
    stands = fault.standing and (story.kind == "quiet" or fault.kind in bitten)
    if proof.what.level != "bit" and not stands:
        raise Inconclusive("fault-met-nothing", f"{name} left no evidence that it bit: {proof.what.found}")
