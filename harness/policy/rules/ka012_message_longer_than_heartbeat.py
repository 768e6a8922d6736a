"""A heartbeat gives up while a long message is still on the line.

A heartbeat and its answer wait behind the data that was sent before them. If the largest message
takes longer on the line than the heartbeat waits, a live peer is given up in the middle of a
transfer.

The rule fires where the heartbeat's `misses` * `timeout_s` is less than `longest_message_s`. HZ has
no say.

How to fix it: a longer `timeout_s`, more `misses`, or smaller messages.

Source: mscdex/ssh2#474, sockjs/sockjs-node#169.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.policy import words
from harness.policy.facts import Facts
from harness.policy.rule import Draft, Rule


def _find(facts: Facts) -> Iterator[Draft]:
    beat = facts.heartbeat
    if (
        beat is None
        or beat.longest_message_s is None
        or beat.misses * beat.timeout_s >= beat.longest_message_s
    ):
        return
    longest = words.plain(beat.longest_message_s)
    yield Draft(
        expected=f"a heartbeat that waits as long as the longest message takes, {longest} s",
        found=f"one that gives up after {words.plain(beat.misses * beat.timeout_s)} s",
        fix=f"set misses * timeout_s to {longest} s or more, or send smaller messages",
        keys=("heartbeat.timeout_s", "heartbeat"),
    )


RULE = Rule(
    id="KA012",
    level="warning",
    title="a heartbeat gives up before the longest message is through",
    page=__doc__,
    find=_find,
)
