"""A user timeout also ends the connection to a live peer that does not read.

While the peer's receive window is closed, window probes are answered, and without a user timeout
that may go on for ever. With TCP_USER_TIMEOUT the kernel gives up once the window was closed for
that long, although the peer is alive: a program that stops at a breakpoint, is frozen or is busy
for as long loses the connection.

The rule fires where a user timeout is set and says for how long a peer may stop reading. It is a
note and no failure. HZ moves it by less than an eighth.

How to fix it: choose a user timeout longer than the longest pause of the peer.

Source: net/ipv4/tcp_timer.c:tcp_probe_timer; RFC 5482, section 3.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.policy.facts import Facts
from harness.policy.rule import Draft, Rule


def _find(facts: Facts) -> Iterator[Draft]:
    if not facts.settings.user_timeout_ms:
        return
    user_timeout_s = facts.settings.user_timeout_ms / 1000
    yield Draft(
        expected=f"a peer that never stops reading for {user_timeout_s:g} s while data waits for it",  # noqa: E501
        found="a user timeout that ends the connection if it does, although the peer is alive",
        fix="set a user_timeout_s longer than the longest pause of the peer",
        keys=("user_timeout_s",),
    )


RULE = Rule(
    id="KA010",
    level="note",
    title="a user timeout ends the connection to a live peer that does not read",
    page=__doc__,
    find=_find,
)
