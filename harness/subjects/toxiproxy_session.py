"""A toxiproxy-server for a session of tests, on loopback here, spoken to by the tests' own toxiproxy-python."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPException
from typing import Any

from harness.errors import CapabilityError, SubjectError, UsageError
from harness.lab import toxiproxy
from harness.lab.ledger import LEDGER
from harness.lab.processes import MARK_VARIABLE
from harness.system.kernel_clock import clock

_LOOPBACK = "127.0.0.1"
POLL_S = 0.01
ANSWER_S = 5.0
_VERSION = re.compile(rb'(\{"version": *")?(git|[0-9]+\.[0-9]+\.[0-9]+[^"]*)("\})?')


@contextmanager
def speaking_to(address: tuple[str, int] | str | None) -> Iterator[Any]:
    """toxiproxy-python's Toxiproxy for the server at an address, or for one that is started for the block.

    The library keeps the address in an attribute of a class; it has its own again afterwards. Raises UsageError,
    CapabilityError, SubjectError.
    """
    toxiproxy.check_library()
    from toxiproxy import Toxiproxy
    from toxiproxy.api import APIConsumer

    before = APIConsumer.host, APIConsumer.port
    with ExitStack() as stack:
        host, port = _parsed(address) if address is not None else stack.enter_context(_started())
        client = Toxiproxy()
        client.update_api_consumer(host, port)
        stack.callback(client.update_api_consumer, *before)
        found = _said(host, port)
        if found:
            mend = "start it before the tests, or leave toxiproxy_address as it is"
            if clock() == "virtual":
                mend = "leave toxiproxy_address as it is with --clock virtual: a guest has a network of its own"
            raise CapabilityError(toxiproxy.NAME, f"{found} at {host}:{port}", mend)
        yield client


def _parsed(address: tuple[str, int] | str) -> tuple[str, int]:
    """Raises UsageError."""
    try:
        host, port = address.rsplit(":", 1) if isinstance(address, str) else address
        if host and 0 < int(port) < 1 << 16:
            return host, int(port)
    except (TypeError, ValueError):
        pass
    raise UsageError(f'toxiproxy_address: expected a host and a port, as ("localhost", 8474), found {address!r}')


def _said(host: str, port: int) -> str:
    """What is there in place of a toxiproxy-server, "" where that is; it tells its version as text, or as JSON."""
    request = f"http://{host}:{port}/version"
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=ANSWER_S) as answer:
            return "" if _VERSION.fullmatch(answer.read(100).strip()) else "another server"
    except urllib.error.HTTPError as error:
        error.close()
        return "another server"
    except urllib.error.URLError as error:
        return f"no answer ({error.reason})"
    except (OSError, HTTPException) as error:
        return f"no answer of HTTP ({error})"


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
