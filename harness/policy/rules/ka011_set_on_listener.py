"""The options are set on the listening socket only.

On Linux an accepted socket inherits SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT and
TCP_USER_TIMEOUT from the listening socket, and its timer begins with the handshake. POSIX does not
promise that, and other systems differ.

The rule fires for `set_on = "listener"` where any of these options is set. It is a note and no
failure. HZ has no say.

How to fix it: set the options on each accepted socket, or keep them on the listener if the program
is for Linux alone.

Source: net/ipv4/inet_connection_sock.c:inet_csk_clone_lock; gearman/gearmand#454.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.policy.facts import Facts
from harness.policy.rule import Draft, Rule


def _find(facts: Facts) -> Iterator[Draft]:
    settings = facts.settings
    if facts.terms.set_on != "listener" or not (settings.keepalive or settings.user_timeout_ms):
        return
    yield Draft(
        expected="the options set on each accepted socket",
        found=(
            "set on the listening socket, from which Linux passes them on; POSIX does not "
            "promise it"
        ),
        fix="set them after accept() where the program runs on other systems, too",
        keys=("set_on",),
    )


RULE = Rule(
    id="KA011",
    level="note",
    title="options are set on the listening socket only",
    page=__doc__,
    find=_find,
)
