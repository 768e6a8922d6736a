"""A server with a key answers who has it, and nobody else."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from harness.errors import CapabilityError
from harness.lab import keyed

SERVER = """
import socket
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    while True:
        with server.accept()[0] as connection:
            connection.sendall(b"yes")
"""


@pytest.fixture
def server() -> Iterator[tuple[int, int]]:
    """A server that knows nothing of keys: a descriptor of its process, and its port."""
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", SERVER], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        pinned = os.pidfd_open(process.pid)
        yield pinned, port
        os.close(pinned)
        process.kill()


def _answer(port: int, source: str = "", *options: keyed.SocketOption) -> bytes:
    with socket.socket() as client:
        client.settimeout(0.2)
        for option in options:
            client.setsockopt(*option)
        client.bind((source, 0))
        try:
            client.connect(("127.0.0.1", port))
        except TimeoutError:
            return b"no"
        client.settimeout(20.0)
        return client.recv(3)


def test_only_the_key_opens_it(server: tuple[int, int]) -> None:
    """From whatever address of this machine a connection comes."""
    pinned, port = server
    assert _answer(port) == b"yes"
    try:
        key = keyed.protect(pinned, port)
    except CapabilityError as lacking:
        pytest.skip(str(lacking))
    another = (*key.option[:2], key.option[2][:-1] + bytes([key.option[2][-1] ^ 1]))
    assert [_answer(port), _answer(port, "127.1.2.3"), _answer(port, "", another)] == [b"no"] * 3
    assert _answer(port, "", key.option) == b"yes"
    assert key.opens("127.0.0.1", port)


def test_users_are_seen(server: tuple[int, int]) -> None:
    """Also those that have gone a moment ago, where the server closed first."""
    pid, (pinned, port) = keyed._pid(server[0]), server
    assert (keyed.listens(pid, port), keyed.listens(os.getpid(), port), keyed.is_used(port)) == (
        True,
        False,
        False,
    )
    assert _answer(port) == b"yes"
    assert keyed.is_used(port)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        with pytest.raises(LookupError, match="found that it does not"):
            keyed.protect(pinned, other.getsockname()[1])
