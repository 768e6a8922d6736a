"""The user timeout, not the count, decides when keepalive gives up.

With TCP_USER_TIMEOUT set the kernel does not consult the count. It gives up at the first expiry of
the keepalive timer at which nothing was received for the user timeout and a probe is unanswered.
That can be earlier or later than idle + interval * count. 60/10/6 with a user timeout of 30 s:

| HZ | without the user timeout | with it |
|---|---|---|
| 100 | 121.2 to 126.56 s | 70 to 75.36 s |
| 250 | 121.2 to 123.49 s | 70 to 72.29 s |
| 300 | 120.13 to 121.87 s | 70 to 71.73 s |
| 1000 | 121.2 to 125.54 s | 70 to 74.34 s |

The rule fires where the two differ at some HZ.

How to fix it: choose a user timeout with which both are the same, as the finding names them, or
suppress the rule with a reason where the difference is meant, or where there is no such timeout.

Source: net/ipv4/tcp_timer.c:tcp_keepalive_timer; skycoin/skywire#3116.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from harness.oracle import idle_bounds
from harness.policy import answers, words
from harness.policy.facts import Facts
from harness.policy.rule import Draft, Rule


def _find(facts: Facts) -> Iterator[Draft]:
    settings = facts.settings
    if not settings.keepalive or not settings.user_timeout_ms:
        return
    without = msgspec.structs.replace(settings, user_timeout_ms=0)
    pairs = {hz: (answers.idle(without, hz), facts.idle(hz)) for hz in facts.hz}
    bad = {hz: (a.end, b.end) for hz, (a, b) in pairs.items() if a and b and a.end != b.end}
    if not bad:
        return
    worst_hz = max(bad, key=lambda hz: bad[hz][1].high_ns)
    counted, found = bad[worst_hz]
    yield Draft(
        expected=f"to give up after {settings.count} probes, {words.window(counted)} at HZ={worst_hz}",  # noqa: E501
        found=(
            f"{words.window(found)}, as the user timeout of {settings.user_timeout_ms / 1000:g} "
            "s replaces the count"
        ),
        fix=_fix(facts),
        keys=("user_timeout_s",),
        hz=tuple(bad),
        window_s=words.ends(found),
    )


def _fix(facts: Facts) -> str:
    """The user timeouts in whole seconds with which the count decides at each HZ."""
    limits_ms = [idle_bounds.counted_ms(facts.settings, hz) for hz in facts.hz]
    least_s = -(-max(least for least, _ in limits_ms) // 1000)
    most_s = min(most for _, most in limits_ms) // 1000
    if least_s > most_s:
        probes = "probe" if facts.settings.count == 1 else f"{facts.settings.count} probes"
        return (
            f"no user timeout in whole seconds lets the {probes} decide at every HZ: set a shorter "
            "idle_s, or ignore the rule with a reason"
        )
    window = f"{least_s} to {most_s}" if most_s > least_s else f"{least_s}"
    return f"set user_timeout_s to {window}, or ignore the rule with a reason"


RULE = Rule(
    id="KA004",
    level="warning",
    title="the user timeout, not the count, decides when keepalive gives up",
    page=__doc__,
    find=_find,
)
