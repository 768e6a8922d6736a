"""The kernel's socket monitoring, asked about sockets of this test's own in the network it runs in."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import cast

import pytest

from harness.lab.host import Host
from harness.subjects import sockets
from harness.subjects.sockets import ESTABLISHED, Flow, Socket


class Here:
    """A host whose network is that of the calling thread."""

    name = "here"

    def entered(self) -> contextlib.AbstractContextManager[None]:
        """It is there already."""
        return contextlib.nullcontext()


HERE = cast("Host", Here())


@pytest.fixture(params=["127.0.0.1", "::1"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """A socket that listens at a port of its own."""
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    try:
        sock = socket.create_server((request.param, 0), family=family)
    except OSError as error:
        pytest.skip(f"no {request.param} here: {error}")
    with sock:
        yield sock


def flow(sock: socket.socket) -> Flow:
    """The connection as the end of that socket sees it."""
    return Flow(sock.getsockname()[:2], sock.getpeername()[:2])


def test_who_listens(listener: socket.socket) -> None:
    """A port is listened at until the listener is closed, whatever connections stand there."""
    port = listener.getsockname()[1]
    assert sockets.listens(HERE, port)
    with socket.create_connection(listener.getsockname()[:2]):
        accepted, _ = listener.accept()
        listener.close()
        assert not sockets.listens(HERE, port)
        accepted.close()


def test_one_connection_of_many(listener: socket.socket) -> None:
    """It is found by both ends' addresses; a program holds it from accept(2) to close(2)."""
    address = listener.getsockname()[:2]
    with socket.create_connection(address) as other, socket.create_connection(address) as client:
        theirs = Flow(*reversed(flow(client)))
        assert sockets.find(HERE, flow(client)) == Socket(ESTABLISHED, held=True)
        assert sockets.find(HERE, theirs) == Socket(ESTABLISHED, held=False)
        accepted = [listener.accept()[0] for _ in range(2)]
        assert sockets.find(HERE, theirs) == Socket(ESTABLISHED, held=True)
        client.close()
        held = sockets.find(HERE, theirs)
        assert held is not None
        assert sockets.STATES[held.state] == "CLOSE_WAIT"
        for sock in accepted:
            sock.close()
        assert sockets.find(HERE, theirs) is None
        assert sockets.find(HERE, flow(other)) != Socket(ESTABLISHED, held=True)


def test_a_listener_is_no_connection(listener: socket.socket) -> None:
    """Where there is no such connection the kernel names the listener; that is none."""
    address = listener.getsockname()[:2]
    assert sockets.find(HERE, Flow(address, (address[0], 1))) is None
