"""The built-in endpoint, on this machine's loopback."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.programs import tcp_endpoint
from harness.programs.tcp_endpoint import POLL_MASK, Endpoint

LOOPBACK = "127.0.0.1"


class Log:
    """What endpoints emit."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def emit(self, kind: str, at_ns: int | None = None, **data: Any) -> None:
        """Keep an event."""
        self.events.append((kind, {**data, "at_ns": at_ns}))

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The data of the events of a kind."""
        return [data for name, data in self.events if name == kind]


@pytest.fixture
def log() -> Log:
    """An empty one."""
    return Log()


Pair = Callable[..., tuple[Endpoint, Endpoint]]


@pytest.fixture
def pair(log: Log) -> Iterator[Pair]:
    """Makes a connected client and server."""
    made: list[Endpoint] = []

    def make(*, reads: bool = True, receive_buffer: int = 0) -> tuple[Endpoint, Endpoint]:
        with socket.socket() as listener:
            tcp_endpoint.limit_buffers(listener, receive_buffer, 0)
            port = tcp_endpoint.listen(listener, LOOPBACK)
            sock = socket.socket()
            tcp_endpoint.connect(sock, LOOPBACK, port)
            accepted = tcp_endpoint.accept(listener)
        made.append(Endpoint(sock, log.emit, {}, echoes=False))
        made.append(Endpoint(accepted, log.emit, {}, echoes=True, reads=reads))
        return made[0], made[1]

    yield make
    for end in made:
        end.close_with_reset()


def serve(*ends: Endpoint, until: Callable[[], bool], within_s: float = 5.0) -> bool:
    """Serve as the harness's loop does; whether it came to that."""
    deadline = time.monotonic() + within_s
    while not until():
        poller = select.poll()
        watched = {end.fileno(): end for end in ends if end.watching}
        for descriptor, end in watched.items():
            poller.register(descriptor, end.mask)
        for descriptor, revents in poller.poll(50):
            watched[descriptor].woken(revents, time.monotonic_ns())
        if time.monotonic() > deadline:
            return False
    return True


def test_what_is_written_comes_back(pair: Pair, log: Log) -> None:
    """However much: the server keeps what the client does not take yet, and reads no more
    meanwhile.
    """
    client, server = pair()
    total = client.write(12) + client.write(20_000_000)
    assert 12 < total < 20_000_012  # nothing waits
    for _ in range(1000):
        if server.mask == select.POLLOUT:
            break
        server.woken(select.POLLIN, 0)
        total += client.write(1_000_000, noted=False)
    else:
        pytest.fail("the server never owed an echo")
    assert serve(client, server, until=lambda: client.received == total)
    assert server.mask == POLL_MASK
    first, second = log.of("subject.wrote")
    assert (first["octets"], first["written"]) == (12, True)
    assert 0 < second["octets"] < 20_000_000


def test_who_does_not_read_is_not_woken(pair: Pair, log: Log) -> None:
    """Its window closes; of the connection's end it is told by an error alone."""
    client, server = pair(reads=False, receive_buffer=4096)
    for _ in range(100):
        if not client.write(1_000_000):
            break
    assert [event["written"] for event in log.of("subject.wrote")][-2:] == [True, False]
    assert server.mask == 0
    assert not serve(server, until=lambda: bool(server.received), within_s=0.1)
    client.close_with_reset()
    assert serve(server, until=lambda: not server.watching)
    (seen,) = log.of("subject.detected")
    assert (seen["errno"], seen["syscall"]) == ("ECONNRESET", "getsockopt")


def test_shutting_is_the_end_for_the_peer(pair: Pair, log: Log) -> None:
    """And for what it writes itself, but not for what it reads."""
    client, server = pair()
    client.shut()
    assert [event["done"] for event in log.of("subject.shut")] == [True]
    assert client.write(12) == 0
    assert serve(server, until=lambda: not server.watching)
    assert log.of("subject.eof")
    server.write(12)
    assert serve(client, until=lambda: client.received == 12)


def connecting(log: Log, port: int, **options: int) -> Endpoint:
    """A client that has called connect(2)."""
    client = Endpoint(socket.socket(), log.emit, options, echoes=False)
    client.connect(LOOPBACK, port)
    return client


def test_a_connection_is_made(log: Log) -> None:
    """Armed by connect's call, connected later.

    The listening socket gives way to the connection.
    """
    listener = socket.socket()
    port = tcp_endpoint.listen(listener, LOOPBACK)
    server = Endpoint(listener, log.emit, {}, echoes=True, stage="listening")
    client = connecting(log, port, keepalive=1, user_timeout_ms=6000)
    assert log.events[0][0] == "subject.armed"
    assert client.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert client.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 6000
    assert serve(
        client, server, until=lambda: len(log.of("subject.armed")) == 2 and client.stage == "open"
    )
    (connected,) = log.of("subject.connected")
    assert connected["at_ns"] >= log.events[0][1]["at_ns"]
    client.write(12)
    assert serve(client, server, until=lambda: client.received == 12)
    for end in (client, server):
        end.close_with_reset()


def test_a_connection_is_refused(log: Log) -> None:
    """The error is connect's."""
    with socket.socket() as spare:
        spare.bind((LOOPBACK, 0))
        client = connecting(log, spare.getsockname()[1])
        assert serve(client, until=lambda: not client.watching)
    (seen,) = log.of("subject.detected")
    assert (seen["errno"], seen["syscall"]) == ("ECONNREFUSED", "connect")
    assert not log.of("subject.connected")
    client.close_with_reset()
