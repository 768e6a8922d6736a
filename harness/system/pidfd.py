"""Descriptors of other processes, by pidfd_getfd(2).

The other process is not stopped and does not learn of it. The kernel asks for the right to trace it
(PTRACE_MODE_ATTACH_REALCREDS).
"""

from __future__ import annotations

import ctypes
import os

_PIDFD_GETFD = 438
"""Its number is the same on every architecture (include/uapi/asm-generic/unistd.h)."""
_libc = ctypes.CDLL(None, use_errno=True)


def duplicate(process: int, number: int) -> int:
    """A duplicate of a process's descriptor, which the caller closes. Raises OSError.

    `process`: a descriptor of the process (pidfd_open(2)). `number`: of its descriptor, as in
    /proc/PID/fd.
    """
    descriptor: int = _libc.syscall(_PIDFD_GETFD, process, number, 0)
    if descriptor < 0:
        found = ctypes.get_errno()
        raise OSError(found, os.strerror(found))
    return descriptor
