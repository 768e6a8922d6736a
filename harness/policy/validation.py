"""What is wrong with the terms of a connection that their types cannot rule out."""

from __future__ import annotations

from collections.abc import Iterator

from harness.errors import MISSING
from harness.model import durations
from harness.model.values import Problem
from harness.policy.registry import every_rule, expected
from harness.policy.settings import Connection, Heartbeat, Hop, Terms
from harness.system.spelling import did_you_mean


def problems(terms: Terms) -> tuple[Problem, ...]:
    """In the order of the keys; none where the terms are sound."""
    return tuple(_problems(terms))


def _problems(terms: Terms) -> Iterator[Problem]:
    timeout_s = terms.user_timeout_s
    if timeout_s and round(timeout_s * 1000, 6) % 1:
        yield Problem("user_timeout_s", timeout_s, "seconds in whole milliseconds")
    for index, hop in enumerate(terms.path):
        if isinstance(hop, Hop):
            yield from (
                Problem(f"path[{index}].{key}", value, words) for key, value, words in _of_hop(hop)
            )
    if terms.match is not None and not (terms.match.program or terms.match.port):
        wanted = 'a program, a port or both, such as { program = "redis-server", port = 6379 }'
        yield Problem("match", {}, wanted)
    for rule, reason in terms.ignore.items():
        if rule not in every_rule():
            yield Problem(
                f"ignore.{rule}", reason, f"{expected()}{did_you_mean(rule, every_rule())}"
            )
        elif not reason.strip():
            yield Problem(f"ignore.{rule}", reason, "the reason why the rule does not apply here")


def _of_hop(hop: Hop) -> Iterator[tuple[str, object, str]]:
    if hop.limit_s is None and not hop.proxy:
        yield "idle_timeout_s", MISSING, "seconds, or a preset"
    if hop.proxy and (hop.then or hop.pickup):
        key = "then" if hop.then else "pickup"
        yield key, getattr(hop, key), "no such key with proxy = true: a proxy closes the connection"
    if hop.pickup == "loose" and hop.then is not None:
        yield (
            "then",
            hop.then,
            'no such key with pickup = "loose": a late packet is nothing special',
        )


_DEMANDS = ("detect_within_s", "detect_idle_within_s", "detect_in_flight_within_s", "survive_s")
_DAY_S = 86_400
_IN_MILLISECONDS = ("user_timeout_s", "heartbeat.timeout_s", "idle_close_s", "inactivity_close_s")
"""Keys whose directives count in milliseconds in many files of other software."""


def suspicions(connection: Connection) -> Iterator[tuple[str, str]]:
    """Keys whose sound values seem to be in the wrong unit, each with a hint: seconds that look
    like milliseconds, and milliseconds in a file of other software that look like seconds.
    """
    for key, value, least in _seconds(connection.terms):
        hint = "" if value is None else durations.suspicion(value, least)
        if hint:
            yield key, hint
    told = set()
    for key in _IN_MILLISECONDS:
        directive, value = connection.directives.get(key, ""), _value(connection.terms, key)
        is_of_file = bool(directive) and not directive.startswith("--")  # options are in seconds
        if is_of_file and directive not in told and key not in connection.defaults and value:
            hint = durations.too_few_milliseconds(value)
            if hint:
                told.add(directive)
                yield key, f"({directive}) {hint}"


def _seconds(terms: Terms) -> Iterator[tuple[str, float | None, float]]:
    """Key, value and from where on it is suspected."""
    yield "idle_s", terms.idle_s, durations.LONG_IDLE_S
    yield "interval_s", terms.interval_s, durations.LONG_S
    yield "user_timeout_s", terms.user_timeout_s, durations.LONG_S
    yield from ((key, getattr(terms, key), durations.LONG_IDLE_S) for key in _DEMANDS)
    if terms.heartbeat is not None:
        yield "heartbeat.every_s", terms.heartbeat.every_s, durations.LONG_S
        yield "heartbeat.timeout_s", terms.heartbeat.timeout_s, durations.LONG_S
    for index, hop in enumerate(terms.path):
        limit_s = hop.idle_timeout_s if isinstance(hop, Hop) else None
        if limit_s and limit_s % _DAY_S:  # conntrack's default is five days
            yield f"path[{index}].idle_timeout_s", limit_s, durations.LONG_IDLE_S


def _value(terms: Terms, key: str) -> float | None:
    owner: Terms | Heartbeat | None = terms.heartbeat if "." in key else terms
    found: float | None = getattr(owner, key.rpartition(".")[2], None)
    return found
