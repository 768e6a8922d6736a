"""Which demands for detection are missed, and at which HZ; KA013 and KA015 tell them apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import msgspec

from harness.policy import answers, remedies, words
from harness.policy.answers import SECOND_NS, Window
from harness.policy.facts import Facts
from harness.policy.rule import Draft


def drafts(facts: Facts) -> Iterator[Draft]:
    """One for each demand that is missed at some HZ though something watches."""
    yield from _idle(facts)
    yield from _in_flight(facts)


def _idle(facts: Facts) -> Iterator[Draft]:
    demand_s = facts.connection.idle_demand_s
    if demand_s is None:
        return
    found = {hz: when for hz in facts.hz if (when := facts.noticed_idle(hz, demand_s))}
    late = {hz: when for hz, when in found.items() if when.high_ns > demand_s * SECOND_NS}
    if not late:
        return
    worst_hz = max(late, key=lambda hz: late[hz].high_ns)
    fix, keys = _idle_fix(facts)
    found_when = f"{words.window(late[worst_hz])} {facts.worst_at(worst_hz, tuple(late))}"
    if late[worst_hz].low_ns == late[worst_hz].high_ns and facts.heartbeat is None:
        found_when = f"{words.window(late[worst_hz])}, when the program closes idle connections"
    yield Draft(
        expected=f"a dead peer detected within {words.plain(demand_s)} s while the connection is idle",  # noqa: E501
        found=found_when,
        fix=fix,
        keys=(*keys, "idle_close_s", "inactivity_close_s", "keepalive"),
        hz=tuple(late),
        window_s=words.ends(late[worst_hz]),
    )


def _idle_fix(facts: Facts) -> tuple[str, tuple[str, ...]]:
    """How to detect it sooner, and the keys for that. A user timeout replaces the count."""
    settings = facts.settings
    if facts.heartbeat is not None:
        return "shorten the heartbeat", ("heartbeat",)
    if not settings.keepalive:
        return "set keepalive with idle, interval and count, or close idle connections sooner", ()
    keys: tuple[remedies.Key, remedies.Key, remedies.Key]
    if not settings.user_timeout_ms:
        keys = ("idle_s", "interval_s", "count")
    elif settings.user_timeout_ms > (settings.idle_s + settings.interval_s) * 1000:
        keys = ("user_timeout_s", "idle_s", "interval_s")
    else:
        keys = ("idle_s", "interval_s", "user_timeout_s")
    ways = {key: remedies.at_most(facts, key, remedies.detects_idle) for key in keys}
    return remedies.any_of(ways.values()), tuple(key for key in keys if ways[key]) or keys


def _in_flight(facts: Facts) -> Iterator[Draft]:
    demand_s = facts.connection.in_flight_demand_s
    if demand_s is None or not facts.in_flight_is_bounded:
        return  # nothing watches: KA005
    found = {hz: facts.noticed_in_flight(hz, demand_s) for hz in facts.hz}
    late = {hz: when for hz, (in_time, when) in found.items() if not in_time}
    if late:
        yield _draft_in_flight(facts, late, demand_s)


def _draft_in_flight(facts: Facts, late: Mapping[int, Window], demand_s: float) -> Draft:
    """Where even the earliest is too late the latest was not computed."""
    worst_hz = max(late, key=lambda hz: late[hz].high_ns)
    worst = late[worst_hz]
    beat = facts.heartbeat
    by_heartbeat = beat is not None and beat.apart and worst.high_ns == answers.heartbeat_ns(beat)
    is_exact = by_heartbeat or worst.low_ns < demand_s * SECOND_NS
    when = words.window(worst) if is_exact else f"more than {words.seconds(worst.low_ns)}"
    fix = "shorten the heartbeat, or set user_timeout_s"
    if facts.settings.user_timeout_ms or beat is None or not beat.apart:
        fix = user_timeout_fix(facts, demand_s)
    return Draft(
        expected=f"a dead peer detected within {words.plain(demand_s)} s while data is in flight",
        found=f"{when} {facts.worst_at(worst_hz, tuple(late))}",
        fix=fix,
        keys=("user_timeout_s", "heartbeat"),
        hz=tuple(late),
        window_s=words.ends(worst) if is_exact else (worst.low_ns / SECOND_NS, None),
    )


def user_timeout_fix(facts: Facts, demand_s: float) -> str:
    """Which user timeout gives up data in flight in time.

    In hundredths where no whole seconds do. The loss probe, the first retransmission and the bucket
    of the last one come on top.
    """
    found = remedies.at_most(facts, "user_timeout_s", remedies.detects_in_flight)
    if found:
        return f"set {found}"
    alone = remedies.at_most(_without_others(facts), "user_timeout_s", remedies.detects_in_flight)
    if alone:
        return f"set {alone}, with shorter keepalive times (`harness suggest` finds them)"
    enough_s = (demand_s - 1) / 1.13
    if enough_s < 0.1:
        return "demand 1.2 s or more: the user timeout counts from the first retransmission on"
    return f"set a user_timeout_s of at most {words.plain(math.floor(enough_s * 100) / 100)}"


def _without_others(facts: Facts) -> Facts:
    """With no demand but the one for data in flight."""
    terms = msgspec.structs.replace(
        facts.terms,
        detect_within_s=None,
        detect_idle_within_s=None,
        detect_in_flight_within_s=facts.connection.in_flight_demand_s,
        survive_s=None,
        path=(),
    )
    return Facts(msgspec.structs.replace(facts.connection, terms=terms))
