"""Whether a run can be judged at all: whole, with every fault in place and in time, and with
evidence of each. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from harness.judge.facts import Change, Fact, Shut, Wrote
from harness.judge.history import History
from harness.judge.moments import seconds, secs
from harness.judge.reasons import Inconclusive, TooBusy, fault_name, seen
from harness.model.topology import SIDES
from harness.plan.allowances import tolerances
from harness.plan.plan import Expectation, Plan

D = TypeVar("D", Wrote, Shut)


def check_run(plan: Plan, history: History) -> None:
    """Whether the run is whole: armed, watched until something was detected or the time was up,
    nothing lost.
    """
    if history.broken is not None:
        raise Inconclusive("run-broken", f"the run broke: {history.broken.what.error}")
    if history.armed is None:
        nothing = "nothing was recorded" if history.is_empty else "no subject.armed event"
        raise Inconclusive("never-armed", f"the subject never got ready: {nothing}")
    if history.ended is None:
        raise Inconclusive("run-cut-short", "the run was cut short: no run.ended event")
    watched_ns = history.since_armed(history.ended.t_ns)
    over = history.end is not None or plan.claims_recovery_alone  # see check_recovery
    if plan.scenario.expect.outcome == "any":
        over = history.exited >= set(SIDES)
    if not over and watched_ns < plan.watch_ns:
        watched, planned = seconds(watched_ns, plan.watch_ns)
        raise Inconclusive(
            "run-cut-short", f"the run was cut short: watched for {watched} of {planned}"
        )
    if history.lost is None:
        missing = "no capture.ended event of the observer's host"
        raise Inconclusive("run-cut-short", f"the run was cut short: {missing}")
    if history.lost:
        unknown = "what passed the observer's host is not known"
        raise Inconclusive(
            "capture-incomplete", f"the capture lost {history.lost} frames: {unknown}"
        )
    if plan.machine.clock == "real":
        _check_arming(plan, history, history.armed.t_ns)


def _check_arming(plan: Plan, history: History, armed_ns: int) -> None:
    allowed_ns = tolerances(plan.machine).arming_lag_ns
    if history.took_ns > allowed_ns:
        took, allowed = seconds(history.took_ns, allowed_ns)
        raise TooBusy(f"setting the options took {took}, allowed are {allowed}")
    # TCP_USER_TIMEOUT counts from the last segment received, the handshake's; keepalive itself does
    # not.
    shaken = [s.t_ns for s in history.segments if s.what.way == "in" and s.t_ns < armed_ns]
    if plan.scenario.endpoint(plan.scenario.expect.side).user_timeout_s and shaken:
        lag_ns = armed_ns + history.took_ns - max(shaken)
        if lag_ns > allowed_ns:
            lag, allowed = seconds(lag_ns, allowed_ns)
            raise TooBusy(f"armed {lag} after the handshake, allowed are {allowed}")


def check_in_place(plan: Plan, history: History, index: int) -> None:
    """Whether a fault was there, and in time: without that nothing is refuted either."""
    name, expected = fault_name(plan, index), plan.faults[index]
    injected, proof = history.injected.get(index), history.proofs.get(index)
    if injected is None or not history.counts(injected.t_ns):
        if history.end is None:
            raise Inconclusive(
                "fault-never-injected", f"{name} was never injected: the watch was over before"
            )
        return  # what was detected came first, under another fault: see check_evidence
    if proof is None:
        raise Inconclusive("fault-left-no-evidence", f"{name} left no evidence: none was gathered")
    if proof.what.level == "none":
        raise Inconclusive("fault-left-no-evidence", f"{name} left no evidence: {proof.what.found}")
    if expected.standing:
        return
    _check_moment(
        plan,
        history,
        expected,
        injected,
        expected.at_ns,
        f"{name} was injected",
        starts_timer=expected.starts_timer,
    )
    if expected.until_ns is not None:
        healed = history.healed.get(index)
        last = history.end or history.ended
        if healed is not None:
            _check_moment(plan, history, expected, healed, expected.until_ns, f"{name} was healed")
        elif last is not None and history.since_armed(last.t_ns) > expected.until_ns:
            planned = f"planned for {secs(expected.until_ns)} after arming"
            raise Inconclusive("fault-mistimed", f"{name} was never healed, {planned}")


def check_actions(plan: Plan, history: History) -> None:
    """Whether data was written and a direction shut, and in time."""
    for side in SIDES:
        end = plan.scenario.endpoint(side)
        written = [fact for fact in history.writes if fact.what.side == side]
        for number, at_s in enumerate(end.writes_at_s):
            if not _is_due(history, at_s):
                break
            wrote = _check_action(
                plan, history, written[number : number + 1], at_s, f"write {number} of the {side}"
            )
            if not wrote.written:
                raise Inconclusive(
                    "action-failed", f"write {number} of the {side} failed: the socket took no data"
                )
            _check_round_trip(plan, history)
        if end.shuts_at_s is not None and _is_due(history, end.shuts_at_s):
            shut = [fact for fact in history.shuts if fact.what.side == side]
            if not _check_action(
                plan, history, shut, end.shuts_at_s, f"shutdown of the {side}"
            ).done:
                words = f"shutdown of the {side} failed: the socket was not connected any more"
                raise Inconclusive("action-failed", words)


def _is_due(history: History, at_s: float) -> bool:
    return history.end is None or history.since_armed(history.end.t_ns) > round(at_s * 1e9)


def _check_action(
    plan: Plan, history: History, found: Sequence[Fact[D]], at_s: float, what: str
) -> D:
    """What the program did at its moment."""
    planned_ns = round(at_s * 1e9)
    if not found:
        words = f"{what} never happened, planned for {secs(planned_ns)} after arming"
        raise Inconclusive("action-failed", words)
    since_ns = history.since_armed(found[0].t_ns)
    done_ns = since_ns + found[0].what.took_ns
    allowed_ns = planned_ns + tolerances(plan.machine).injection_ns
    if since_ns < planned_ns or done_ns - history.took_ns > allowed_ns:
        since, planned, allowed = seconds(since_ns, planned_ns, allowed_ns)
        raise TooBusy(f"{what} came {since} after arming, planned for {planned} to {allowed}")
    return found[0].what


def _check_round_trip(plan: Plan, history: History) -> None:
    """The first retransmission's timeout comes from what the handshake measured."""
    measured_ns, allowed_ns = history.round_trip_ns, tolerances(plan.machine).rtt_ns
    if plan.machine.clock == "real" and measured_ns is not None and measured_ns > allowed_ns:
        took, allowed = seconds(measured_ns, allowed_ns)
        raise TooBusy(f"the handshake's round trip took {took}, allowed are {allowed}")


