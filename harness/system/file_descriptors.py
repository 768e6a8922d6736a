"""File descriptors beyond 1023, so that hundreds of labs leave the low ones free.

libnftables waits with select(2), whose sets end at descriptor 1023 (FD_SETSIZE); glibc aborts the
process beyond that. Whatever lives as long as a run is therefore moved up, and libnftables finds a
low one.
"""

from __future__ import annotations

import fcntl
import os
import resource
import socket
from io import FileIO
from typing import IO

FLOOR = 1024


def raised(descriptor: int) -> int:
    """Move a descriptor to the first free number from 1024 up.

    Stays where it is under a lower limit of open files.
    """
    try:
        moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, FLOOR)
    except OSError:
        return descriptor
    os.close(descriptor)
    return moved


def raised_socket(sock: socket.socket) -> socket.socket:
    """The same socket on a descriptor from 1024 up; the object given must not be used any more."""
    return socket.socket(fileno=raised(sock.detach()))


def raised_pipe(end: IO[bytes]) -> IO[bytes]:
    """The same end of a pipe on a descriptor from 1024 up, unbuffered.

    The object given must not be used any more.
    """
    try:
        moved = fcntl.fcntl(end.fileno(), fcntl.F_DUPFD_CLOEXEC, FLOOR)
    except OSError:
        return end
    with end:
        return FileIO(moved, "wb" if end.writable() else "rb")


def raise_limit(wanted: int) -> int:
    """Raise the soft limit of open files to `wanted` where the hard one allows.

    Returns what it is then.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = reachable_limit(wanted)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit


def reachable_limit(wanted: int) -> int:
    """What the limit of open files is once it has been raised to `wanted`; nothing is changed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    reachable = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    return reachable if soft == resource.RLIM_INFINITY else max(soft, reachable)
