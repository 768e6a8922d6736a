"""Keepalive sends its probe after a middlebox on the path has dropped the state of the connection.

A firewall, NAT or load balancer drops the state of a connection after its idle timeout without a
packet. A later packet is dropped or answered with RST. A probe before that keeps the connection
known. The kernel rounds the idle time up to a bucket of its timer wheel, so that the first probe of
340/10/3 (idle, interval, count) comes long after 340 s:

| HZ | first probe of 340/10/3 | first probe of 300/10/3 |
|---|---|---|
| 100 | 339.99 to 380.96 s | 299.99 to 305.12 s |
| 250 | 340 to 356.38 s | 300 to 316.38 s |
| 300 | 340 to 353.65 s | 300 to 313.65 s |
| 1000 | 340 to 372.77 s | 300 to 332.77 s |

Some windows begin one jiffy early (10 ms at HZ=100), as the kernel counts from its last tick.
Behind a load balancer with 350 s, 340 s is too late at every HZ, and 300 s is soon enough at every
HZ.

The rule fires where the first probe may come at the shortest idle timeout on the path or later.
Where the interval is longer than the idle time, so may be the time between two probes: after an
answered probe the next one comes an interval later. It does not fire for a device that makes the
connection known again at the next packet (`pickup = "loose"`), for a proxy and what is behind it in
`path` (see KA014), where there is a heartbeat (see KA007), or where the program closes an idle
connection before the device drops its state.

How to fix it: a shorter `idle_s`, for which the message names the bound, or a longer idle timeout
of the device.

Source: kernel/time/timer.c:calc_wheel_index; grpc/grpc-java#12112,
mongodb/node-mongodb-native#2403.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from harness.policy import remedies, words
from harness.policy.facts import Facts
from harness.policy.rule import Draft, Rule
from harness.policy.settings import Hop

_MEETS = {
    "drop": "is dropped in silence",
    "reset": "is answered with RST",
    "reset-both": "comes too late: both ends have got RST",
    None: "is dropped or answered with RST (not documented)",
}


def _find(facts: Facts) -> Iterator[Draft]:
    hop = facts.strictest()
    if hop is None or hop.limit_s is None or facts.heartbeat is not None:
        return
    limit_s = hop.limit_s
    bad = tuple(hz for hz in facts.hz if not facts.outlived(hz, limit_s))
    if not bad:
        return
    expected = f"a packet before the idle timeout of {hop.title}, {limit_s} s"
    keys = ("idle_s", "path", "keepalive")
    if not facts.settings.keepalive:
        yield Draft(
            expected=expected,
            found=(
                "none while the connection is idle: keepalive is off; a packet after that "
                f"{_MEETS[hop.late]}"
            ),
            fix=_fix_without(facts, limit_s),
            keys=keys,
        )
        return
    yield _late(facts, hop, bad)


def _late(facts: Facts, hop: Hop, bad: tuple[int, ...]) -> Draft:
    probes = {hz: found.first_probe for hz in bad if (found := facts.idle(hz))}
    worst_hz = max(probes, key=lambda hz: probes[hz].high_ns)
    when = f"{words.window(probes[worst_hz])} {facts.worst_at(worst_hz, bad)}"
    return Draft(
        expected=f"a probe before the idle timeout of {hop.title}, {hop.limit_s} s",
        found=f"the first probe after {when}; a packet after the idle timeout {_MEETS[hop.late]}",
        fix=f"{_fix(facts)}, or lengthen the idle timeout of the device",
        keys=(_longer(facts), "idle_s", "interval_s", "path", "keepalive"),
        hz=bad,
        window_s=words.ends(probes[worst_hz]),
    )


def _fix(facts: Facts) -> str:
    found = remedies.at_most(facts, _longer(facts), remedies.is_kept_by_devices)
    return f"set {found}" if found else "set a shorter idle_s and interval_s"


def _fix_without(facts: Facts, limit_s: int) -> str:
    """The same where keepalive is off: an interval no longer than the idle time says nothing."""
    terms = msgspec.structs.replace(facts.terms, keepalive=True, interval_s=1)
    on = Facts(msgspec.structs.replace(facts.connection, terms=terms))
    found = remedies.at_most(on, "idle_s", remedies.is_kept_by_devices)
    how = found or f"idle_s below {limit_s}"
    return f"set keepalive, {how}, and interval_s no longer than that"


def _longer(facts: Facts) -> Literal["idle_s", "interval_s"]:
    """The key of the time that decides: after an answered probe the interval counts, too."""
    return "interval_s" if facts.settings.interval_s > facts.settings.idle_s else "idle_s"


RULE = Rule(
    id="KA003",
    level="error",
    title="the probe comes after a middlebox has dropped its state",
    page=__doc__,
    find=_find,
)
