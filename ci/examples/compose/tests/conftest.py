"""Which project the tests are about, and where its toxiproxy is."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def compose_project() -> str:
    """The project's name, as compose.yaml has it."""
    return os.environ.get("COMPOSE_PROJECT_NAME", "dead-peer")


@pytest.fixture(scope="session")
def toxiproxy_address() -> tuple[str, int]:
    """As compose.yaml publishes it."""
    return ("127.0.0.1", 8474)
