"""A single lost probe ends the connection.

With `count = 1` the connection ends one interval after the first probe if that probe or its answer
is lost. A user timeout that is over when the first interval ends leaves room for one probe in the
same way: 60/10/6 with a user timeout of 30 s sends one probe at every HZ, and gives up 70 to
75.36 s after the last segment.

The rule fires where keepalive may give up after one probe at some HZ.

How to fix it: a `count` of 3 or more, and a user timeout that is not over when the first interval
ends at the latest: idle + interval and what the timer wheel adds to both, 391.2 s for 340/10/3 at
HZ=100. The message tells how long it may be without breaking another demand.

Source: net/ipv4/tcp_timer.c:tcp_keepalive_timer; grpc/grpc-go#6250.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.policy import remedies
from harness.policy.facts import Facts
from harness.policy.rule import Draft, Rule


def _find(facts: Facts) -> Iterator[Draft]:
    found = {hz: facts.idle(hz) for hz in facts.hz}
    bad = tuple(hz for hz, each in found.items() if each is not None and each.probes[0] == 1)
    if not bad:
        return
    user_timeout_ms = facts.settings.user_timeout_ms
    cause = (
        f"the user timeout of {user_timeout_ms / 1000:g} s leaves room for one"
        if user_timeout_ms
        else "count is 1"
    )
    yield Draft(
        expected="two probes or more before the connection is given up",
        found=f"one {facts.which_hz(bad)}: {cause}",
        fix=_fix(facts),
        keys=("user_timeout_s",) if user_timeout_ms else ("count",),
        hz=bad,
    )


def _fix(facts: Facts) -> str:
    """Two probes in the user timeout, or a count of 3, of which two may be lost."""
    if not facts.settings.user_timeout_ms:
        found = remedies.at_least(facts, "count", lambda each: each.settings.count > 2)
        return f"set {found}" if found else "set count to 3 with a shorter idle_s or interval_s"
    longer = remedies.at_least(facts, "user_timeout_s", _leaves_room)
    keys: tuple[remedies.Key, ...] = ("idle_s", "interval_s")
    shorter = (remedies.at_most(facts, key, _leaves_room) for key in keys)
    return remedies.any_of([longer, *shorter])


def _leaves_room(facts: Facts) -> bool:
    return all((found := facts.idle(hz)) is None or found.probes[0] > 1 for hz in facts.hz)


RULE = Rule(
    id="KA006",
    level="warning",
    title="one lost probe ends the connection",
    page=__doc__,
    find=_find,
)
