"""One connection at a glance: the worst figures over every HZ, beside what is demanded, whether a
rule fires or not.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from harness.policy import answers
from harness.policy.answers import SECOND_NS
from harness.policy.facts import Facts
from harness.policy.settings import Heartbeat


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A figure at the HZ at which it is worst."""

    worst_s: float | None
    """The figure in seconds; null: there is no such moment."""
    hz: int | None = None
    """That HZ; null: HZ has no say."""
    demand_s: float | None = None
    """What it is compared with, in seconds; null where nothing is demanded."""
    met: bool | None = None
    """Whether it is sound at every HZ; null where nothing is demanded."""


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The answers to five questions."""

    idle: Figure
    """When is a dead peer of an idle connection detected at the latest?"""
    in_flight: Figure
    """When is it with data in flight?"""
    silence: Figure
    """How long is an idle connection without a packet at most, compared with the shortest idle
    timeout on the path?
    """
    outage: Figure
    """How long an outage does an idle connection survive?"""
    outage_in_flight: Figure
    """How long an outage does it survive with data in flight?"""


def overview(facts: Facts) -> Overview:
    """Of one connection. Raises Unpredictable."""
    return Overview(
        idle=_idle(facts),
        in_flight=_in_flight(facts),
        silence=_silence(facts),
        outage=_outage(facts),
        outage_in_flight=_outage_in_flight(facts),
    )


def _idle(facts: Facts) -> Figure:
    demand_s = facts.connection.idle_demand_s
    asked_s = demand_s or answers.MOST_S
    found = {hz: when.high_ns for hz in facts.hz if (when := facts.noticed_idle(hz, asked_s))}
    if not found:
        return Figure(worst_s=None, demand_s=demand_s, met=None if demand_s is None else False)
    hz = max(found, key=lambda each: found[each])
    met = None if demand_s is None else found[hz] <= demand_s * SECOND_NS
    says = hz if len(set(found.values())) > 1 or facts.heartbeat is None else None
    return Figure(worst_s=found[hz] / SECOND_NS, hz=says, demand_s=demand_s, met=met)


def _in_flight(facts: Facts) -> Figure:
    """An upper bound, which is exact where only that decides whether a demand is met."""
    demand_s = facts.connection.in_flight_demand_s
    found = {hz: facts.noticed_in_flight(hz, demand_s or answers.MOST_S) for hz in facts.hz}
    hz = max(found, key=lambda each: found[each][1].high_ns)
    met = None if demand_s is None else all(in_time for in_time, _ in found.values())
    return Figure(worst_s=found[hz][1].high_ns / SECOND_NS, hz=hz, demand_s=demand_s, met=met)


def _silence(facts: Facts) -> Figure:
    hop, beat = facts.strictest(), facts.heartbeat
    limit_s = None if hop is None else hop.limit_s
    found = {
        hz: idle.first_probe.high_ns / SECOND_NS for hz in facts.hz if (idle := facts.idle(hz))
    }
    worst_hz = max(found, key=lambda each: found[each], default=None)
    worst_s = None if worst_hz is None else found[worst_hz]
    if beat is not None and (worst_s is None or beat.every_s < worst_s):
        worst_s, worst_hz = beat.every_s, None
    closes_s = facts.closes_idle_s
    if closes_s is not None and (worst_s is None or closes_s < worst_s):
        worst_s, worst_hz = closes_s, None
    met = None if limit_s is None else worst_s is not None and worst_s < limit_s
    return Figure(worst_s=worst_s, hz=worst_hz, demand_s=limit_s, met=met)


def _outage(facts: Facts) -> Figure:
    demand_s = facts.terms.survive_s
    found = {
        hz: survived for hz in facts.hz if (survived := survived_idle_ns(facts, hz)) is not None
    }
    met = None
    if demand_s is not None:
        met = all(
            facts.survives(each, demand_s) and facts.heartbeat_survives(each, demand_s)
            for each in facts.hz
        )
    return _shortest(found, demand_s, met=met)


def _outage_in_flight(facts: Facts) -> Figure:
    """A lower bound, or the demand where that is met beyond it."""
    demand_s, beat = facts.terms.survive_s, facts.heartbeat
    found, met = {}, None if demand_s is None else True
    for hz in facts.hz:
        found[hz] = survived_in_flight_ns(facts, hz)
        if demand_s is None:
            continue
        alone = beat is None or not beat.apart or facts.heartbeat_survives(hz, demand_s)
        if alone and facts.survives_in_flight(hz, demand_s):
            found[hz] = max(found[hz], round(demand_s * SECOND_NS))
        else:
            met = False
    return _shortest(found, demand_s, met=met)


def _shortest(found_ns: Mapping[int, int], demand_s: float | None, *, met: bool | None) -> Figure:
    """Of the longest outages at each HZ."""
    hz = min(found_ns, key=lambda each: found_ns[each], default=None)
    worst_s = None if hz is None else found_ns[hz] / SECOND_NS
    return Figure(worst_s=worst_s, hz=hz, demand_s=demand_s, met=met)


def survived_in_flight_ns(facts: Facts, hz: int) -> int:
    """The longest outage that data in flight survives for sure."""
    beat = facts.heartbeat
    patience_ns = _patience_ns(facts, hz, beat if beat is not None and beat.apart else None)
    return answers.longest_outage_ns(patience_ns, hz)


def survived_idle_ns(facts: Facts, hz: int) -> int | None:
    """The longest outage that an idle connection survives; None: any."""
    alone, beat = facts.keepalive_alone(hz), facts.heartbeat
    found = [] if alone is None else [alone.outage_ns]
    if beat is not None:
        found.append(answers.longest_outage_ns(_patience_ns(facts, hz, beat), hz))
    return min(found, default=None)


def _patience_ns(facts: Facts, hz: int, beat: Heartbeat | None) -> int:
    """How long data may wait to be acknowledged before TCP, a heartbeat or the program gives up."""
    found = [answers.in_flight_bounds(facts.settings, hz).low_ns]
    if beat is not None:
        found.append(round(beat.misses * beat.timeout_s * SECOND_NS))
    if facts.terms.inactivity_close_s is not None:
        found.append(round(facts.terms.inactivity_close_s * SECOND_NS))
    return min(found)
