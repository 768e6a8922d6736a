"""Layouts: what each shape of network consists of."""

from __future__ import annotations

import itertools
from ipaddress import ip_address, ip_interface
from typing import get_args

import pytest

from harness.model.topology import SIDES, Family, Kind, Layout, Topology, layout

KINDS: tuple[Kind, ...] = get_args(Kind)
FAMILIES: tuple[Family, ...] = ("ipv4", "ipv6")
every_topology = pytest.mark.parametrize(
    "topology",
    [Topology(kind=kind, family=family) for kind in KINDS for family in FAMILIES],
    ids=str,
)


BETWEEN: dict[str, tuple[str, ...]] = {
    "direct": (),
    "switched": ("switch",),
    "routed": ("router",),
    "nat": ("router",),
    "firewalls": ("firewall-a", "firewall-b"),
    "proxied": ("proxy",),
}


@every_topology
def test_hosts_stand_in_order_from_client_to_server(topology: Topology) -> None:
    """Client first, server last, and between them what the kind is named after."""
    where = layout(topology)
    assert where.middle == BETWEEN[topology.kind]
    assert where.host_names == ("client", *where.middle, "server")
    assert [where.host(name) for name in where.host_names] == list(where.hosts)


@every_topology
def test_every_link_has_two_ends(topology: Topology) -> None:
    """If a host has an interface toward another, that one has an interface toward it."""
    where = layout(topology)
    for host in where.hosts:
        for interface in host.interfaces:
            assert where.host(interface.toward).interface_toward(host.name) is not None
            assert host.interface_toward(interface.toward) == interface
        assert host.interface_toward("nowhere") is None


@every_topology
def test_interfaces_face_the_ends_of_the_row(topology: Topology) -> None:
    """Following the interfaces that face an endpoint leads there, host by host."""
    where = layout(topology)
    for near, far in itertools.pairwise(where.host_names):
        assert where.host(near).facing("server").toward == far
        assert where.host(far).facing("client").toward == near


@every_topology
def test_addresses_are_those_on_the_way(topology: Topology) -> None:
    """Each host that has an address is known by the one of its interface on the viewer's side of
    it.
    """
    where = layout(topology)
    for place, viewer in enumerate(where.host_names):
        found = where.addresses_from(viewer)
        for number, host in enumerate(where.hosts):
            near = host.interfaces[0] if place <= number else host.interfaces[-1]
            if host.name != "server" or viewer != "client":
                assert found.get(host.name) == near.address
    assert where.addresses_from("client")["server"] == where.entrance
    assert where.addresses_from(where.host_names[-2])["server"] == where.address("server")


@every_topology
def test_mac_addresses_are_unique_unicast_and_locally_administered(topology: Topology) -> None:
    """No two interfaces alike, and none that a vendor could have made."""
    macs = [interface.mac for host in layout(topology).hosts for interface in host.interfaces]
    assert len(set(macs)) == len(macs)
    for mac in macs:
        octets = bytes.fromhex(mac.replace(":", ""))
        assert len(octets) == 6
        assert octets[0] & 0b11 == 0b10


@every_topology
def test_names_of_interfaces_fit_the_kernel(topology: Topology) -> None:
    """IFNAMSIZ leaves 15 characters; within a host each is different."""
    for host in layout(topology).hosts:
        names = [interface.name for interface in host.interfaces]
        assert len(set(names)) == len(names)
        assert all(0 < len(name) <= 15 for name in names)


def _addresses(where: Layout) -> dict[str, list[str]]:
    return {
        host.name: [f"{i.address}/{i.prefix}" for i in host.interfaces if i.address is not None]
        for host in where.hosts
    }


@every_topology
def test_addresses_are_private_unique_and_of_the_family(topology: Topology) -> None:
    """Nothing in a lab could be reached from outside, or be mistaken for something outside."""
    where = layout(topology)
    addresses = [ip_interface(text) for texts in _addresses(where).values() for text in texts]
    assert len({address.ip for address in addresses}) == len(addresses)
    for address in addresses:
        assert address.is_private
        assert not address.is_loopback
        assert not address.is_link_local
        assert f"ipv{address.version}" == where.family == topology.family


