"""What middleboxes do to each end of a connection, beyond what all faults have in common."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from typing import Literal, get_args

import pytest

from harness.api.lab_session import Link, Workbench
from harness.faults import FirewallFlush, FirewallIdle, NatRebinding
from harness.faults.base import Evidence
from harness.lab import conntrack
from harness.model.topology import Family, Kind, Side
from harness.programs import tcp_endpoint
from tests.conformance.calls import retransmissions
from tests.conformance.traces import nothing_held

pytestmark = pytest.mark.conformance

PLACES: tuple[tuple[Kind, str], ...] = (
    ("routed", "router"),
    ("nat", "router"),
    ("firewalls", "firewall-b"),
)
LOST_S = 0.05
SPARED_S = 0.5
"""So much later than others a connection in use is reset: at the latest then the others must have
been.
"""
EARLY_S = 0.05
"""How much later than its last packet a connection may be armed."""


@pytest.fixture(params=get_args(Family))
def family(request: pytest.FixtureRequest) -> Family:
    """Each address family."""
    found: Family = request.param
    return found


@pytest.fixture(params=PLACES, ids=lambda place: place[0])
def place(request: pytest.FixtureRequest) -> tuple[Kind, str]:
    """Each topology with a host that forwards."""
    found: tuple[Kind, str] = request.param
    return found


@pytest.fixture
def bench(place: tuple[Kind, str], family: Family) -> Iterator[Workbench]:
    """A workbench that leaves nothing behind."""
    with nothing_held(), Workbench(place[0], family) as built:
        yield built


@pytest.fixture
def nat(family: Family) -> Iterator[Workbench]:
    """A workbench whose router translates."""
    with nothing_held(), Workbench("nat", family) as built:
        yield built


def _write(link: Link, side: Side) -> None:
    _socket(link, side).send(b"still there?")


def _socket(link: Link, side: Side) -> socket.socket:
    end = link._connection.ends[side]
    assert isinstance(end, tcp_endpoint.Endpoint)
    return end.sock


def _met(evidence: Callable[[], Evidence], words: str, link: Link, side: Side) -> bool:
    """Whether the one segment that a side has written was met.

    On a busy machine TCP has sent it again meanwhile.
    """
    found = re.search(rf"(\d+) packets? {words}", evidence().found)
    assert found is not None, evidence().found
    return 1 <= int(found[1]) <= 1 + retransmissions(_socket(link, side))


@pytest.mark.timed
def test_both_ends_are_reset_when_the_timeout_is_over(
    bench: Workbench, place: tuple[Kind, str]
) -> None:
    """Neither has to send anything, and a connection in use is spared until it is idle, too."""
    with FirewallIdle(timeout_s=1, then="reset-both", on=place[1]).inject(bench.lab) as evidence:
        at_client, at_server, busy = (
            bench.connect(),
            bench.connect(observe="server"),
            bench.connect(),
        )
        time.sleep(SPARED_S)
        assert busy.echo()
        for link in (at_client, at_server):
            seen = link.wait(within_s=2)
            assert seen.errno == "ECONNRESET"
            assert seen.after_armed_s is not None
            assert 1 - EARLY_S < seen.after_armed_s < 1 + SPARED_S
        assert busy.wait(within_s=0).kind == "quiet"
        late = busy.wait(within_s=1)
        assert late.errno == "ECONNRESET"
        time.sleep(LOST_S)
        assert "3 flows reset at both ends" in evidence().found
        fresh = bench.connect()
    assert fresh.echo()


def test_loose_pickup_makes_a_flow_known_anew(bench: Workbench, place: tuple[Kind, str]) -> None:
    """Nothing is detected, but for what the server sends through a NAT: that ends at the router."""
    with FirewallIdle(timeout_s=1, pickup="loose", on=place[1]).inject(bench.lab) as evidence:
        outbound, inbound = bench.connect(), bench.connect(observe="server")
        time.sleep(1 + LOST_S)
        assert evidence().level == "in-place"
        assert outbound.echo()
        assert _met(evidence, "made a flow known anew", outbound, "client")
        assert evidence().level == "bit"
        _write(inbound, "server")
        if place[0] == "nat":
            assert inbound.wait(within_s=2).errno == "ECONNRESET"
        else:
            assert inbound.wait(within_s=LOST_S).kind == "quiet"


def test_outbound_pickup_keeps_the_server_out(bench: Workbench, place: tuple[Kind, str]) -> None:
    """A late packet of the server is lost, until the client sends one."""
    with FirewallIdle(timeout_s=1, pickup="outbound", on=place[1]).inject(bench.lab) as evidence:
        link = bench.connect(observe="server")
        time.sleep(1 + LOST_S)
        _write(link, "server")
        assert link.wait(within_s=LOST_S).kind == "quiet"
        assert _met(evidence, "met expired state", link, "server")
        assert bench.connect().echo()


def test_a_flush_that_is_picked_up_is_not_noticed(family: Family) -> None:
    """With loose pickup the connection goes on, behind a NAT by the same port."""
    places: tuple[tuple[Kind, str], ...] = (("nat", "router"), ("firewalls", "firewall-a"))
    for kind, host in places:
        with nothing_held(), Workbench(kind, family) as bench:
            link = bench.connect()
            before = _flows(bench, host)
            with FirewallFlush(on=host, pickup="loose").inject(bench.lab) as evidence:
                assert _flows(bench, host) == []
                assert link.echo()
                assert _flows(bench, host) == before
                assert evidence().level == "bit"


def _flows(bench: Workbench, host: str) -> list[conntrack.ConntrackEntry]:
    with bench.host(host).entered():
        return conntrack.flows(bench.topology.family)


def test_the_server_sees_the_routers_address(nat: Workbench) -> None:
    """And answers there; the client sees the server's own."""
    link = nat.connect()
    assert link.echo()
    client, server = (link._connection.ends[side] for side in ("client", "server"))
    assert isinstance(client, tcp_endpoint.Endpoint)
    assert isinstance(server, tcp_endpoint.Endpoint)
    outside = nat.lab.layout.host("router").facing("server").address
    assert server.sock.getpeername()[0] == outside
    assert client.sock.getsockname()[0] == nat.address("client")
    assert client.sock.getpeername()[0] == nat.address("server")


@pytest.mark.parametrize("then", ["drop", "reset"])
def test_rebinding_as_the_server_sees_it(nat: Workbench, then: Literal["drop", "reset"]) -> None:
    """What it sends to the old port is lost, or reset by the router."""
    link = nat.connect(observe="server")
    with NatRebinding(then=then).inject(nat.lab) as evidence:
        _write(link, "server")
        if then == "reset":
            assert link.wait(within_s=2).errno == "ECONNRESET"
        else:
            assert link.wait(within_s=LOST_S).kind == "quiet"
        assert _met(evidence, "to a port that leads nowhere", link, "server")
        other = nat.connect()
        assert other.echo()


def test_a_rebooted_nat_translates_again(nat: Workbench) -> None:
    """Its rules are the lab's, so a router that comes back has them, and knows none of its
    connections.
    """
    link = nat.connect()
    assert link.echo()
    nat.lab.reboot("router")
    assert _flows(nat, "router") == []
    assert link.echo()
    assert nat.connect().echo()
