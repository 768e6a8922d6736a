"""The idle time is set, but the interval or the count is left to the system.

A short idle time alone does not make detection short: the system's interval of 75 s and count of 9
follow it. Detection then takes the idle time and more than 11 minutes. With an idle time of 60 s:

| HZ | detection |
|---|---|
| 100 | 749.4 to 771.32 s |
| 250 | 741.21 to 759.03 s |
| 300 | 735.75 to 752.55 s |
| 1000 | 757.59 to 779.51 s |

The rule fires where `idle_s` is set and `interval_s` is not, or `count` is not and no user timeout
stands in its place.

How to fix it: set `interval_s` and `count` (TCP_KEEPINTVL, TCP_KEEPCNT), or state 75 and 9 where
they are meant.

Source: tcp(7), net.ipv4.tcp_keepalive_intvl and net.ipv4.tcp_keepalive_probes; redis/redis-rs#404,
envoyproxy/envoy#37617.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.policy import words
from harness.policy.facts import Facts
from harness.policy.rule import Draft, Rule
from harness.policy.settings import SYSTEM


def _find(facts: Facts) -> Iterator[Draft]:
    terms, settings = facts.terms, facts.settings
    if not settings.keepalive or terms.idle_s is None:
        return
    left = []
    if terms.interval_s is None:
        left.append(f"the interval ({SYSTEM.interval_s} s)")
    if terms.count is None and not settings.user_timeout_ms:
        left.append(f"the count ({SYSTEM.count})")
    found = {hz: each.end for hz in facts.hz if (each := facts.idle(hz))}
    if not left or not found:
        return
    worst_hz = max(found, key=lambda hz: found[hz].high_ns)
    worst = found[worst_hz]
    yield Draft(
        expected="interval and count set along with the idle time",
        found=(
            f"{' and '.join(left)} left to the system: detection after {words.window(worst)} at "
            f"HZ={worst_hz}"
        ),
        fix="set interval_s and count",
        keys=("idle_s",),
        hz=tuple(found),
        window_s=words.ends(worst),
    )


RULE = Rule(
    id="KA002",
    level="warning",
    title="idle is set, but interval or count is left to the system",
    page=__doc__,
    find=_find,
)
