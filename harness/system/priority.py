"""Real-time priority for whatever a run's moments depend on, where the user may have it, as root
may, and short time slices where not.

The kernel then runs the harness as soon as something happens, however many programs compute beside
it: with twelve busy loops on two CPUs a thread was late by 226 ms at most without it, and by 1 ms
with it. Threads that watch a run come before those that compute. The latter have real-time priority
too: they hold the interpreter's lock, which the former wait for. Programs that the harness starts
do not inherit it, so commands under test run as they always do.

A thread without real-time priority asks for a short time slice, which any user may do. The
scheduler then runs it sooner after it wakes up, and for no longer in all (Linux 6.12,
kernel/sched/fair.c:PREEMPT_SHORT; older kernels ignore it).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.system import time_slice

_POLICY = os.SCHED_RR | os.SCHED_RESET_ON_FORK
"""sched(7): equals take turns; children and new threads begin with normal priority."""
_COMPUTES, _WATCHES = os.sched_param(1), os.sched_param(2)
_lock = threading.Lock()
_holders: set[object] = set()
"""One object for each `urgent` block that has the priority."""


@contextmanager
def urgent(*, watches: bool = False) -> Iterator[None]:
    """Run the calling thread at real-time priority in the block, where that is allowed.

    Where it is not, its time slices are short. `watches`: it waits for what happens in a run, and
    hardly computes.
    """
    before, parameter, holder = os.sched_getscheduler(0), os.sched_getparam(0), object()
    raised = _raised(0, _WATCHES if watches else _COMPUTES)
    if not raised and not time_slice.shorten(0):
        yield
        return
    with _lock:
        _holders.add(holder)
    try:
        yield
    finally:
        with _lock:
            _holders.discard(holder)
        if raised:
            os.sched_setscheduler(0, before, parameter)
        else:
            time_slice.restore()


@contextmanager
def ordinary() -> Iterator[None]:
    """Run the calling thread at normal priority in the block: for a call that spins in the kernel.

    Many sysctls of networks do so until another thread has let go of the lock of rtnetlink
    (net/ipv4/devinet.c:devinet_sysctl_forward, rtnl_trylock and restart_syscall). At real-time
    priority a thread on each CPU would spin for ever, as the other thread would never run.
    """
    policy, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
    if policy != _POLICY:
        yield
        return
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameter)


def lend(pid: int) -> None:
    """Give all threads of a process the priority of what watches, or short time slices, as long as
    any thread has them by `urgent`.
    """
    if _holders:
        with suppress(OSError):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                number = int(thread.name)
                if not _raised(number, _WATCHES):
                    time_slice.shorten(number)


def keep_nice(pid: int) -> None:
    """Give the new session of a process the nice value of this process, in the kernel's share
    between sessions.

    Where autogroups are enabled (sched(7), "The autogroup feature"), a nice value counts within a
    session only, and each new session begins with an equal share of the CPUs: without this, `nice
    harness run` has no effect on its guests. The kernel lets an ordinary user do this once in 0.1 s
    (proc_sched_autogroup_set_nice); the others keep that share.
    """
    if nice := os.getpriority(os.PRIO_PROCESS, 0):
        with suppress(OSError):
            Path(f"/proc/{pid}/autogroup").write_text(str(nice))


def _raised(pid: int, priority: os.sched_param) -> bool:
    with suppress(OSError):
        os.sched_setscheduler(pid, _POLICY, priority)
        return True
    return False
