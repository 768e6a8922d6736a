"""An outage that must be survived ends the connection.

An idle connection survives an outage that is over when the last probe is sent: that is after idle +
interval * (count - 1), not after the whole detection time. How much later it is depends on the
phase; the worst phase counts. 60/10/3 survives at least:

| HZ | outages up to |
|---|---|
| 100 | 80.48 s |
| 250 | 80.48 s |
| 300 | 80.05 s |
| 1000 | 80.48 s |

A user timeout ends a connection with data in flight, and a heartbeat gives up when all its misses
are over.

The rule fires where an outage of `survive_s` ends an idle connection at some HZ, or is as long as
the user timeout or as the whole of a heartbeat's misses.

How to fix it: a longer idle time or interval, or a higher count; a user timeout and a heartbeat
that wait longer.

Source: net/ipv4/tcp_timer.c:tcp_keepalive_timer.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.policy import words
from harness.policy.facts import Facts
from harness.policy.rule import Draft, Rule


def _find(facts: Facts) -> Iterator[Draft]:
    outage_s = facts.terms.survive_s
    if outage_s is None:
        return
    expected = f"an outage of {words.plain(outage_s)} s survived"
    bad = tuple(hz for hz in facts.hz if not facts.survives(hz, outage_s))
    if bad:
        lasts = {hz: found for hz in bad if (found := facts.last_probe_ns(hz)) is not None}
        worst_hz = min(lasts, key=lambda hz: lasts[hz])
        yield Draft(
            expected=f"{expected} while the connection is idle",
            found=f"the last probe after {words.seconds(lasts[worst_hz])} {facts.worst_at(worst_hz, bad)}",
            fix="set a longer idle_s or interval_s, or a higher count"
            + (" (and a longer user_timeout_s)" if facts.settings.user_timeout_ms else ""),
            keys=("count", "interval_s", "idle_s", "survive_s"),
            hz=bad,
            window_s=(lasts[worst_hz] / 1e9, lasts[worst_hz] / 1e9),
        )
    user_timeout_s = facts.settings.user_timeout_ms / 1000
    if 0 < user_timeout_s <= outage_s:
        yield Draft(
            expected=f"{expected} while data is in flight",
            found=f"a user timeout of {user_timeout_s:g} s, which ends the connection before",
            fix=f"set user_timeout_s to twice {words.plain(outage_s)} or more",
            keys=("user_timeout_s",),
        )
    beat = facts.heartbeat
    if beat is not None and beat.misses * beat.timeout_s <= outage_s:
        yield Draft(
            expected=expected,
            found=f"a heartbeat that gives up after {words.plain(beat.misses * beat.timeout_s)} s without an answer",
            fix=f"set misses * timeout_s of the heartbeat above {words.plain(outage_s)} s",
            keys=("heartbeat.timeout_s", "heartbeat.misses", "heartbeat"),
        )


RULE = Rule(
    id="KA009",
    level="error",
    title="an outage that must be survived ends the connection",
    page=__doc__,
    find=_find,
)
