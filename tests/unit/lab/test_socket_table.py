"""The kernel's socket monitoring, asked about sockets of this test's own in the network it runs
in.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress

import pytest

from harness.errors import LabError
from harness.lab.socket_table import ESTABLISHED, LISTEN, STATES, Ends, SocketTable, sockets_in

HERE = SocketTable()
NLMSG_ERROR, NLMSG_DONE = 2, 3


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


def ends(sock: socket.socket) -> Ends:
    """The connection as the end of that socket sees it."""
    return Ends(sock.getsockname()[:2], sock.getpeername()[:2])


def state(of: Ends) -> tuple[str, bool] | None:
    """The state of a connection, and whether a program holds it."""
    found = HERE.find(of)
    return None if found is None else (STATES[found.state], found.is_held)


def test_who_listens(listener: socket.socket) -> None:
    """A port is listened at until the listener is closed, whatever connections stand there."""
    port = listener.getsockname()[1]
    assert HERE.listens(port)
    assert [found.state for found in HERE.listeners(listener.family, port)] == [LISTEN]
    with socket.create_connection(listener.getsockname()[:2]):
        accepted, _ = listener.accept()
        listener.close()
        assert not HERE.listens(port)
        accepted.close()


def test_one_connection_of_many(listener: socket.socket) -> None:
    """It is found by both ends' addresses; a program holds it from accept(2) to close(2)."""
    address = listener.getsockname()[:2]
    with socket.create_connection(address) as other, socket.create_connection(address) as client:
        theirs = Ends(*reversed(ends(client)))
        assert state(ends(client)) == ("ESTABLISHED", True)
        assert state(theirs) == ("ESTABLISHED", False)
        accepted = [listener.accept()[0] for _ in range(2)]
        assert state(theirs) == ("ESTABLISHED", True)
        client.close()
        assert state(theirs) == ("CLOSE_WAIT", True)
        for sock in accepted:
            sock.close()
        assert state(theirs) is None
        assert state(ends(other)) != ("ESTABLISHED", True)


def test_a_listener_is_no_connection(listener: socket.socket) -> None:
    """Where there is no such connection the kernel names the listener; that is none."""
    address = listener.getsockname()[:2]
    assert HERE.find(Ends(address, (address[0], 1))) is None


def test_octets_that_nobody_has_read(listener: socket.socket) -> None:
    """They count for a connection from or to the port.

    A connection that waits at a listener is not counted.
    """
    address = listener.getsockname()[:2]
    port = address[1]
    with socket.create_connection(address) as client:
        assert HERE.unread(lambda ports: port in ports) == 0
        with listener.accept()[0] as accepted:
            client.sendall(b"12345")
            accepted.sendall(b"123")
            ends = {port, client.getsockname()[1]}
            assert HERE.unread(lambda ports: set(ports) == ends) == 8
            assert HERE.unread() >= 8
            accepted.recv(5)
            assert HERE.unread(lambda ports: port in ports) == 3
            found = [each for each in HERE.connections(listener.family) if port in each.ports]
            assert sorted((each.near_port == port, each.queue, each.state) for each in found) == [
                (False, 3, ESTABLISHED),
                (True, 0, ESTABLISHED),
            ]


@pytest.mark.parametrize("kind", [NLMSG_ERROR, NLMSG_DONE])
def test_a_kernel_that_lists_no_sockets_is_an_error(kind: int) -> None:
    """Otherwise a kernel without INET_DIAG would look like a host where nothing is unread."""
    none = struct.pack("=IHHIIi", 20, kind, 0, 1, 0, -errno.ENOENT)
    with pytest.raises(OSError, match="No such file"):
        sockets_in(none, lists=True)
    assert sockets_in(struct.pack("=IHHIIi", 20, NLMSG_DONE, 0, 1, 0, 0), lists=True) == ([], True)
    assert sockets_in(none, lists=False) == ([], True)


def test_an_error_says_where_it_was() -> None:
    """The message names the host."""

    def refused() -> AbstractContextManager[None]:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    with pytest.raises(
        LabError, match=r"^router: expected the kernel to tell of its TCP sockets .* not permitted$"
    ):
        SocketTable("router", refused).listens(1)


def test_the_ends_of_a_connection_and_what_is_not_acknowledged(listener: socket.socket) -> None:
    """As both programs see them. On loopback a full buffer alone leaves octets unacknowledged."""
    address = listener.getsockname()[:2]
    with socket.create_connection(address) as client, listener.accept()[0] as accepted:
        mine = [each for each in HERE.connections(listener.family) if address[1] in each.ports]
        assert {each.ends for each in mine} == {ends(client), ends(accepted)}
        assert {each.unsent for each in mine} == {0}
        client.settimeout(0)
        with suppress(BlockingIOError):
            while client.send(bytes(1 << 20)):
                pass
        full = HERE.find(ends(client))
        assert full is not None
        assert full.unsent > 0


def test_an_ipv4_connection_to_a_socket_of_both_families() -> None:
    """Its addresses are spelled as those of IPv4 (mapped addresses)."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("no socket of both families here")
    with (
        socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as both,
        socket.create_connection(("127.0.0.1", both.getsockname()[1])) as client,
        both.accept()[0],
    ):
        theirs = Ends(*reversed(ends(client)))
        assert theirs in {each.ends for each in HERE.connections(socket.AF_INET6)}
