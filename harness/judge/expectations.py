"""Whether what was detected is what the scenario claims and the oracle foresaw, in both their
windows. Pure.
"""

from __future__ import annotations

import math

from harness.judge.facts import CapturedPacket, Fact
from harness.judge.history import History
from harness.judge.moments import ORIGINS, Clock, plain, seconds
from harness.judge.reasons import (
    Difference,
    Inconclusive,
    PredictionRefuted,
    Refuted,
    TooBusy,
    in_range,
    oracle_says,
    reconnected_ns,
    restored_ns,
    said,
    seen,
)
from harness.judge.silence import last_lines, until_when
from harness.oracle.prediction import NOUNS, Outcome, hull
from harness.oracle.timerwheel import tick_ns
from harness.plan.allowances import TIMER_ALLOWANCE_MS, tolerances
from harness.plan.plan import KIND_OF, Plan, settings_of

VIRTUAL_WAKE_UP_NS = 5_000_000
"""Virtual time, which stands still while anything computes: the longest from the kernel's decision
to the program.
"""
COMMAND_WAKE_UP_NS = 2_000_000_000
"""Real time: the longest that a busy machine keeps a command from running."""


def check_false_alarm(plan: Plan, history: History) -> None:
    """Whether something was detected before there was anything to detect."""
    if plan.scenario.expect.outcome == "any":
        return
    if history.end is None or not plan.faults or any(fault.standing for fault in plan.faults):
        return
    if not any(history.before_end(injected.t_ns) for injected in history.injected.values()):
        words = (
            f"a false alarm: {seen(history)}, before any fault was "
            f"injected{oracle_says(plan, history)}"
        )
        raise Refuted("false-alarm", words)


def check_kind(plan: Plan, history: History) -> None:
    """Whether the scenario claims what was measured."""
    expect = plan.scenario.expect
    wanted: tuple[str, ...] = tuple(outcome.kind for outcome in plan.expected)
    if expect.outcome != "as-predicted":
        wanted = (KIND_OF[expect.outcome],)
    if plan.claims_recovery_alone:
        return
    if history.kind not in wanted:
        cause: Difference = "never-noticed" if history.kind == "quiet" else "claim-refuted"
        if expect.outcome == "never" and history.kind == "noticed":
            cause = "noticed-unexpectedly"
        found = seen(history)
        if history.kind == "quiet":
            found += f"{until_when(plan, history)}{last_lines(plan, history)}"
        raise Refuted(cause, f"expected {said(plan)}, found {found}{oracle_says(plan, history)}")
    if expect.errno is not None and history.errno != expect.errno:
        words = f"expected errno {expect.errno}, found {seen(history)}{oracle_says(plan, history)}"
        raise Refuted("claim-refuted", words)
    if expect.reports is not None and (
        history.given_up is None or history.given_up.reports != expect.reports
    ):
        words = f"expected a report of {expect.reports!r}, found {seen(history)}"
        raise Refuted("claim-refuted", words)


def check_claimed_window(plan: Plan, history: History) -> None:
    """Whether it was detected in the window that the scenario claims."""
    expect = plan.scenario.expect
    if expect.window_s is None:
        return
    window = (
        f"{plain(expect.window_s[0])} to {plain(expect.window_s[1])} s after "
        f"{ORIGINS[expect.origin]}"
    )
    if history.end is None:
        raise Refuted(
            "never-noticed",
            f"nothing was detected{until_when(plan, history)}, the claim is {window}",
        )
    if expect.origin == "healed" and (
        history.origin is None or history.end.t_ns < history.origin[0]
    ):
        words = (
            f"detected before the last fault was removed: {seen(history)}"
            f"{oracle_says(plan, history)}"
        )
        raise Refuted("noticed-too-early", words)
    if history.origin is None or history.detected_ns is None:
        raise Inconclusive(
            "origin-missing", f"the origin of expect.window_s ({expect.origin}) never came"
        )
    measured, vague_ns = history.detected_ns, history.origin[1]
    lo, hi = round(expect.window_s[0] * 1e9), round(expect.window_s[1] * 1e9)
    if measured < lo:
        at, early = seconds(measured, lo)[0], seconds(lo - measured, 0)[0]
        words = (
            f"detected {at} after {ORIGINS[expect.origin]}, {early} before expect.window_s "
            f"({window})"
        )
        raise Refuted("noticed-too-early", f"{words}{oracle_says(plan, history)}")
    if measured - vague_ns > hi + plan.allowance_ns:
        _blame_late_wake_up(plan, history, history.since_armed(history.origin[0]) + hi)
        at, late = seconds(measured, hi)[0], seconds(measured - hi, 0)[0]
        words = (
            f"detected {at} after {ORIGINS[expect.origin]}, {late} after expect.window_s "
            f"({window}) ended"
        )
        raise Refuted("noticed-too-late", f"{words}{oracle_says(plan, history)}")


