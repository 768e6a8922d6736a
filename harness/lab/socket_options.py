"""The options of a socket that another process holds: pidfd_getfd(2) and getsockopt(2).

A descriptor of the socket is duplicated for the few microseconds in which its options are read.
Nothing is set, and the process is neither stopped nor told.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from contextlib import suppress

from harness.model.live_sockets import Options
from harness.system import pidfd


def read(sock: socket.socket) -> Options:
    """The options of a TCP socket. Raises OSError where it is none."""
    return Options(
        keepalive=bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)),
        idle_s=_option(sock, socket.TCP_KEEPIDLE),
        interval_s=_option(sock, socket.TCP_KEEPINTVL),
        count=_option(sock, socket.TCP_KEEPCNT),
        user_timeout_ms=_option(sock, socket.TCP_USER_TIMEOUT),
    )


def held_by(pids: Iterable[int], inode: int) -> Options:
    """The options of the TCP socket with that inode, which one of the processes holds.

    All of them are None where no process holds it, or where it may not be read.
    """
    for pid in pids:
        number = _descriptor(pid, inode)
        if number is None:
            continue
        with suppress(OSError):  # it has ended, or it may not be read
            process = os.pidfd_open(pid)
            try:
                descriptor = pidfd.duplicate(process, number)
            finally:
                os.close(process)
            with socket.socket(
                socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, descriptor
            ) as sock:
                return read(sock)
    return Options()


def _descriptor(pid: int, inode: int) -> int | None:
    """The number of a process's descriptor of a socket; None where it has none."""
    folder = f"/proc/{pid}/fd/"
    with suppress(OSError):  # it has ended, or it may not be looked at
        for name in os.listdir(folder):  # noqa: PTH208 - what runs in a guest imports little
            with suppress(OSError):  # it has been closed
                if os.readlink(folder + name) == f"socket:[{inode}]":  # noqa: PTH115
                    return int(name)
    return None


def _option(sock: socket.socket, name: int) -> int | None:
    """An option of TCP; None where an MPTCP socket has none of the name (Linux before 6.11)."""
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, name)
    except OSError:
        return None
