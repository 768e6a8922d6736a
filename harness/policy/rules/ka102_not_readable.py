"""The options of a live socket could not be read, so that no demand can be judged.

`harness audit` reads the options of another process's socket from a duplicate of its descriptor.
That takes these rights:

| what | right |
|---|---|
| which sockets a process has: /proc/PID/fd | the same user, or CAP_SYS_PTRACE |
| a duplicate of one: pidfd_getfd(2) | the same, and CAP_SYS_PTRACE where Yama restricts tracing (kernel.yama.ptrace_scope) |
| the sysctls of another network namespace | CAP_SYS_ADMIN and CAP_NET_ADMIN over it |

Where a right is missing, the kernel still tells of sockets in the own network namespace: ports,
user, and whether a timer of keepalive runs. The values of the options it does not tell.

The rule fires where demands are made of such a socket: it is reported as not answered, and the exit
status is 3.

How to fix it: run `harness audit` as root.

Source: proc(5), ptrace(2) (ptrace access mode checking), pidfd_getfd(2), sock_diag(7).
"""  # noqa: E501 - a table

from __future__ import annotations

from harness.policy.rule import Rule

RULE = Rule(
    id="KA102",
    level="error",
    title="the options of a live socket could not be read",
    page=__doc__,
    find=None,
)
