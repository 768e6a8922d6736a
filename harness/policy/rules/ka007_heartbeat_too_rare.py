"""The heartbeat is rarer than the idle timeout of a proxy or middlebox on the path.

A proxy closes a connection on which no data passed for its idle timeout, and a middlebox drops its
state. A heartbeat keeps the connection in use only if it is sent sooner. Keepalive's probes count
for a middlebox, but not for a proxy, which ends TCP itself and never passes a probe on, nor for a
middlebox that is behind a proxy in `path`.

The rule fires where a heartbeat's `every_s` reaches the idle timeout of a proxy, of a middlebox
behind one, or of a middlebox before which keepalive sends no probe either. HZ has a say only in the
last case.

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
    lost: list[tuple[int, Hop, bool, tuple[int, ...]]] = []
    is_ended = False
    for hop in facts.connection.path:
        is_ended = is_ended or hop.proxy
        if hop.limit_s is not None and hop.limit_s <= beat.every_s:
            lost.append((hop.limit_s, hop, is_ended, _lost_at(facts, hop, is_ended=is_ended)))
    lost = [each for each in lost if each[3]]
    if not lost:
        return
    limit_s, hop, is_ended, bad = min(lost, key=lambda each: each[0])
    unseen = not is_ended and facts.settings.keepalive
    yield Draft(
        expected=f"a heartbeat before the idle timeout of {hop.title}, {limit_s} s",
        found=f"one every {words.plain(beat.every_s)} s"
        + (f", and no probe in time {facts.which_hz(bad)}" if unseen else "")
        + (", and no probe passes the proxy before it" if is_ended and not hop.proxy else ""),
        fix=f"set the heartbeat's every_s below {limit_s}, or lengthen the idle timeout",
        keys=("heartbeat.every_s", "heartbeat", "path"),
        hz=() if is_ended else bad,
    )


def _lost_at(facts: Facts, hop: Hop, *, is_ended: bool) -> tuple[int, ...]:
    """Where the idle timeout of a device is over before anything that counts for it; `is_ended`:
    it is a proxy, or behind one.
    """
    if hop.proxy:
        return facts.hz
    if not hop.forgets(facts.terms.side) or hop.limit_s is None:
        return ()
    limit_s = hop.limit_s
    return tuple(hz for hz in facts.hz if is_ended or not facts.outlived(hz, limit_s))


RULE = Rule(
    id="KA007",
    level="error",
    title="the heartbeat is rarer than an idle timeout on the path",
    page=__doc__,
    find=_find,
)
