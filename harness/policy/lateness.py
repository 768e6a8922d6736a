"""Which demands for detection are missed, and at which HZ; KA013 and KA015 tell them apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.policy import words
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
    found = {hz: when for hz in facts.hz if (when := facts.noticed_idle(hz))}
    late = {hz: when for hz, when in found.items() if when.high_ns > demand_s * SECOND_NS}
    if not late:
        return
    worst_hz = max(late, key=lambda hz: late[hz].high_ns)
    keys = (
        ("heartbeat",)
        if facts.heartbeat is not None
        else ("idle_s", "interval_s", "count", "user_timeout_s")
    )
    yield Draft(
        expected=f"a dead peer noticed within {words.plain(demand_s)} s while the connection is idle",  # noqa: E501
        found=f"{words.window(late[worst_hz])} {facts.worst_at(worst_hz, tuple(late))}",
        fix="shorten the heartbeat"
        if facts.heartbeat is not None
        else "set a shorter idle_s or interval_s, or a lower count",
        keys=keys,
        hz=tuple(late),
        window_s=words.ends(late[worst_hz]),
    )


def _in_flight(facts: Facts) -> Iterator[Draft]:
    demand_s, beat = facts.connection.in_flight_demand_s, facts.heartbeat
    if demand_s is None or not (
        facts.settings.user_timeout_ms or (beat is not None and beat.apart)
    ):
        return  # nothing watches: KA005
    found = {hz: facts.noticed_in_flight(hz, demand_s) for hz in facts.hz}
    late = {hz: when for hz, (in_time, when) in found.items() if not in_time}
    if late:
        yield _draft_in_flight(facts, late, demand_s)


def _draft_in_flight(facts: Facts, late: Mapping[int, Window], demand_s: float) -> Draft:
    """Where even the earliest is too late the latest was not computed."""
    worst_hz = max(late, key=lambda hz: late[hz].high_ns)
    worst = late[worst_hz]
    is_exact = worst.low_ns < demand_s * SECOND_NS
    when = words.window(worst) if is_exact else f"more than {words.seconds(worst.low_ns)}"
    fix = "shorten the heartbeat, or set user_timeout_s"
    if facts.settings.user_timeout_ms:
        fix = f"set a user_timeout_s of at most {words.plain(max(0.001, (demand_s - 1) / 1.13))}"
    return Draft(
        expected=f"a dead peer noticed within {words.plain(demand_s)} s while data is in flight",
        found=f"{when} {facts.worst_at(worst_hz, tuple(late))}",
        fix=fix,
        keys=("user_timeout_s", "heartbeat"),
        hz=tuple(late),
        window_s=words.ends(worst) if is_exact else (worst.low_ns / SECOND_NS, None),
    )
