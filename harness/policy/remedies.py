"""Which values of one setting mend a finding at every HZ, and keep each demand that is met now."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import msgspec

from harness.oracle.effects import Unpredictable
from harness.policy.answers import SECOND_NS
from harness.policy.facts import Facts
from harness.policy.settings import SYSTEM
from harness.policy.suggest_search import MOST_PROBES, MOST_S, first, largest

Key = Literal["idle_s", "interval_s", "count", "user_timeout_s", "retries2"]
Test = Callable[[Facts], bool]
"""Whether something is so of settings, at every HZ."""
NONE_ALONE = "no single value is enough: `harness suggest` finds settings for all demands together"
_MOST: dict[Key, int] = {
    "idle_s": MOST_S,
    "interval_s": MOST_S,
    "count": MOST_PROBES,
    "user_timeout_s": 2_147_483,
    "retries2": SYSTEM.retries2,
}
_LEAST: dict[Key, int] = {
    "idle_s": 1,
    "interval_s": 1,
    "count": 2,
    "user_timeout_s": 1,
    "retries2": 1,
}
"""With a count of 1 a single lost probe ends the connection."""


def at_most(facts: Facts, key: Key, is_mended: Test) -> str:
    """The values of a key, in words such as "idle_s to at most 317"; "" where there are none.

    `is_mended` is so of all values below one of which it is so. So is each demand for detection,
    and a demand to survive an outage is met by all values above one by which it is met.
    """
    least = _LEAST[key]
    is_so = _of_values(facts, key, _all([is_mended, *_met(facts, _SOONER)]))
    if not is_so(least):
        return ""
    top = largest(is_so, least, _MOST[key])
    is_fine = _of_values(facts, key, _all(_met(facts, _LATER)))
    if not is_fine(top):
        return ""
    bottom = least + first(range(least, top + 1), is_fine)
    if bottom == least:
        return f"{key} to at most {top}"
    return f"{key} to a value from {bottom} to {top}" if bottom < top else f"{key} to {top}"


def at_least(facts: Facts, key: Key, is_mended: Test) -> str:
    """The same where larger values mend it: "count to 4 or more"."""
    least, most = _LEAST[key], _MOST[key]
    found = least + first(range(least, most + 1), _of_values(facts, key, is_mended))
    is_fine = _of_values(facts, key, _all(_met(facts, (*_SOONER, *_LATER))))
    if found > most or not is_fine(found):
        return ""
    top = largest(is_fine, found, most)
    if top == most:
        return f"{key} to {found} or more"
    return f"{key} to a value from {found} to {top}" if found < top else f"{key} to {found}"


def with_value(facts: Facts, key: Key, value: int) -> Facts:
    """The same connection with another value."""
    connection = facts.connection
    terms = msgspec.structs.replace(connection.terms, **{key: value})
    return Facts(msgspec.structs.replace(connection, terms=terms))


def detects_idle(facts: Facts) -> bool:
    """Whether the demand for an idle connection is met, where there is one."""
    demand_s = facts.connection.idle_demand_s
    if demand_s is None:
        return True
    every = [facts.noticed_idle(hz, demand_s) for hz in facts.hz]
    return all(each is not None and each.high_ns <= demand_s * SECOND_NS for each in every)


def detects_in_flight(facts: Facts) -> bool:
    """The same with data in flight."""
    demand_s = facts.connection.in_flight_demand_s
    return demand_s is None or all(facts.noticed_in_flight(hz, demand_s)[0] for hz in facts.hz)


def survives_idle(facts: Facts) -> bool:
    """Whether the outage that must be survived leaves an idle connection alive."""
    outage_s = facts.terms.survive_s
    return outage_s is None or all(facts.survives(hz, outage_s) for hz in facts.hz)


def survives_in_flight(facts: Facts) -> bool:
    """The same with data in flight."""
    outage_s = facts.terms.survive_s
    return outage_s is None or all(facts.survives_in_flight(hz, outage_s) for hz in facts.hz)


def is_kept_by_devices(facts: Facts) -> bool:
    """Whether keepalive is in time for the strictest device on the path, where it has to be."""
    hop = facts.strictest()
    if hop is None or hop.limit_s is None or facts.heartbeat is not None:
        return True
    return all(facts.outlived(hz, hop.limit_s) for hz in facts.hz)


_SOONER: tuple[Test, ...] = (detects_idle, detects_in_flight, is_kept_by_devices)
"""What a longer time may break."""
_LATER: tuple[Test, ...] = (survives_idle, survives_in_flight)
"""What a shorter time may break."""


def _met(facts: Facts, tests: tuple[Test, ...]) -> list[Test]:
    return [each for each in tests if _answered(each, facts)]


def _all(tests: list[Test]) -> Test:
    return lambda facts: all(each(facts) for each in tests)


def _of_values(facts: Facts, key: Key, test: Test) -> Callable[[int], bool]:
    return lambda value: _answered(test, with_value(facts, key, value))


def _answered(test: Test, facts: Facts) -> bool:
    """Where the oracle has no answer it counts as not so."""
    try:
        return test(facts)
    except Unpredictable:
        return False


def any_of(parts: Iterable[str]) -> str:
    """The ways to mend it, each of which is enough, as a fix."""
    found = [each for each in parts if each]
    return f"set {', or '.join(found)}" if found else NONE_ALONE