@every_topology
def test_endpoints_share_a_subnet_unless_a_router_is_between_them(topology: Topology) -> None:
    """And where they do not, their gateway is the nearest router's address on their own subnet."""
    where = layout(topology)
    client, server = (ip_interface(_addresses(where)[side][0]) for side in SIDES)
    if topology.kind in ("direct", "switched"):
        assert client.network == server.network
    else:
        assert client.network != server.network
    if topology.kind in ("direct", "switched", "proxied"):
        assert [where.host(side).gateway for side in SIDES] == [None, None]
        return
    for side, subnet in zip(SIDES, (client.network, server.network), strict=True):
        end = where.host(side)
        (link,) = end.interfaces
        beyond = where.host(link.toward).interface_toward(side)
        assert beyond is not None
        assert end.gateway == beyond.address
        assert end.gateway is not None
        assert ip_address(end.gateway) in subnet


@every_topology
def test_gateways_lead_from_end_to_end(topology: Topology) -> None:
    """From either endpoint the way to the other's subnet goes on, host by host, and never back."""
    where = layout(topology)
    owners = {i.address: host.name for host in where.hosts for i in host.interfaces if i.address}
    assert where.is_whole == (topology.kind != "proxied")
    for side, far in (SIDES, SIDES[::-1]) if where.is_whole else ():
        goal, passed = ip_address(where.address(far)), [str(side)]
        while not any(goal in ip_interface(text).network for text in _addresses(where)[passed[-1]]):
            gateway = where.host(passed[-1]).gateway
            assert gateway is not None
            passed.append(owners[gateway])
            assert len(passed) < len(where.hosts)
        row = [host.name for host in where.hosts if not host.bridges]
        assert passed == (row if side == "client" else row[::-1])[:-1]


@every_topology
def test_the_middle_forwards_or_bridges_and_endpoints_do_neither(topology: Topology) -> None:
    """A router has an address on each side, a switch has none.

    Tracking and translating is for those of some kinds.
    """
    where = layout(topology)
    for host in where.hosts:
        between = host.name in where.middle
        assert host.bridges == (host.name == "switch")
        assert host.forwards == (between and not host.bridges and where.is_whole)
        assert host.tracks == (between and topology.kind in ("nat", "firewalls"))
        assert host.translates == (between and topology.kind == "nat")
    if topology.kind == "switched":
        assert _addresses(where)["switch"] == []


@every_topology
def test_neighbours_are_mutual_and_name_the_true_mac(topology: Topology) -> None:
    """Each entry is an address of another host on a shared subnet.

    If A has B as neighbour, B has A.
    """
    where = layout(topology)
    owners = {
        i.address: (host.name, i.mac) for host in where.hosts for i in host.interfaces if i.address
    }
    pairs = set()
    for host, address, mac in where.neighbours:
        owner, true_mac = owners[address]
        assert mac == true_mac
        assert host != owner
        subnets = [ip_interface(text).network for text in _addresses(where)[host]]
        assert any(ip_address(address) in subnet for subnet in subnets)
        pairs.add((host, owner))
    assert len(pairs) == len(where.neighbours)
    assert pairs == {(b, a) for a, b in pairs}
    row = [host.name for host in where.hosts if not host.bridges]
    links = set(itertools.pairwise(row))
    assert pairs == links | {(b, a) for a, b in links}


@every_topology
def test_an_endpoints_address_is_that_of_its_only_interface(topology: Topology) -> None:
    """`address` needs no choice."""
    where = layout(topology)
    for side in SIDES:
        (interface,) = where.host(side).interfaces
        assert where.address(side) == interface.address


@every_topology
def test_the_client_connects_to_the_server_or_to_its_proxy(topology: Topology) -> None:
    """Whatever it is that takes the connection, on a subnet of the client's own where it is a
    proxy.
    """
    where = layout(topology)
    if topology.kind != "proxied":
        assert (where.proxy, where.proxied_by, where.entrance) == (
            None,
            None,
            where.address("server"),
        )
        return
    assert (where.proxy, where.proxied_by) == ("proxy", "toxiproxy")
    assert where.entrance == where.host("proxy").facing("client").address != where.address("server")
    assert layout(Topology(kind="proxied", proxy="relay")).proxied_by == "relay"


def test_a_host_that_is_not_there_is_a_key_error() -> None:
    """A topology without a middle has no router."""
    with pytest.raises(KeyError):
        layout(Topology(kind="direct")).host("router")


@every_topology
def test_layouts_are_the_same_every_time(topology: Topology) -> None:
    """A rebooted host comes back with the same identity, and a saved run can be compared with
    another.
    """
    assert layout(topology) == layout(topology)
