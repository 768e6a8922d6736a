"""The time slice of a thread: how long the scheduler lets it run before others have their turn.

A thread with a shorter slice than the running one takes its place when it wakes up, and keeps its
share of the CPU (Linux 6.12; earlier kernels take the same call and change nothing). Any user may
set it for processes of his own (sched_setattr(2), `sched_runtime` of a SCHED_OTHER thread).
"""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ctypes

SHORT_NS = 100_000
"""The shortest that the kernel gives (kernel/sched/syscalls.c:__setparam_fair)."""
_SET_AND_GET = {"x86_64": (314, 315), "aarch64": (274, 275), "riscv64": (274, 275)}
"""The numbers of both system calls, which the C library does not wrap before glibc 2.41."""
_ATTRIBUTES = "=IIQiIQQQ"
"""`struct sched_attr` (include/uapi/linux/sched/types.h): size, policy, flags, nice, priority, and
in nanoseconds runtime, deadline and period."""
_RESET_ON_FORK = 1
"""SCHED_FLAG_RESET_ON_FORK: children begin with the usual slice. Only root may take it back."""


def shorten(thread: int) -> bool:
    """Give a thread with the policy SCHED_OTHER, 0 for the calling one, short slices.

    Returns whether that changed anything.
    """
    before = _get(thread)
    if before is None or before == SHORT_NS:
        return False
    _set(thread, SHORT_NS)
    return _get(thread) == SHORT_NS


def restore() -> None:
    """Give the calling thread the usual slices."""
    _set(0, 0)


def _get(thread: int) -> int | None:
    """A thread's slice in nanoseconds, 0 where the kernel is older; None: it has none."""
    import ctypes
    import struct

    held = ctypes.create_string_buffer(struct.calcsize(_ATTRIBUTES))
    if not _call(1, thread, held, len(held), 0):
        return None
    _, policy, _, _, _, slice_ns, _, _ = struct.unpack(_ATTRIBUTES, held.raw)
    return int(slice_ns) if policy == os.SCHED_OTHER else None


def _set(thread: int, slice_ns: int) -> None:
    """Its nice value stays."""
    import struct

    size = struct.calcsize(_ATTRIBUTES)
    with suppress(OSError):
        nice = os.getpriority(os.PRIO_PROCESS, thread)
        wanted = (size, os.SCHED_OTHER, _RESET_ON_FORK, nice, 0, slice_ns, 0, 0)
        _call(0, thread, struct.pack(_ATTRIBUTES, *wanted), 0)


def _call(which: int, *arguments: object) -> bool:
    numbers = _SET_AND_GET.get(platform.machine())
    return numbers is not None and _library().syscall(numbers[which], *arguments) == 0


@cache
def _library() -> ctypes.CDLL:
    import ctypes

    return ctypes.CDLL(None)
