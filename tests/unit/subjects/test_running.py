"""What stands for what in a command's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.model.programs import Command
from harness.model.topology import Kind, Topology, layout
from harness.subjects.running import places, variables

COMMAND = Command(argv=("anything",), load="trickle")
SCRATCH = Path("/tmp/scratch")  # noqa: S108 - nothing is made there


@pytest.mark.parametrize(
    ("kind", "host", "addresses"),
    [
        ("direct", "client", {"client": "10.77.1.1", "server": "10.77.1.2"}),
        ("switched", "server", {"client": "10.77.1.1", "server": "10.77.1.2"}),
        (
            "routed",
            "client",
            {"client": "10.77.1.1", "router": "10.77.1.254", "server": "10.77.2.2"},
        ),
        (
            "routed",
            "server",
            {"client": "10.77.1.1", "router": "10.77.2.254", "server": "10.77.2.2"},
        ),
        (
            "routed",
            "router",
            {"client": "10.77.1.1", "router": "10.77.1.254", "server": "10.77.2.2"},
        ),
        (
            "proxied",
            "client",
            {"client": "10.77.1.1", "proxy": "10.77.1.254", "server": "10.77.1.254"},
        ),
        (
            "proxied",
            "proxy",
            {"client": "10.77.1.1", "proxy": "10.77.1.254", "server": "10.77.2.2"},
        ),
        (
            "proxied",
            "server",
            {"client": "10.77.1.1", "proxy": "10.77.2.254", "server": "10.77.2.2"},
        ),
    ],
)
def test_the_addresses_of_all_hosts(kind: Kind, host: str, addresses: dict[str, str]) -> None:
    """As the command's host reaches them.

    For a client behind a proxy the server is where the proxy listens.
    """
    known = places(COMMAND, layout(Topology(kind=kind)), host, SCRATCH)
    assert (
        known.items()
        >= {**addresses, "port": "7000", "load": "trickle", "scratch": str(SCRATCH)}.items()
    )
    assert known.keys() == {*addresses, "port", "load", "python", "scratch", "libraries"}


def test_variables_have_names_that_a_shell_takes() -> None:
    """Upper case, and no hyphens."""
    known = places(COMMAND, layout(Topology(kind="firewalls")), "client", SCRATCH)
    assert variables(known)["HARNESS_FIREWALL_B"] == known["firewall-b"] == "10.77.3.253"
