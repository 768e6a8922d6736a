"""Redis, PostgreSQL and OpenSSH as the examples run them, in virtual time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness import timeline
from harness.venue.kernel import Kernel
from tests.live.command import CHECKOUT, harness
from tests.running import EXHAUSTIVE

FOLDER = CHECKOUT / "ci/examples/servers"
SLOW = pytest.mark.skipif(
    not EXHAUSTIVE, reason="initdb takes 13 s in a guest: in an exhaustive run (EXHAUSTIVE=1)"
)


@pytest.mark.virtual
@pytest.mark.parametrize(
    ("name", "client", "server"),
    [
        pytest.param("redis", "exit", "close", marks=pytest.mark.needs("redis-server")),
        pytest.param("ssh", "exit", "close", marks=pytest.mark.needs("ssh-keygen")),
        pytest.param("psql", "close", "close", marks=[SLOW, pytest.mark.needs("psql")]),
    ],
)
def test_both_ends_are_described(
    name: str, client: str, server: str, kernel: Kernel, tmp_path: Path
) -> None:
    """Each end gives up in its way, and both sockets' settings are known."""
    del kernel
    path, out = FOLDER / f"{name}.scenario.toml", tmp_path / "out"
    ended = harness(
        tmp_path, "run", "--json", "-", "--out", str(out), "--clock", "virtual", str(path)
    )
    (found,) = json.loads(ended.out)["scenarios"]
    assert (ended.status, found["verdict"]) == (0, "pass"), found["reason"]
    events = timeline.load(out / name)
    for side, how in (("client", client), ("server", server)):
        mine: dict[str, list[dict[str, Any]]] = {}
        for event in events:
            if event.source == side:
                mine.setdefault(event.kind, []).append(event.data)
        assert mine["subject.sign"][0]["how"] == how
        assert mine["subject.settings"][0]["keepalive"] is True
        assert len(mine["subject.left"]) == 1
