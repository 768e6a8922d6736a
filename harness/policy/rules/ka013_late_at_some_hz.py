"""A dead peer is detected in time at one HZ of the fleet and too late at another.

The kernel rounds its timers up to the buckets of the timer wheel. How wide these are in seconds
depends on HZ, which a distribution chooses when it builds the kernel. The same settings may
therefore meet a demand on one machine and miss it on the next. 340/10/3 detects a dead peer after

| HZ | detection |
|---|---|
| 100 | 370.48 to 411.68 s |
| 250 | 370.48 to 387.1 s |
| 300 | 370.05 to 383.73 s |
| 1000 | 370.48 to 403.49 s |

so that "within 390 s" holds at 250 and 300 alone.

The rule fires where detection is demanded, idle or with data in flight, and is too late at some HZ
of `hz`, but not at all. Where it is too late at every HZ, KA015 fires.

How to fix it: shorter settings; or list in `hz` only what the fleet has (`grep CONFIG_HZ=
/boot/config-*`).

Source: kernel/time/timer.c:calc_wheel_index; kernel/Kconfig.hz.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.policy import lateness
from harness.policy.facts import Facts
from harness.policy.rule import Draft, Rule


def _find(facts: Facts) -> Iterator[Draft]:
    return (draft for draft in lateness.drafts(facts) if draft.hz != facts.hz)


RULE = Rule(
    id="KA013",
    level="error",
    title="a dead peer is detected in time at some HZ only",
    page=__doc__,
    find=_find,
)
