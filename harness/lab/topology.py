"""Topologies as plain data: which hosts, interfaces, addresses and routes a scenario's network has.

Three shapes, each with an IPv4 and an IPv6 face; the access link of a host is named after the host:

    direct     client ── server
    switched   client ── switch ── server          (one subnet, a learning bridge)
    routed     client ── router ── server          (two subnets, forwarding; the place of firewalls)

Addresses are private (RFC 1918, RFC 4193) and never leave the namespaces. MAC addresses are fixed, so that
neighbour entries can be pinned and a rebooted host comes back with the same identity.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["direct", "switched", "routed"]
Family = Literal["ipv4", "ipv6"]
Side = Literal["client", "server"]
SIDES: tuple[Side, Side] = ("client", "server")

MIDDLE: dict[str, str | None] = {"direct": None, "switched": "switch", "routed": "router"}
"""The host in the middle of each topology, where packets are dropped and captured in transit."""


class Topology(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a scenario asks for; `layout` turns it into interfaces and addresses."""

    kind: Kind = "routed"
    family: Family = "ipv4"


class Interface(msgspec.Struct, frozen=True, kw_only=True):
    """One end of a veth link. `toward` names the neighbouring host; `address` is None on a bridge port."""

    name: str
    toward: str
    mac: str
    address: str | None
    prefix: int


class HostSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A host before it exists: its interfaces, default gateway and role."""

    name: str
    interfaces: tuple[Interface, ...]
    gateway: str | None = None
    forwards: bool = False
    bridges: bool = False

    def interface_toward(self, host: str) -> Interface | None:
        """The interface on the link to neighbour `host`, or None where there is no such link."""
        return next((i for i in self.interfaces if i.toward == host), None)


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """A resolved topology: hosts in order from client to server."""

    family: Family
    hosts: tuple[HostSpec, ...]
    neighbours: tuple[tuple[str, str, str], ...]
    """(host, address, MAC) of each neighbour on a shared subnet, to be pinned."""

    @property
    def host_names(self) -> tuple[str, ...]:
        return tuple(host.name for host in self.hosts)

    @property
    def middle(self) -> str | None:
        """The switch or router between the endpoints, or None when they are wired directly."""
        return self.hosts[1].name if len(self.hosts) == 3 else None

    def host(self, name: str) -> HostSpec:
        """The host of that name. Raises KeyError."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise KeyError(name)

    def address(self, side: Side) -> str:
        """The IP address of an endpoint."""
        address = self.host(side).interfaces[0].address
        assert address is not None
        return address


def _subnet(family: Family, number: int, host: int) -> tuple[str, int]:
    if family == "ipv4":
        return f"10.77.{number}.{host}", 24
    return f"fd77:0:0:{number}::{host:x}", 64


def _mac(host: int, port: int) -> str:
    return f"02:77:00:00:{host:02x}:{port:02x}"


def layout(topology: Topology) -> Layout:
    """Resolve a topology into hosts, interfaces, addresses, routes and neighbours."""
    family = topology.family
    middle = MIDDLE[topology.kind]
    two_subnets = topology.kind == "routed"
    subnets = (1, 2 if two_subnets else 1)
    endpoints = []
    for index, side in enumerate(SIDES):
        address, prefix = _subnet(family, subnets[index], index + 1)
        endpoints.append(
            HostSpec(
                name=side,
                interfaces=(
                    Interface(
                        name="eth0",
                        toward=middle or SIDES[1 - index],
                        mac=_mac(index + 1, 0),
                        address=address,
                        prefix=prefix,
                    ),
                ),
                gateway=_subnet(family, subnets[index], 254)[0] if two_subnets else None,
            )
        )
    hosts = tuple(endpoints)
    if middle is not None:
        hosts = (endpoints[0], _middle_host(middle, family, subnets, routed=two_subnets), endpoints[1])
    return Layout(family=family, hosts=hosts, neighbours=_neighbours(hosts))


def _middle_host(name: str, family: Family, subnets: tuple[int, int], *, routed: bool) -> HostSpec:
    interfaces = []
    for index, side in enumerate(SIDES):
        address, prefix = _subnet(family, subnets[index], 254)
        interfaces.append(
            Interface(
                name=f"to-{side}",
                toward=side,
                mac=_mac(254, index + 1),
                address=address if routed else None,
                prefix=prefix,
            )
        )
    return HostSpec(name=name, interfaces=tuple(interfaces), forwards=routed, bridges=not routed)


def _neighbours(hosts: tuple[HostSpec, ...]) -> tuple[tuple[str, str, str], ...]:
    """Each address with its MAC, for every other host that has an interface in the same subnet."""
    pinned = []
    for host in hosts:
        own = {_network(i) for i in host.interfaces if i.address}
        for other in hosts:
            if other.name == host.name:
                continue
            pinned += [
                (host.name, interface.address, interface.mac)
                for interface in other.interfaces
                if interface.address and _network(interface) in own
            ]
    return tuple(pinned)


def _network(interface: Interface) -> str:
    assert interface.address is not None
    separator = "." if "." in interface.address else "::"
    return interface.address.rsplit(separator, 1)[0]
