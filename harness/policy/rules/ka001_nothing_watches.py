"""Nothing detects a dead peer while the connection is idle.

TCP sends nothing on an idle connection, so that it never learns that the peer is gone: a read waits
for ever. Keepalive is off unless the program sets SO_KEEPALIVE. TCP_USER_TIMEOUT alone does not
help: without keepalive or data its timer does not run.

The rule fires where a detection time is demanded of an idle connection and there is neither
keepalive nor a heartbeat, and the program does not close idle connections by itself
(`idle_close_s`, `inactivity_close_s`). HZ has no say.

How to fix it: set `keepalive = true` with `idle_s`, `interval_s` and `count`, or give the program a
heartbeat.

Source: net/ipv4/tcp_timer.c:tcp_keepalive_timer; socket(7), SO_KEEPALIVE.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.policy import words
from harness.policy.facts import Facts
from harness.policy.rule import Draft, Rule


def _find(facts: Facts) -> Iterator[Draft]:
    demand_s = facts.connection.idle_demand_s
    watched = facts.connection.keepalive or facts.heartbeat or facts.closes_idle_s
    if demand_s is None or watched:
        return
    alone = (
        ", and a user timeout alone never ends an idle connection"
        if facts.settings.user_timeout_ms
        else ""
    )
    yield Draft(
        expected=f"a dead peer detected within {words.plain(demand_s)} s while the connection is idle",  # noqa: E501
        found=f"keepalive off and no heartbeat{alone}",
        fix="set keepalive with idle, interval and count, or add a heartbeat",
        keys=("keepalive", "idle_s", "interval_s", "count"),
    )


RULE = Rule(
    id="KA001",
    level="error",
    title="nothing detects a dead peer on an idle connection",
    page=__doc__,
    find=_find,
)
