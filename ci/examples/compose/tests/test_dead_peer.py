"""Does a client of redis detect that redis is gone? Run as root, with the project of compose.yaml
up.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from harness import Attachment, Blackhole, ContainerPause

PORT, THROUGH_PROXY = 6379, 26379
Attach = Callable[..., Attachment]


def connected(address: str, port: int) -> socket.socket:
    """A connection with keepalive, 1 s idle and 3 probes 1 s apart, over which redis has
    answered.
    """
    connection = socket.create_connection((address, port), timeout=5)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, 1),
        (socket.TCP_KEEPINTVL, 1),
        (socket.TCP_KEEPCNT, 3),
    ):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
    connection.sendall(b"PING\r\n")
    assert connection.recv(100) == b"+PONG\r\n"
    return connection


def test_keepalive_notices_a_redis_that_is_cut_off(attach: Attach) -> None:
    """The kernel says so, 4 s after the last sign of life."""
    redis = attach("redis")
    with connected(redis.address, PORT) as connection:
        connection.settimeout(10)
        began = time.monotonic()
        with redis.inject(Blackhole()), pytest.raises(TimeoutError) as caught:
            connection.recv(1)
        assert (
            caught.value.errno == errno.ETIMEDOUT
        )  # the kernel's word, not the socket's own timeout
        assert 4.0 <= time.monotonic() - began < 5.0


def test_keepalive_does_not_notice_a_redis_that_hangs(attach: Attach) -> None:
    """Its kernel goes on answering: for that a client needs a timeout of its own."""
    redis = attach("redis")
    with connected(redis.address, PORT) as connection:
        connection.settimeout(6)
        with redis.inject(ContainerPause()), pytest.raises(TimeoutError) as caught:
            connection.recv(1)
        assert caught.value.errno is None  # the socket's own timeout
        connection.sendall(b"PING\r\n")
        assert connection.recv(100) == b"+PONG\r\n"


def test_a_proxy_hides_a_redis_that_is_cut_off(attach: Attach, toxiproxy: Any) -> None:
    """The proxy's kernel answers the probes."""
    redis = attach("redis")
    toxiproxy.create(
        upstream=f"{redis.address}:{PORT}", name="redis", listen=f"0.0.0.0:{THROUGH_PROXY}"
    )
    with connected("127.0.0.1", THROUGH_PROXY) as connection, redis.inject(Blackhole()):
        connection.settimeout(6)
        connection.sendall(b"PING\r\n")
        with pytest.raises(TimeoutError) as caught:
            connection.recv(1)
        assert caught.value.errno is None
