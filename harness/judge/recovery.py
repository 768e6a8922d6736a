"""Whether data passes again after faults were removed. Pure.

A period without a fault begins when a fault that ends is undone and no other such fault is on, and
ends when the next fault is injected. What is claimed is measured in the last period, and holds for
each earlier one that is long enough: a connection that works only after a second fault has not
recovered from the first.
"""

from __future__ import annotations

import math
from typing import NamedTuple, NoReturn

from harness.judge.facts import Fact, Reconnected
from harness.judge.history import History
from harness.judge.moments import ORIGINS, plain, seconds, secs
from harness.judge.reasons import Inconclusive, Refuted, fault_name
from harness.model.programs import Separate
from harness.plan.plan import Plan
from harness.probes.data_passing import DataPassing


class Period(NamedTuple):
    """From when to when no fault was on that ends, in nanoseconds of the timeline.

    `after`: the fault, by its index, that was undone at its beginning. `until_ns` and `before`: the
    next injection and its fault; None where there was none. `vague_ns`: to within how much its
    beginning is known.
    """

    from_ns: int
    vague_ns: int
    after: int
    until_ns: int | None
    before: int | None


def periods(plan: Plan, history: History) -> list[Period]:
    """All of a run, in the order of time."""
    undone: dict[int, tuple[int, int]] = {}
    for index, fault in enumerate(plan.faults):
        changes = history.injected if fault.until_ns is None else history.healed
        change = changes.get(index) if fault.restored_ns is not None else None
        if change is not None and (history.ended is None or change.t_ns <= history.ended.t_ns):
            undone[index] = change.t_ns, change.what.took_ns
    ending = [index for index, fault in enumerate(plan.faults) if fault.restored_ns is not None]
    onsets = {
        index: fact.t_ns
        for index, fact in history.injected.items()
        if not plan.faults[index].standing
    }
    found = []
    for index, (from_ns, vague_ns) in undone.items():
        begun = [each for each in ending if each in onsets and onsets[each] < from_ns]
        if any(each not in undone or undone[each][0] > from_ns for each in begun):
            continue  # another one is still on
        later = [(t_ns, each) for each, t_ns in onsets.items() if t_ns > from_ns]
        until_ns, before = min(later, default=(None, None))
        found.append(Period(from_ns, vague_ns, index, until_ns, before))
    return sorted(found)


def data_ns(plan: Plan, history: History) -> list[int]:
    """When data passed between the judged end and its peer, on whatever connection."""
    passing = DataPassing(_port(plan, history))
    for packet in history.captured:
        passing.take(packet.t_ns, packet.what)
    first_ns = _first_onset_ns(plan, history)
    return passing.moments(math.inf if first_ns is None else first_ns)


def _port(plan: Plan, history: History) -> int | None:
    """The server's; None where other ports count as well, or it is not known."""
    if history.armed is None or isinstance(plan.scenario.client.heartbeat, Separate):
        return None
    armed = history.armed.what
    service = armed.local if armed.side == "server" else armed.remote
    return None if service is None else service[1]


def _first_onset_ns(plan: Plan, history: History) -> int | None:
    """When the first fault was injected that was not there before the connection."""
    timed = [f.t_ns for index, f in history.injected.items() if not plan.faults[index].standing]
    return min(timed, default=None)


def recovered_ns(plan: Plan, history: History) -> int | None:
    """From the beginning of the last period without a fault to the first data in it."""
    found = periods(plan, history)
    moment = _first_in(found[-1], data_ns(plan, history)) if found else None
    return None if moment is None else moment - found[-1].from_ns


