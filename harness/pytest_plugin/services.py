"""Fixtures for tests of services that run elsewhere: containers to attach to, and a
toxiproxy-server.

Each can be overridden in a conftest.py, in the manner of pytest-docker: `compose_project` names the
project whose services `attach` finds, `toxiproxy_address` a server that runs already. Nothing is
imported before it is used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.api.container_session import Attachment
    from harness.model.topology import Family
    from harness.pytest_plugin.fixtures import AttachFixture


@pytest.fixture(scope="session")
def compose_project(pytestconfig: pytest.Config) -> str:
    """The compose project that the tests are about; override it, or set COMPOSE_PROJECT_NAME.

    By default the name of pytest's root folder, as compose makes a project's name of a folder's.
    """
    name = os.environ.get("COMPOSE_PROJECT_NAME") or pytestconfig.rootpath.name
    return re.sub(r"[^-_a-z0-9]", "", name.lower()).lstrip("-_")


@pytest.fixture
def attach(compose_project: str) -> Iterator[AttachFixture]:
    """Attach to a running container, by name or service.

    What was injected is healed at the end of the test.

    `harness.Attachment` says what can be done with one. Needs root.
    """
    from harness.api.container_session import Attachment
    from harness.errors import UsageError
    from harness.lab import docker_client
    from harness.lab.docker_client import NoContainer

    with ExitStack() as stack:

        def to(name: str, *, family: Family = "ipv4", device: str = "") -> Attachment:
            services = docker_client.services(compose_project)
            try:
                return stack.enter_context(
                    Attachment(services.get(name, name), family=family, device=device)
                )
            except NoContainer as error:
                running = (
                    f"{compose_project!r} ({', '.join(services) or 'none runs'}; fixture "
                    "compose_project)"
                )
                found = str(error).removeprefix("expected ")
                raise UsageError(
                    f"expected a service of compose project {running}, or {found}"
                ) from None

        yield to


@pytest.fixture(scope="session")
def toxiproxy_address() -> tuple[str, int] | str | None:
    """Where a toxiproxy-server runs already, as in a compose project: ("localhost", 8474), or
    "localhost:8474".

    Override it. None: start one.
    """
    return None


@pytest.fixture(scope="session")
def toxiproxy_server(toxiproxy_address: tuple[str, int] | str | None) -> Iterator[Any]:
    """toxiproxy-python's Toxiproxy, speaking to that server, or to one of the session's own on this
    machine.
    """
    from harness.api import toxiproxy_session

    with toxiproxy_session.speaking_to(toxiproxy_address) as client:
        yield client


@pytest.fixture
def toxiproxy(toxiproxy_server: Any) -> Iterator[Any]:
    """The same for one test: the proxies that it makes are gone at its end, and with them their
    toxics.

    What else is on the server stays as it is: what a test does to somebody else's proxy is for the
    test to undo.
    """
    from harness.api import toxiproxy_session

    with toxiproxy_session.noting(toxiproxy_server) as client:
        yield client
