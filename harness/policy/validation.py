"""What is wrong with the terms of a connection that their types cannot rule out."""

from __future__ import annotations

from collections.abc import Iterator

from harness.errors import MISSING
from harness.model import durations
from harness.model.values import Problem
from harness.policy.registry import every_rule, expected
from harness.policy.settings import Hop, Terms
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


def suspicions(terms: Terms) -> Iterator[tuple[str, str]]:
    """Keys whose sound numbers of seconds look like milliseconds, each with a hint."""
    least_s = {
        "idle_s": durations.LONG_IDLE_S,
        "interval_s": durations.LONG_S,
        "user_timeout_s": durations.LONG_S,
    }
    for key, least in least_s.items():
        value = getattr(terms, key)
        hint = "" if value is None else durations.suspicion(value, least)
        if hint:
            yield key, hint
