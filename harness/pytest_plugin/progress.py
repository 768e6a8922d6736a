"""What a session in a guest is doing, written down for the host, which sees nothing else of a
session that is stuck.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from harness.venue import DOING_VARIABLE

_FILE: pytest.StashKey[str] = pytest.StashKey()
"""Where to write it; there is none outside of guests."""
_WORKER_INPUT = "harness_doing"


def pytest_configure(config: pytest.Config) -> None:
    """Find the file. Sessions that a test starts have none, as they are part of that test."""
    from_controller = getattr(config, "workerinput", {})
    config.stash[_FILE] = from_controller.get(_WORKER_INPUT) or os.environ.pop(DOING_VARIABLE, "")


def folder(config: pytest.Config) -> Path | None:
    """The guest's folder on the host; None outside of guests."""
    path = config.stash[_FILE]
    return Path(path).parent if path else None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """A worker of pytest-xdist writes a file of its own."""
    if node.config.stash[_FILE]:
        node.workerinput[_WORKER_INPUT] = f"{node.config.stash[_FILE]}-{node.gateway.id}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    """A module may do anything while it is imported."""
    _write(collector.config, f"the collection of {collector.nodeid or collector.path}")
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Set-up, call and tear-down of one test."""
    _write(item.config, item.nodeid)
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, Any, Any]:
    """Reports, and whatever else plugins do when all tests have ended."""
    _write(session.config, "the end of the session")
    result = yield
    if hasattr(session.config, "workerinput"):
        _write(session.config, "")  # a worker waits from now on for the others
    return result


def _write(config: pytest.Config, text: str) -> None:
    """Let the host have it at once, as a guest that is stuck is killed."""
    path = config.stash[_FILE]
    if not path:
        return
    from harness.venue.guest_io import hand_over

    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, text.encode(errors="replace"))
        hand_over(file)
    finally:
        os.close(file)
