"""The heartbeat is rarer than the idle timeout of a proxy or middlebox on the path.

A proxy closes a connection on which no data passed for its idle timeout, and a middlebox forgets
it. A heartbeat keeps the connection in use only if it is sent sooner. Keepalive's probes count for
a middlebox, but not for a proxy, which ends TCP itself and never passes a probe on.

The rule fires where a heartbeat's `every_s` reaches the idle timeout of a proxy, or of a middlebox
before which keepalive sends no probe either. HZ has a say only in the second case.

How to fix it: a shorter `every_s`, or a longer idle timeout.

Source: sockjs/sockjs-node#169; the documentation of each proxy (nginx: proxy_read_timeout; HAProxy:
timeout client).
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.policy import words
from harness.policy.facts import Facts
from harness.policy.rule import Draft, Rule
from harness.policy.settings import Hop


def _find(facts: Facts) -> Iterator[Draft]:
    beat = facts.heartbeat
    if beat is None:
        return
    hops = [
        hop
        for hop in facts.connection.path
        if hop.limit_s is not None and hop.limit_s <= beat.every_s
    ]
    bad = {hop: _lost_at(facts, hop) for hop in hops}
    lost = {hop: hz for hop, hz in bad.items() if hz}
    if not lost:
        return
    hop = min(lost, key=lambda each: each.limit_s or 0)
    yield Draft(
        expected=f"a heartbeat before the idle timeout of {hop.title}, {hop.limit_s} s",
        found=f"one every {words.plain(beat.every_s)} s"
        + (
            ""
            if hop.proxy or not facts.settings.keepalive
            else f", and no probe in time {facts.which_hz(lost[hop])}"
        ),
        fix=f"set the heartbeat's every_s below {hop.limit_s}, or lengthen the idle timeout",
        keys=("heartbeat.every_s", "heartbeat", "path"),
        hz=() if hop.proxy else lost[hop],
    )


def _lost_at(facts: Facts, hop: Hop) -> tuple[int, ...]:
    """Where the idle timeout of a device is over before anything that counts for it."""
    if hop.proxy:
        return facts.hz
    if not hop.forgets(facts.terms.side) or hop.limit_s is None:
        return ()
    limit_s = hop.limit_s
    return tuple(hz for hz in facts.hz if not facts.outlived(hz, limit_s))


RULE = Rule(
    id="KA007",
    level="error",
    title="the heartbeat is rarer than an idle timeout on the path",
    page=__doc__,
    find=_find,
)