def check_recovery(plan: Plan, history: History) -> None:
    """Whether data passed again in the window that the scenario claims."""
    claim_s = plan.scenario.expect.recovers_s
    if claim_s is None:
        return
    found = periods(plan, history)
    if not found:
        raise Inconclusive("origin-missing", "the last fault that ends was never removed")
    lo_ns, hi_ns = (round(each * 1e9) for each in claim_s)
    window = f"{plain(claim_s[0])} to {plain(claim_s[1])} s after {ORIGINS['healed']}"
    passed = data_ns(plan, history)
    moment = _first_in(found[-1], passed)
    if moment is None:
        _refute_another(plan, found[-1], passed, window)
        _refute_silence(plan, history, found[-1], window, hi_ns)
    for earlier in found[:-1]:
        _check_earlier(plan, earlier, passed, hi_ns)
    assert moment is not None
    measured_ns = moment - found[-1].from_ns
    if measured_ns < lo_ns:
        words = f"expected data to pass again {window}, found it {secs(measured_ns)} after that"
        raise Refuted("recovered-too-early", words)
    if measured_ns - found[-1].vague_ns > hi_ns + plan.allowance_ns:
        at, late = seconds(measured_ns, hi_ns)[0], seconds(measured_ns - hi_ns, 0)[0]
        words = f"expected data to pass again {window}, found it {at} after that, {late} too late"
        raise Refuted("recovered-too-late", words)


def _first_in(period: Period, passed: list[int]) -> int | None:
    """When data first passed in a period."""
    until_ns = math.inf if period.until_ns is None else period.until_ns
    return next((t_ns for t_ns in passed if period.from_ns <= t_ns < until_ns), None)


def _refute_another(plan: Plan, period: Period, passed: list[int], window: str) -> None:
    """Raise Refuted where data passed after the next fault, and not before."""
    if period.until_ns is None or period.before is None:
        return
    later = [t_ns for t_ns in passed if t_ns >= period.until_ns]
    if later:
        second = f"{fault_name(plan, period.before)} was injected"
        raise Refuted(
            "recovered-after-another-fault",
            f"expected data to pass again {window}, found none until {second} "
            f"{secs(period.until_ns - period.from_ns)} after that; data passed "
            f"{secs(later[0] - period.until_ns)} after this other fault",
        )


def _refute_silence(
    plan: Plan, history: History, period: Period, window: str, hi_ns: int
) -> NoReturn:
    """Raise Refuted, as no data passed at all any more, with whether a connection was made."""
    assert history.ended is not None
    since_ns = history.ended.t_ns - period.from_ns
    if since_ns < hi_ns:
        watched, planned = seconds(since_ns, hi_ns)
        words = f"the run was cut short: watched for {watched} of {planned} after the removal"
        raise Inconclusive("run-cut-short", words)
    expected = f"expected data to pass again {window}, found none in the {secs(since_ns)} until"
    again = _connected_again(plan, history, period)
    if again is None:
        words = f"{expected} the end of the run, and no other connection"
        raise Refuted("never-recovered", words)
    after_ns = again.t_ns - period.from_ns
    when = f"{secs(after_ns)} after" if after_ns >= 0 else f"{secs(-after_ns)} before"
    raise Refuted(
        "reconnected-without-data",
        f"{expected} the end of the run: another connection stood {when} the removal, and no data "
        "passed on it",
    )


def _connected_again(plan: Plan, history: History, period: Period) -> Fact[Reconnected] | None:
    """The first connection that was made after the removal, or the last one of those that were made
    since the first fault was injected.
    """
    first_ns = _first_onset_ns(plan, history)
    made = [fact for fact in history.reconnections if first_ns is None or fact.t_ns >= first_ns]
    in_time = [fact for fact in made if fact.t_ns >= period.from_ns]
    return in_time[0] if in_time else made[-1] if made else None


def _check_earlier(plan: Plan, period: Period, passed: list[int], hi_ns: int) -> None:
    """An earlier period must show data, too, where it is long enough for the claim."""
    assert period.until_ns is not None
    assert period.before is not None
    length_ns = period.until_ns - period.from_ns
    if length_ns <= hi_ns + plan.allowance_ns or _first_in(period, passed) is not None:
        return
    raise Refuted(
        "recovered-after-another-fault",
        f"data passed again only after another fault: none came in the {secs(length_ns)} from the "
        f"removal of {fault_name(plan, period.after)} to the injection of "
        f"{fault_name(plan, period.before)}, expected within {plain(hi_ns / 1e9)} s",
    )