def _check_moment(
    plan: Plan,
    history: History,
    expected: Expectation,
    change: Fact[Change],
    planned_ns: int,
    what: str,
    *,
    starts_timer: bool = False,
) -> None:
    """Whether a fault set in or wore off at its time, or so that it made no difference to anybody.

    The oracle leaves room for some delay. What is later than that is harmless unless a segment
    passed, or would have passed, in the meantime, or it starts a timer of the fault's own.
    """
    assert history.armed is not None
    since_ns = history.since_armed(change.t_ns)
    allowed_ns = planned_ns + expected.late_ns
    done_ns = since_ns + change.what.took_ns
    early = since_ns < planned_ns and history.crossed(change.t_ns, history.armed.t_ns + planned_ns)
    late = done_ns > allowed_ns and (
        starts_timer
        or history.crossed(history.armed.t_ns + allowed_ns, change.t_ns + change.what.took_ns)
    )
    if expected.hides_probes and plan.prediction is not None:
        # Such a probe is not on the wire for anybody to see.
        unseen = any(
            lo < done_ns and hi > allowed_ns for lo, hi in plan.prediction.probe_windows_ns
        )
        late = late or (done_ns > allowed_ns and unseen)
    if early or late:
        since, planned = (
            seconds(since_ns, planned_ns) if early else (secs(since_ns), secs(planned_ns))
        )
        done, allowed = (secs(done_ns), secs(allowed_ns)) if early else seconds(done_ns, allowed_ns)
        words = f"{what} {since} to {done} after arming, planned for {planned} to {allowed}"
        raise Inconclusive("fault-mistimed", words) if early else TooBusy(words)


def check_evidence(plan: Plan, history: History, index: int) -> None:
    """Whether a fault left the evidence that the plan demands of it: without that nothing is
    proven.
    """
    expected, proof = plan.faults[index], history.proofs.get(index)
    injected = history.injected.get(index)
    if injected is None or proof is None or not history.counts(injected.t_ns):
        words = f"{fault_name(plan, index)} was never injected: {seen(history)} came first"
        raise Inconclusive("fault-never-injected", words)
    ended_so = (history.kind, history.errno) in {
        (each.kind, each.errno) for each in expected.decides
    }
    acted = any(_has_acted(plan, history, each) for each in (index, *expected.instead))
    if (expected.demand == "must-act" or ended_so) and not acted:
        raise Inconclusive(
            "fault-met-nothing", _why_unproven(plan, history, index, proof.what.found)
        )


def _has_acted(plan: Plan, history: History, index: int) -> bool:
    left = index in history.proofs and history.proofs[index].what.level == "bit"
    return left and (not plan.faults[index].needs_traffic or _met_traffic(plan, history, index))


def _met_traffic(plan: Plan, history: History, index: int) -> bool:
    """Whether anything was sent while a fault was on that wore off before the run was decided.

    One that was still on then may be told by silence alone. A probe that is lost on its own host is
    on no wire: it counts where the oracle has it sent, at whatever phase, while the fault is on.
    """
    injected, healed = history.injected.get(index), history.healed.get(index)
    last = history.end or history.ended
    if injected is None or healed is None or last is None or healed.t_ns >= last.t_ns:
        return True
    assert history.armed is not None
    from_ns, until_ns = injected.t_ns + injected.what.took_ns, healed.t_ns
    sent_ns = [
        *history.sent_ns,
        *([history.armed.t_ns] if plan.scenario.state == "connecting" else []),
    ]
    if any(from_ns <= moment <= until_ns for moment in sent_ns):
        return True
    due_ns = plan.faults[index].due_ns
    return any(
        from_ns <= history.armed.t_ns + lo and history.armed.t_ns + hi <= until_ns
        for lo, hi in due_ns
    )


def _why_unproven(plan: Plan, history: History, index: int, found: str) -> str:
    """That nothing came for a fault to act on, and how to have something sent."""
    expected, injected, healed = (
        plan.faults[index],
        history.injected[index],
        history.healed.get(index),
    )
    since = (
        "from the beginning"
        if expected.standing
        else f"from {secs(history.since_armed(injected.t_ns))} after arming"
    )
    heals = expected.until_ns is not None and healed is not None
    until = f"to {secs(history.since_armed(healed.t_ns))}" if heals and healed else "to the end"
    send = (
        "keepalive, or writes_at_s, in that time"
        if not expected.standing
        else "keepalive, or writes_at_s"
    )
    return (
        f"{fault_name(plan, index)} left no evidence that it acted: {found}; nothing that it "
        "acts on was sent while it "
        f"was on ({since} {until}); have something sent ({send}), move the fault (at_s), or "
        "watch longer (bound_s)"
    )
