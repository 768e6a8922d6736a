"""Options of sockets that a process holds, read from outside of it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from harness.lab import socket_options
from harness.model.live_sockets import Options


@pytest.fixture
def held() -> Iterator[socket.socket]:
    """A TCP socket of this process."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (
            (socket.TCP_KEEPIDLE, 11),
            (socket.TCP_KEEPINTVL, 12),
            (socket.TCP_KEEPCNT, 13),
            (socket.TCP_USER_TIMEOUT, 14000),
        ):
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
        yield sock


def test_options_of_a_socket_that_a_process_holds(held: socket.socket) -> None:
    """Whichever of the processes does; those that have ended are passed over."""
    inode = os.fstat(held.fileno()).st_ino
    options = Options(keepalive=True, idle_s=11, interval_s=12, count=13, user_timeout_ms=14000)
    before = _open_descriptors()
    assert socket_options.held_by([2**22 + 1, os.getpid()], inode) == options
    assert _open_descriptors() == before
    assert held.fileno() >= 0


def _open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_socket_that_no_process_holds(held: socket.socket) -> None:
    """Nothing is known of it."""
    inode = os.fstat(held.fileno()).st_ino
    assert socket_options.held_by([], inode) == Options()
    assert socket_options.held_by([os.getpid()], 0) == Options()
