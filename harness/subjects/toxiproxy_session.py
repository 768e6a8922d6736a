"""A toxiproxy-server for a session of tests, on loopback here, spoken to by the tests' own toxiproxy-python."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from harness.errors import CapabilityError, SubjectError
from harness.lab import toxiproxy
from harness.lab.ledger import LEDGER, MARK_VARIABLE

_LOOPBACK = "127.0.0.1"
POLL_S = 0.01


@contextmanager
def speaking_to(address: tuple[str, int] | None) -> Iterator[Any]:
    """toxiproxy-python's Toxiproxy for the server at an address, or for one that is started for the block.

    The library keeps the address in an attribute of a class; it has its own again afterwards. Raises CapabilityError,
    SubjectError.
    """
    toxiproxy.check_library()
    from toxiproxy import Toxiproxy
    from toxiproxy.api import APIConsumer

    before = APIConsumer.host, APIConsumer.port
    with ExitStack() as stack:
        host, port = address or stack.enter_context(_started())
        client = Toxiproxy()
        client.update_api_consumer(host, port)
        stack.callback(client.update_api_consumer, *before)
        if not client.running():
            mend = "start it before the tests, or leave toxiproxy_address as it is"
            raise CapabilityError(toxiproxy.NAME, f"no answer at {host}:{port}", mend)
        yield client


@contextmanager
def noting(client: Any) -> Iterator[Any]:
    """A client of the same server, whose new proxies are gone at the end of the block."""
    made: list[str] = []

    class Noting(type(client)):  # type: ignore[misc]  # toxiproxy-python has no types
        def create(self, upstream: str, name: str, **options: Any) -> Any:
            proxy = super().create(upstream, name, **options)
            made.append(name)
            return proxy

    noted = Noting()
    try:
        yield noted
    finally:
        left = noted.proxies()
        for name in made:
            if name in left:
                left[name].destroy()


@contextmanager
def _started() -> Iterator[tuple[str, int]]:
    """A server at a free port of loopback. Raises CapabilityError, SubjectError."""
    path, port = toxiproxy.server(), _free_port()
    token = LEDGER.announce("program", f"{toxiproxy.NAME} at port {port}")
    environment = {**os.environ, "LOG_LEVEL": "fatal", MARK_VARIABLE: token}
    argv = [path, "-host", _LOOPBACK, "-port", str(port)]
    with ExitStack() as stack:
        stack.callback(LEDGER.settle, token)
        try:
            server = subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        except OSError as error:
            raise SubjectError(f"expected to start {path}, found {error.strerror}") from error
        stack.callback(server.wait)
        stack.callback(server.kill)
        deadline = time.monotonic() + toxiproxy.READY_S
        while not _answers(port):
            if server.poll() is not None or time.monotonic() > deadline:
                found = f"status {server.poll()}" if server.poll() is not None else "none"
                raise SubjectError(f"{toxiproxy.NAME}: expected an answer at {_LOOPBACK}:{port}, found {found}")
            time.sleep(POLL_S)
        yield _LOOPBACK, port


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((_LOOPBACK, port)) == 0
