"""Layouts: what each shape of network consists of."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface

import pytest

from harness.lab.topology import SIDES, Family, Kind, Layout, Topology, layout

KINDS: tuple[Kind, ...] = ("direct", "switched", "routed")
FAMILIES: tuple[Family, ...] = ("ipv4", "ipv6")
every_topology = pytest.mark.parametrize(
    "topology", [Topology(kind=kind, family=family) for kind in KINDS for family in FAMILIES], ids=str
)


def _middle_of(topology: Topology) -> str | None:
    return {"direct": None, "switched": "switch", "routed": "router"}[topology.kind]


@every_topology
def test_hosts_stand_in_order_from_client_to_server(topology: Topology) -> None:
    """Client first, server last, and between them what the kind is named after."""
    where = layout(topology)
    middle = _middle_of(topology)
    assert where.host_names == (("client", "server") if middle is None else ("client", middle, "server"))
    assert where.middle == middle
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
        host.name: [f"{i.address}/{i.prefix}" for i in host.interfaces if i.address is not None] for host in where.hosts
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
    """And where they do not, their gateway is the router's address on their own subnet."""
    where = layout(topology)
    client, server = (ip_interface(_addresses(where)[side][0]) for side in SIDES)
    if topology.kind == "routed":
        assert client.network != server.network
        for side, subnet in zip(SIDES, (client.network, server.network), strict=True):
            toward_side = where.host("router").interface_toward(side)
            gateway = where.host(side).gateway
            assert toward_side is not None
            assert gateway == toward_side.address
            assert gateway is not None
            assert ip_address(gateway) in subnet
    else:
        assert client.network == server.network
        assert [where.host(side).gateway for side in SIDES] == [None, None]


@every_topology
def test_the_middle_forwards_or_bridges_and_endpoints_do_neither(topology: Topology) -> None:
    """A router has an address on each side, a switch has none."""
    where = layout(topology)
    for host in where.hosts:
        assert host.forwards == (host.name == "router")
        assert host.bridges == (host.name == "switch")
    if topology.kind == "switched":
        assert _addresses(where)["switch"] == []


@every_topology
def test_neighbours_are_mutual_and_name_the_true_mac(topology: Topology) -> None:
    """Each entry is an address of another host on a shared subnet; if A has B as neighbour, B has A."""
    where = layout(topology)
    owners = {i.address: (host.name, i.mac) for host in where.hosts for i in host.interfaces if i.address}
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
    routed = {("client", "router"), ("router", "server"), ("router", "client"), ("server", "router")}
    assert pairs == (routed if topology.kind == "routed" else {("client", "server"), ("server", "client")})


@every_topology
def test_an_endpoints_address_is_that_of_its_only_interface(topology: Topology) -> None:
    """`address` needs no choice."""
    where = layout(topology)
    for side in SIDES:
        (interface,) = where.host(side).interfaces
        assert where.address(side) == interface.address


def test_a_host_that_is_not_there_is_a_key_error() -> None:
    """A topology without a middle has no router."""
    with pytest.raises(KeyError):
        layout(Topology(kind="direct")).host("router")


@every_topology
def test_layouts_are_the_same_every_time(topology: Topology) -> None:
    """A rebooted host comes back with the same identity, and a saved run can be compared with another."""
    assert layout(topology) == layout(topology)
