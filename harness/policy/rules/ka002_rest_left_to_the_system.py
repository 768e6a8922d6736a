"""Keepalive is turned on, but the idle time, the interval or the count is left to the system.

SO_KEEPALIVE alone sends the first probe after 7200 s: a dead peer is detected after two hours and
eleven minutes or more. A short idle time alone does not make detection short: the system's interval
of 75 s and count of 9 follow it. Detection then takes the idle time and more than 11 minutes. With
an idle time of 60 s:

| HZ | detection |
|---|---|
| 100 | 749.4 to 771.32 s |
| 250 | 741.21 to 759.03 s |
| 300 | 735.75 to 752.55 s |
| 1000 | 757.59 to 779.51 s |

The rule fires where keepalive is on and `idle_s` or `interval_s` is not set, or `count` is not and
no user timeout stands in its place. It does not fire where nothing but the default of the software
turns keepalive on, nor where all three are left and a heartbeat watches.

How to fix it: set `idle_s`, `interval_s` and `count` (TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT), or
state 7200, 75 and 9 where they are meant.

Source: tcp(7), net.ipv4.tcp_keepalive_time, _intvl and _probes; redis/redis-rs#404,
envoyproxy/envoy#37617.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.policy import words
from harness.policy.facts import Facts
from harness.policy.rule import Draft, Rule
from harness.policy.settings import SYSTEM


def _find(facts: Facts) -> Iterator[Draft]:
    left = _left(facts) if facts.settings.keepalive else {}
    found = {hz: each.end for hz in facts.hz if (each := facts.idle(hz))}
    if not left or not found:
        return
    worst_hz = max(found, key=lambda hz: found[hz].high_ns)
    worst = found[worst_hz]
    yield Draft(
        expected="idle time, interval and count set together",
        found=(
            f"{words.enumerated(list(left.values()))} left to the system: detection after "
            f"{words.window(worst)} at HZ={worst_hz}"
        ),
        fix=f"set {words.enumerated(list(left))}",
        keys=("idle_s", "interval_s", "count", "keepalive"),
        fix_keys=tuple(left),
        hz=tuple(found),
        window_s=words.ends(worst),
    )


def _left(facts: Facts) -> dict[str, str]:
    """What the system fills in, by key, where somebody chose to have keepalive."""
    terms = facts.terms
    left = {}
    if terms.idle_s is None:
        left["idle_s"] = f"the idle time ({SYSTEM.idle_s} s)"
    if terms.interval_s is None:
        left["interval_s"] = f"the interval ({SYSTEM.interval_s} s)"
    if terms.count is None:
        left["count"] = f"the count ({SYSTEM.count})"
    on_by_default = "keepalive" in facts.connection.defaults
    if len(left) == 3 and (on_by_default or facts.heartbeat is not None):
        return {}
    if facts.settings.user_timeout_ms:
        left.pop("count", None)
    return left


RULE = Rule(
    id="KA002",
    level="warning",
    title="keepalive is on, but idle time, interval or count is left to the system",
    page=__doc__,
    find=_find,
)