def check_reconnection(plan: Plan, history: History, claim_s: tuple[float, float] | None) -> None:
    """Whether the lost connection was replaced in time, counted from being detected."""
    if claim_s is None or history.end is None:
        return
    found_ns, said = reconnected_ns(history), f"{plain(claim_s[0])} to {plain(claim_s[1])} s"
    if found_ns is None:
        raise Refuted(
            "reconnection-refuted",
            f"{seen(history)}, and no other connection was made, expected {said} after that",
        )
    if not round(claim_s[0] * 1e9) <= found_ns <= round(claim_s[1] * 1e9) + plan.allowance_ns:
        found, *_ = seconds(found_ns, *(round(end * 1e9) for end in claim_s))
        words = f"another connection stood {found} after being detected, expected {said}"
        raise Refuted("reconnection-refuted", words)


def check_claimed_reconnection(plan: Plan, history: History) -> None:
    """Whether the lost connection was replaced in the window that the scenario claims."""
    expect = plan.scenario.expect
    if expect.origin != "healed" or expect.reconnects_s is None or history.end is None:
        check_reconnection(plan, history, expect.reconnects_s)
        return
    (lo_s, hi_s), found_ns = expect.reconnects_s, restored_ns(history)
    window = f"{plain(lo_s)} to {plain(hi_s)} s after the last fault was removed"
    if found_ns is None:
        raise Refuted(
            "reconnection-refuted",
            f"expected another connection {window}, found none; {seen(history)}",
        )
    if not round(lo_s * 1e9) <= found_ns <= round(hi_s * 1e9) + plan.allowance_ns:
        found, *_ = seconds(found_ns, round(lo_s * 1e9), round(hi_s * 1e9))
        words = f"expected another connection {window}, found it {found} after that"
        raise Refuted("reconnection-refuted", words)


def check_prediction(plan: Plan, history: History) -> None:
    """Whether the oracle foresaw it: a disagreement with the kernel is a failure of one of them."""
    if plan.prediction is None:
        return
    same = [
        o for o in plan.prediction.outcomes if o.kind == history.kind and o.errno == history.errno
    ]
    if not same:
        raise PredictionRefuted(
            f"the claim holds but the oracle is wrong: {seen(history)}{oracle_says(plan, history)}"
        )
    # Outcomes of one kind and errno differ by the RST; it tells which of them this is.
    same = [o for o in same if o.rst == history.sent_rst] or same
    if history.end is not None:
        measured = history.since_armed(history.end.t_ns)
        windows = [
            w
            for o in same
            if (w := o.window_by_probes.get(len(history.probes), o.window_ns)) is not None
        ]
        lo, hi = min(w[0] for w in windows), max(w[1] for w in windows)
        clock = Clock(history)
        at, low, high = clock.times(measured, lo, hi)
        window = f"{low} to {high} after {clock.origin}"
        if measured < lo - history.late_count_ns:
            early = seconds(lo - measured, 0)[0]
            raise PredictionRefuted(
                f"detected {at}, {early} before the oracle's window opens ({window})"
            )
        if measured - history.took_ns > hi + plan.allowance_ns:
            _blame_late_wake_up(plan, history, hi)
            late = seconds(measured - hi, 0)[0]
            raise PredictionRefuted(
                f"detected {at}, {late} after the oracle's window closed ({window})"
            )
    _check_since_read(plan, history, same)
    again = [outcome.reconnects_ns for outcome in same if outcome.reconnects_ns is not None]
    check_reconnection(
        plan, history, (hull(again)[0] / 1e9, hull(again)[1] / 1e9) if again else None
    )
    _check_segments(plan, history, same)


def _check_since_read(plan: Plan, history: History, same: list[Outcome]) -> None:
    """Sharper than from arming: how long after the last data the program gave its peer up."""
    windows = [outcome.since_read_ns for outcome in same if outcome.since_read_ns is not None]
    if not windows or history.end is None or history.last_read is None:
        return
    measured, (lo, hi) = history.end.t_ns - history.last_read, hull(windows)
    if not lo <= measured <= hi + plan.allowance_ns:
        at, low, high = seconds(measured, lo, hi)
        raise PredictionRefuted(
            f"detected {at} after the last data came, the oracle says {low} to {high}"
        )


