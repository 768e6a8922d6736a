"""Whether what was noticed is what the scenario claims and the oracle foresaw, in both their windows. Pure."""

from __future__ import annotations

from harness.expectations import KIND_OF
from harness.findings import (
    Difference,
    Inconclusive,
    Refuted,
    TooBusy,
    Unforeseen,
    in_range,
    oracle_says,
    reconnected_ns,
    restored_ns,
    said,
    secs,
    seen,
)
from harness.oracle.prediction import NOUNS, Outcome, hull
from harness.oracle.timerwheel import tick_ns
from harness.plan import TIMER_ALLOWANCE_MS, Plan, settings_of
from harness.story import Fact, Segment, Story


def check_false_alarm(plan: Plan, story: Story) -> None:
    """Whether something was noticed before there was anything to notice."""
    if story.end is None or not plan.faults or any(fault.standing for fault in plan.faults):
        return
    if not any(story.before_end(injected.t_ns) for injected in story.injected.values()):
        words = f"a false alarm: {seen(story)}, before any fault was injected{oracle_says(plan)}"
        raise Refuted("false-alarm", words)


def check_kind(plan: Plan, story: Story) -> None:
    """Whether the scenario claims what was measured."""
    expect = plan.scenario.expect
    wanted: tuple[str, ...] = tuple(outcome.kind for outcome in plan.expected)
    if expect.outcome != "as-predicted":
        wanted = (KIND_OF[expect.outcome],)
    if story.kind not in wanted:
        cause: Difference = "never-noticed" if story.kind == "quiet" else "claim-refuted"
        if expect.outcome == "never" and story.kind == "noticed":
            cause = "noticed-unexpectedly"
        raise Refuted(cause, f"expected {said(plan)}, found {seen(story)}{oracle_says(plan)}")
    if expect.errno is not None and story.errno != expect.errno:
        words = f"expected errno {expect.errno}, found {seen(story)}{oracle_says(plan)}"
        raise Refuted("claim-refuted", words)
    if expect.reports is not None and (story.given_up is None or story.given_up.reports != expect.reports):
        words = f"expected a report of {expect.reports!r}, found {seen(story)}"
        raise Refuted("claim-refuted", words)


def check_claimed_window(plan: Plan, story: Story) -> None:
    """Whether it was noticed in the window that the scenario claims."""
    expect = plan.scenario.expect
    if expect.window_s is None:
        return
    if story.end is None:
        words = f"nothing was noticed, the claim is from {expect.window_s[0]:g} to {expect.window_s[1]:g} s"
        raise Refuted("never-noticed", words)
    if expect.origin == "healed" and (story.origin is None or story.end.t_ns < story.origin[0]):
        words = f"noticed before the last fault was healed: {seen(story)}{oracle_says(plan)}"
        raise Refuted("noticed-too-early", words)
    if story.origin is None or story.detected_ns is None:
        raise Inconclusive("origin-missing", f"the origin of expect.window_s ({expect.origin}) never came")
    measured, vague_ns = story.detected_ns, story.origin[1]
    lo, hi = round(expect.window_s[0] * 1e9), round(expect.window_s[1] * 1e9)
    noticed = f"noticed {secs(measured)} after {expect.origin}"
    where = f"expect.window_s [{expect.window_s[0]:g}, {expect.window_s[1]:g}] s after {expect.origin}"
    if measured < lo:
        words = f"{noticed}, {secs(lo - measured)} before {where}{oracle_says(plan)}"
        raise Refuted("noticed-too-early", words)
    if measured - vague_ns > hi + plan.allowance_ns:
        _blame_late_wake_up(plan, story, story.since_armed(story.origin[0]) + hi)
        words = f"{noticed}, {secs(measured - hi)} after {where} ended{oracle_says(plan)}"
        raise Refuted("noticed-too-late", words)


def check_reconnection(plan: Plan, story: Story, claim_s: tuple[float, float] | None) -> None:
    """Whether the lost connection was replaced in time, counted from being noticed."""
    if claim_s is None or story.end is None:
        return
    found_ns, said = reconnected_ns(story), f"{claim_s[0]:g} to {claim_s[1]:g} s"
    if found_ns is None:
        raise Refuted(
            "reconnection-refuted", f"{seen(story)}, and no other connection was made, expected {said} after that"
        )
    if not round(claim_s[0] * 1e9) <= found_ns <= round(claim_s[1] * 1e9) + plan.allowance_ns:
        words = f"another connection stood {secs(found_ns)} after being noticed, expected {said}"
        raise Refuted("reconnection-refuted", words)


def check_claimed_reconnection(plan: Plan, story: Story) -> None:
    """Whether the lost connection was replaced in the window that the scenario claims."""
    expect = plan.scenario.expect
    if expect.origin != "healed" or expect.reconnects_s is None or story.end is None:
        check_reconnection(plan, story, expect.reconnects_s)
        return
    (lo_s, hi_s), found_ns = expect.reconnects_s, restored_ns(story)
    window = f"{lo_s:g} to {hi_s:g} s after the last fault was healed"
    if found_ns is None:
        raise Refuted("reconnection-refuted", f"expected another connection {window}, found none; {seen(story)}")
    if not round(lo_s * 1e9) <= found_ns <= round(hi_s * 1e9) + plan.allowance_ns:
        words = f"expected another connection {window}, found it {secs(found_ns)} after that"
        raise Refuted("reconnection-refuted", words)


