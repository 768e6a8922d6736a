"""Nothing bounds how long data in flight waits for a dead peer.

While data waits to be acknowledged keepalive does not act: retransmissions decide. Without
TCP_USER_TIMEOUT they go on until net.ipv4.tcp_retries2 (15), which takes about 15 minutes:

| HZ | data in flight is given up after |
|---|---|
| 100 | 949.39 to 954.51 s |
| 250 | 934.76 to 936.81 s |
| 300 | 944.51 to 958.17 s |
| 1000 | 947.93 to 952.02 s |

With a longer round trip it takes longer, up to half an hour. With another `retries2` it is 102 s or
longer for 8, and 6 s for 4.

The rule fires where detection with data in flight is demanded sooner than that, and there is
neither a user timeout nor a heartbeat with `apart = true`, whose timer runs while the program is
sending.

`inactivity_close_s` (such as `timeout client` of HAProxy) does not help: it begins anew whenever
the program sends. HAProxy 2.6 with timeouts of 3 s still had the connection to a dead client after
20 s, as the server behind it sent each second.

How to fix it: set `user_timeout_s` (TCP_USER_TIMEOUT) below the time demanded. Sysctls have none:
there a lower net.ipv4.tcp_retries2 does it, for all connections of the system.

Source: net/ipv4/tcp_timer.c:retransmits_timed_out; RFC 5482; redpanda-data/connect#3726,
powersync-ja/powersync-service#760.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.policy import remedies, words
from harness.policy.answers import SECOND_NS
from harness.policy.facts import Facts
from harness.policy.lateness import user_timeout_fix
from harness.policy.rule import Draft, Rule


def _find(facts: Facts) -> Iterator[Draft]:
    demand_s = facts.connection.in_flight_demand_s
    if demand_s is None or facts.in_flight_is_bounded:
        return
    found = {hz: facts.noticed_in_flight(hz, demand_s) for hz in facts.hz}
    bad = {hz: when for hz, (in_time, when) in found.items() if not in_time}
    if not bad:
        return
    least = min(bad.values(), key=lambda when: when.low_ns)
    yield Draft(
        expected=f"a dead peer detected within {words.plain(demand_s)} s while data is in flight",
        found=(
            f"retransmissions for {words.seconds(least.low_ns)} or longer (tcp_retries2), as no "
            "user timeout is set"
        ),
        fix=f"{_bound(facts, demand_s)}, or add a heartbeat with a timer apart from the sending",
        keys=("user_timeout_s", "retries2"),
        hz=tuple(bad),
        window_s=(least.low_ns / SECOND_NS, None),
    )


def _bound(facts: Facts, demand_s: float) -> str:
    """What bounds it where the settings are: sysctls have retransmissions alone."""
    if "retries2" in facts.connection.directives:
        found = remedies.at_most(facts, "retries2", remedies.detects_in_flight)
        if found:
            return f"set {found}, or a user timeout in the program"
    return user_timeout_fix(facts, demand_s)


RULE = Rule(
    id="KA005",
    level="error",
    title="nothing bounds how long data in flight waits",
    page=__doc__,
    find=_find,
)
