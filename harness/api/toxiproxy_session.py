"""A toxiproxy-server for a session of tests, on loopback here, spoken to by the tests' own
toxiproxy-python.

Its API is a port of loopback, where every user of this machine could have it forward anything with
this user's rights. So it has a key (see `harness.lab.keyed`), which the library's calls have while
the session lasts. A network that is this process's own needs none.
"""

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
from harness.lab import keyed, namespace, toxiproxy_server
from harness.lab.ledger import LEDGER
from harness.lab.processes import MARK_VARIABLE
from harness.system.kernel_clock import clock

_LOOPBACK = "127.0.0.1"
POLL_S = 0.01
ANSWER_S = 5.0
MOST_TRIES = 3
"""How often a server is started, where somebody else has used it before it had its key."""
_VERSION = re.compile(rb'(\{"version": *")?(git|[0-9]+\.[0-9]+\.[0-9]+[^"]*)("\})?')


@contextmanager
def speaking_to(address: tuple[str, int] | str | None) -> Iterator[Any]:
    """toxiproxy-python's Toxiproxy for the server at an address, or for one that is started for the
    block.

    The library keeps the address in an attribute of a class, and its calls in a name of a module;
    it has its own again afterwards. Raises UsageError, CapabilityError, SubjectError.
    """
    toxiproxy_server.check_library()
    from toxiproxy import Toxiproxy, api

    before = api.APIConsumer.host, api.APIConsumer.port
    client = Toxiproxy()
    with ExitStack() as stack:
        stack.callback(client.update_api_consumer, *before)
        if address is None:
            stack.enter_context(_own_server(client))
        else:
            host, port = _parsed(address)
            client.update_api_consumer(host, port)
            _check_there(host, port)
        yield client


def _check_there(host: str, port: int) -> None:
    """Raise CapabilityError unless a toxiproxy-server answers at an address that the tests name."""
    found = _said(host, port)
    if found:
        fix = "start it before the tests, or leave toxiproxy_address as it is"
        if clock() == "virtual":
            fix = (
                "leave toxiproxy_address as it is with --clock virtual: a guest has a network of "
                "its own"
            )
        raise CapabilityError(toxiproxy_server.NAME, f"{found} at {host}:{port}", fix)


def _parsed(address: tuple[str, int] | str) -> tuple[str, int]:
    """Raises UsageError."""
    try:
        host, port = address.rsplit(":", 1) if isinstance(address, str) else address
        if host and 0 < int(port) < 1 << 16:
            return host, int(port)
    except (TypeError, ValueError):
        pass
    raise UsageError(
        f'toxiproxy_address: expected a host and a port, as ("localhost", 8474), found {address!r}'
    )


def _said(host: str, port: int) -> str:
    """What is there in place of a toxiproxy-server, "" where that is.

    It tells its version as text, or as JSON.
    """
    request = f"http://{host}:{port}/version"
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            request, timeout=ANSWER_S
        ) as answer:
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
def _own_server(client: Any) -> Iterator[None]:
    """A server for the block, and the library's calls to it, which nobody else can make.

    Raises CapabilityError, SubjectError.
    """
    from toxiproxy import api
    from toxiproxy import server as server_module

    for _ in range(MOST_TRIES):
        with ExitStack() as stack:
            server, port = stack.enter_context(_started())
            key = _key(server, port)
            if key is not None and keyed.is_used(port):
                continue  # somebody has used it before it had its key
            stack.callback(setattr, api, "requests", api.requests)
            api.requests = toxiproxy_server.Calls(key)
            if key is not None:
                stack.callback(
                    setattr, server_module, "can_connect_to", server_module.can_connect_to
                )
                server_module.can_connect_to = key.opens
            client.update_api_consumer(_LOOPBACK, port)
            if client.proxies():
                continue
            yield
            return
    raise SubjectError(
        f"{toxiproxy_server.NAME}: expected to be its only user, found another one "
        f"{MOST_TRIES} times"
    )


def _key(server: subprocess.Popen[bytes], port: int) -> keyed.Keyed | None:
    """What opens the server; None where nobody else can reach it.

    Raises CapabilityError, SubjectError.
    """
    if clock() == "virtual" or namespace.has_own_network():
        return None
    process = os.pidfd_open(server.pid)
    try:
        return keyed.protect(process, port)
    except LookupError as error:
        raise SubjectError(f"{toxiproxy_server.NAME}: {error}") from error
    finally:
        os.close(process)


@contextmanager
def _started() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A server at a free port of loopback. Raises CapabilityError, SubjectError."""
    path, port = toxiproxy_server.server(), _free_port()
    token = LEDGER.announce("program", f"{toxiproxy_server.NAME} at port {port}")
    environment = {**os.environ, "LOG_LEVEL": "fatal", MARK_VARIABLE: token}
    argv = [path, "-host", _LOOPBACK, "-port", str(port)]
    with ExitStack() as stack:
        stack.callback(LEDGER.abandon, token)
        try:
            server = subprocess.Popen(
                argv, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            )
        except OSError as error:
            raise SubjectError(f"expected to start {path}, found {error.strerror}") from error
        stack.callback(server.wait)
        stack.callback(server.kill)
        deadline = time.monotonic() + toxiproxy_server.READY_S
        while not keyed.listens(server.pid, port):
            if server.poll() is not None or time.monotonic() > deadline:
                found = f"status {server.poll()}" if server.poll() is not None else "none"
                raise SubjectError(
                    f"{toxiproxy_server.NAME}: expected it to listen at {_LOOPBACK}:{port}, "
                    f"found {found}"
                )
            time.sleep(POLL_S)
        yield server, port


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])