def _check_segments(plan: Plan, history: History, same: list[Outcome]) -> None:
    """Number, times and spacing of the probes, the answers that survival rests on, and the RST at
    the end.
    """
    assert plan.prediction is not None
    probes: list[Fact[CapturedPacket]] = history.probes
    clock = Clock(history)
    noun = NOUNS[plan.prediction.asking]
    possible = {number for outcome in same for number in outcome.window_by_probes}
    if possible and len(probes) not in possible:
        foreseen = in_range((min(possible), max(possible)))
        raise PredictionRefuted(f"{len(probes)} {noun}s on the wire, the oracle says {foreseen}")
    late_ns = 0 if plan.machine.clock == "virtual" else TIMER_ALLOWANCE_MS * 1_000_000
    for number, (probe, window) in enumerate(
        zip(probes, plan.prediction.probe_windows_ns, strict=False), start=1
    ):
        at = history.since_armed(probe.t_ns)
        if at < window[0] - history.late_count_ns or at - history.took_ns > window[1] + late_ns:
            sent, low, high = clock.times(at, *window)
            words = f"{noun} {number} was sent {sent} after {clock.origin}"
            raise PredictionRefuted(f"{words}, the oracle says {low} to {high}")
    slack_ns = late_ns + tolerances(plan.machine).late_jiffies * tick_ns(plan.machine.hz)
    # As many as there are: predictions list the first few gaps, runs may have fewer.
    gaps = zip(probes, probes[1:], plan.prediction.probe_gaps_ns, strict=False)
    for number, (probe, later, gap) in enumerate(gaps, start=1):
        measured = later.t_ns - probe.t_ns
        if not gap[0] - slack_ns <= measured <= gap[1] + slack_ns:
            came, low, high = seconds(measured, *gap)
            words = f"{noun} {number + 1} came {came} after {noun} {number}"
            raise PredictionRefuted(f"{words}, the oracle says {low} to {high}")
    if plan.prediction.asking == "probe":
        _check_answers(plan, history)
    _check_rst(history, same)


def _check_answers(plan: Plan, history: History) -> None:
    """Nothing detected means that no `count` probes in a row went unanswered."""
    settings = settings_of(plan.scenario, plan.scenario.expect.side)
    if history.kind != "quiet" or settings.user_timeout_ms:
        return
    answers = [s.t_ns for s in history.segments if s.what.role == "answer" and s.what.way == "in"]
    streak = 0
    for probe, later in zip(history.probes, history.probes[1:], strict=False):
        answered = any(probe.t_ns <= answer <= later.t_ns for answer in answers)
        streak = 0 if answered else streak + 1
        if streak >= settings.count:
            raise PredictionRefuted(
                f"nothing was detected, yet {streak} probes in a row went unanswered"
            )


def _check_rst(history: History, same: list[Outcome]) -> None:
    """The RST that leaves at an abort, at that moment.

    Or the one that came and ended the connection.
    """
    if history.kind != "detected":
        return
    if history.errno == "ECONNRESET":
        if not history.resets("in"):
            raise PredictionRefuted(
                "the connection was reset, yet no RST was captured on the observer's host"
            )
        return
    left = history.resets("out")
    if bool(left) not in {outcome.rst for outcome in same}:
        raise PredictionRefuted(
            f"{'an' if left else 'no'} RST left at the abort, the oracle says otherwise"
        )
    opens_ns = min(
        (outcome.window_ns[0] for outcome in same if outcome.window_ns is not None), default=0
    )
    opens_ns -= history.late_count_ns
    if left and (history.since_armed(left[0]) < opens_ns or not history.before_end(left[0])):
        moment = Clock(history).moment(history.since_armed(left[0]))
        raise PredictionRefuted(f"an RST left {moment}, which is not the moment of the abort")


def _longest_wake_up_ns(plan: Plan) -> float:
    """How late this machine may run a program.

    More than that is the program's own delay, or the oracle's mistake.

    What is built in does not delay anything by itself, but a command may.
    """
    if plan.machine.clock == "virtual":
        return VIRTUAL_WAKE_UP_NS
    return (
        math.inf
        if plan.scenario.endpoint(plan.scenario.expect.side).command is None
        else COMMAND_WAKE_UP_NS
    )


def _blame_late_wake_up(plan: Plan, history: History, hi_ns: int) -> None:
    """Raise Inconclusive where the kernel decided in time and only this machine was slow to run the
    program.

    `hi_ns`: the last acceptable moment, after arming.
    """
    moment_ns = history.kernel_moment_ns
    if (
        moment_ns is None
        or history.end is None
        or history.end.t_ns - moment_ns > _longest_wake_up_ns(plan)
    ):
        return
    decided_ns = history.since_armed(moment_ns)
    if decided_ns - history.took_ns > hi_ns + plan.allowance_ns:
        return
    late, allowed = seconds(history.end.t_ns - moment_ns, plan.allowance_ns)
    raise TooBusy(
        f"the kernel decided in time ({Clock(history).moment(decided_ns)}) but the program ran "
        f"{late} later; the "
        f"allowance is {allowed}"
    )