def check_prediction(plan: Plan, story: Story) -> None:
    """Whether the oracle foresaw it: a disagreement with the kernel is a failure of one of them."""
    if plan.prediction is None:
        return
    same = [o for o in plan.prediction.outcomes if o.kind == story.kind and o.errno == story.errno]
    if not same:
        raise Unforeseen(f"the claim holds but the oracle is wrong: {seen(story)}{oracle_says(plan)}")
    # Outcomes of one kind and errno differ by the RST; it tells which of them this is.
    same = [o for o in same if o.rst == story.sent_rst] or same
    if story.end is not None:
        measured = story.since_armed(story.end.t_ns)
        windows = [w for o in same if (w := o.window_by_probes.get(len(story.probes), o.window_ns)) is not None]
        lo, hi = min(w[0] for w in windows), max(w[1] for w in windows)
        if measured < lo - story.late_count_ns:
            raise Refuted(
                "oracle-refuted",
                f"noticed {secs(measured)} after arming, {secs(lo - measured)} before the oracle's window opens",
            )
        if measured - story.took_ns > hi + plan.allowance_ns:
            _blame_late_wake_up(plan, story, hi)
            raise Refuted(
                "oracle-refuted",
                f"noticed {secs(measured)} after arming, {secs(measured - hi)} after the oracle's window closed",
            )
    _check_since_read(plan, story, same)
    again = [outcome.reconnects_ns for outcome in same if outcome.reconnects_ns is not None]
    check_reconnection(plan, story, (hull(again)[0] / 1e9, hull(again)[1] / 1e9) if again else None)
    _check_segments(plan, story, same)


def _check_since_read(plan: Plan, story: Story, same: list[Outcome]) -> None:
    """Sharper than from arming: how long after the last data the program gave its peer up."""
    windows = [outcome.since_read_ns for outcome in same if outcome.since_read_ns is not None]
    if not windows or story.end is None or story.last_read is None:
        return
    measured, (lo, hi) = story.end.t_ns - story.last_read, hull(windows)
    if not lo <= measured <= hi + plan.allowance_ns:
        raise Refuted(
            "oracle-refuted",
            f"noticed {secs(measured)} after the last data came, the oracle says {secs(lo)} to {secs(hi)}",
        )


def _check_segments(plan: Plan, story: Story, same: list[Outcome]) -> None:
    """Number, times and spacing of the probes, the answers that survival rests on, and the RST at the end."""
    assert plan.prediction is not None
    probes: list[Fact[Segment]] = story.probes
    noun = NOUNS[plan.prediction.asking]
    possible = {number for outcome in same for number in outcome.window_by_probes}
    if possible and len(probes) not in possible:
        foreseen = in_range((min(possible), max(possible)))
        raise Unforeseen(f"{len(probes)} {noun}s on the wire, the oracle says {foreseen}")
    late_ns = 0 if plan.machine.clock == "virtual" else TIMER_ALLOWANCE_MS * 1_000_000
    for number, (probe, window) in enumerate(zip(probes, plan.prediction.probe_windows_ns, strict=False), start=1):
        at = story.since_armed(probe.t_ns)
        if at < window[0] - story.late_count_ns or at - story.took_ns > window[1] + late_ns:
            foreseen = f"the oracle says {secs(window[0])} to {secs(window[1])}"
            raise Unforeseen(f"{noun} {number} was sent {secs(at)} after arming, {foreseen}")
    slack_ns = late_ns + plan.machine.oracle.late_jiffies * tick_ns(plan.machine.hz)
    # As many as there are: predictions list the first few gaps, runs may have fewer.
    gaps = zip(probes, probes[1:], plan.prediction.probe_gaps_ns, strict=False)
    for number, (probe, later, gap) in enumerate(gaps, start=1):
        measured = later.t_ns - probe.t_ns
        if not gap[0] - slack_ns <= measured <= gap[1] + slack_ns:
            foreseen = f"the oracle says {secs(gap[0])} to {secs(gap[1])}"
            raise Unforeseen(f"{noun} {number + 1} came {secs(measured)} after {noun} {number}, {foreseen}")
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
            raise Unforeseen(f"nothing was noticed, yet {streak} probes in a row went unanswered")


def _check_rst(story: Story, same: list[Outcome]) -> None:
    """The RST that leaves at an abort, at that moment; or the one that came and ended the connection."""
    if story.kind != "detected":
        return
    if story.errno == "ECONNRESET":
        if not story.resets("in"):
            raise Unforeseen("the connection was reset, yet no RST was captured on the observer's host")
        return
    left = story.resets("out")
    if bool(left) not in {outcome.rst for outcome in same}:
        raise Unforeseen(f"{'an' if left else 'no'} RST left at the abort, the oracle says otherwise")
    opens_ns = min((outcome.window_ns[0] for outcome in same if outcome.window_ns is not None), default=0)
    opens_ns -= story.late_count_ns
    if left and (story.since_armed(left[0]) < opens_ns or not story.before_end(left[0])):
        raise Refuted(
            "oracle-refuted",
            f"an RST left {secs(story.since_armed(left[0]))} after arming, which is not the moment of the abort",
        )


def _blame_late_wake_up(plan: Plan, story: Story, hi_ns: int) -> None:
    """Raise Inconclusive where the kernel decided in time and only this machine was slow to run the program.

    `hi_ns`: the last acceptable moment, after arming.
    """
    moment_ns = story.kernel_moment_ns
    if moment_ns is None or story.end is None:
        return
    decided_ns = story.since_armed(moment_ns)
    if decided_ns - story.took_ns > hi_ns + plan.allowance_ns:
        return
    raise TooBusy(
        f"the kernel decided in time ({secs(decided_ns)} after arming) but the program ran "
        f"{secs(story.end.t_ns - moment_ns)} later; the allowance is {secs(plan.allowance_ns)}"
    )
