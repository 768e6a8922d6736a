"""A dead peer is detected later than demanded, whatever HZ the kernel has.

Detection takes idle + interval * count and what the kernel's timer wheel rounds up, or, with data
in flight, the user timeout, half a second and what the wheel rounds up. The worst case counts. A
heartbeat gives up after every_s + misses * timeout_s. It is data in flight while it is unanswered,
so that TCP gives it up by the user timeout where that is sooner.

The rule fires where detection is demanded, idle or with data in flight, something watches (see
KA001 and KA005), and it is too late at every HZ of `hz`. `harness predict` shows the windows of any
setting at any HZ.

How to fix it: a shorter idle time, interval, count or user timeout. The message names the largest
value of each that is in time by itself and breaks no other demand.

Source: net/ipv4/tcp_timer.c; kernel/time/timer.c:calc_wheel_index.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.policy import lateness
from harness.policy.facts import Facts
from harness.policy.rule import Draft, Rule


def _find(facts: Facts) -> Iterator[Draft]:
    return (draft for draft in lateness.drafts(facts) if draft.hz == facts.hz)


RULE = Rule(
    id="KA015",
    level="error",
    title="a dead peer is detected later than demanded",
    page=__doc__,
    find=_find,
)
