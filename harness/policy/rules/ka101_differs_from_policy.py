"""A live socket has other settings than its policy states.

A policy says what a program is meant to set. The program may run an older release, may read another
file, may set the options in another unit, or may set them on another socket. Then the demands that
`harness check` finds met are met on paper alone.

The rule fires in `harness audit --policy` for each setting that a connection states (`keepalive`,
`idle_s`, `interval_s`, `count`, `user_timeout_s`) and that the live sockets which its `match`
describes do not have. What the connection does not state is not compared. A file of other software
that the policy names states its software's defaults, too. The demands are judged by the live
settings. A connection whose `match` fits no live connection is reported as not answered, and the
exit status is 3, unless KA101 is suppressed there.

How to fix it: restart the program if it runs with older settings, set the option in it, or state in
the policy what is meant.

Source: getsockopt(2) of the live sockets.
"""

from __future__ import annotations

from harness.policy.rule import Rule

RULE = Rule(
    id="KA101",
    level="error",
    title="a live socket has other settings than its policy states",
    page=__doc__,
    find=None,
)
