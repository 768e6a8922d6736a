"""Topologies as plain data: which hosts, interfaces, addresses and routes a scenario's network has.

Six shapes, each with an IPv4 and an IPv6 face; the access link of a host is named after the host:

    direct     client ── server
    switched   client ── switch ── server                      (one subnet, a learning bridge)
    routed     client ── router ── server                      (two subnets, IP forwarding)
    nat        client ── router ── server                      (the server sees the router)
    firewalls  client ── firewall-a ── firewall-b ── server    (three subnets, two that forward)
    proxied    client ── proxy ── server                       (two subnets, a TCP proxy)

The router of `nat` and both firewalls track connections from the start, so they know one that a
fault finds.

Addresses are private (RFC 1918, RFC 4193) and never leave the namespaces. MAC addresses are fixed,
so that neighbour entries can be pinned and a rebooted host comes back with the same identity.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["direct", "switched", "routed", "nat", "firewalls", "proxied"]
Proxy = Literal["toxiproxy", "relay", "command"]
LabKind = Literal["netns", "docker"]
"""How hosts are made: as network namespaces, or as containers of the docker daemon here."""
Family = Literal["ipv4", "ipv6"]
FAMILIES: dict[Family, int] = {"ipv4": 2, "ipv6": 10}
"""Linux's AF_INET and AF_INET6 (include/linux/socket.h), of which the module socket is slow to
import.
"""
Side = Literal["client", "server"]
SIDES: tuple[Side, Side] = ("client", "server")
ProgramHost = Literal["client", "server", "proxy"]
"""The hosts on which a scenario's own programs run; the last one is of `proxied` alone."""

MIDDLE: dict[Kind, tuple[str, ...]] = {
    "direct": (),
    "switched": ("switch",),
    "routed": ("router",),
    "nat": ("router",),
    "firewalls": ("firewall-a", "firewall-b"),
    "proxied": ("proxy",),
}
"""The hosts in the middle of each topology, from client to server, where packets are dropped in
transit.
"""
_SUBNETS: dict[Kind, tuple[int, ...]] = {
    "direct": (1,),
    "switched": (1, 1),
    "routed": (1, 2),
    "nat": (1, 2),
    "firewalls": (1, 3, 2),
    "proxied": (1, 2),
}
"""The subnet of each link, from client to server."""
_MIDDLE_NUMBER = 254
"""The last part of the addresses of the middle's first host; the next one counts down."""


class Topology(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a scenario asks for; `layout` turns it into interfaces and addresses."""

    kind: Kind = "routed"
    """Which hosts there are between client and server."""
    family: Family = "ipv4"
    """The family of the addresses."""
    proxy: Proxy | None = None
    """Of the kind `proxied` alone: the program that takes the client's connections and makes one of
    its own for each. "toxiproxy" is a toxiproxy-server, whose toxics are faults; "relay" is the
    harness's own, needs nothing, and passes on what comes, and no more; "command" is the
    scenario's [proxy.command]. Where it is left out: "command" if there is such a table, else
    "toxiproxy".
    """

    @property
    def proxied_by(self) -> Proxy | None:
        """The proxy's program; None where there is no proxy."""
        return (self.proxy or "toxiproxy") if self.kind == "proxied" else None


class Interface(msgspec.Struct, frozen=True, kw_only=True):
    """One end of a veth link.

    `toward` names the neighbouring host; `address` is None on a bridge port.
    """

    name: str
    toward: str
    mac: str
    address: str | None
    prefix: int


class HostSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A host before it exists: its interfaces in order from client to server, default gateway and
    role.

    `tracks`: it tracks connections (nf_conntrack) from the start; `translates`: it puts its own
    address in place of the client's in what it sends to the server.
    """

    name: str
    interfaces: tuple[Interface, ...]
    gateway: str | None = None
    forwards: bool = False
    bridges: bool = False
    tracks: bool = False
    translates: bool = False

    def interface_toward(self, host: str) -> Interface | None:
        """The interface on the link to neighbour `host`, or None where there is no such link."""
        return next((i for i in self.interfaces if i.toward == host), None)

    def facing(self, side: Side) -> Interface:
        """The interface on the way to an endpoint, of any host but that endpoint."""
        return self.interfaces[0 if side == "client" else -1]


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """A resolved topology: hosts in order from client to server."""

    family: Family
    hosts: tuple[HostSpec, ...]
    neighbours: tuple[tuple[str, str, str], ...]
    """(host, address, MAC) of each neighbour on a shared subnet, to be pinned."""
    proxy: str | None = None
    """The host on which a proxy takes the client's connections, or None."""
    proxied_by: Proxy | None = None
    """What that proxy is, or None."""

    @property
    def host_names(self) -> tuple[str, ...]:
        return tuple(host.name for host in self.hosts)

    @property
    def is_whole(self) -> bool:
        """Whether IP packets pass from end to end.

        A proxy has a connection of its own with either end instead.
        """
        return self.proxy is None

    @property
    def middle(self) -> tuple[str, ...]:
        """The hosts between the endpoints, from client to server.

        None when they are wired directly.
        """
        return self.host_names[1:-1]

    def host(self, name: str) -> HostSpec:
        """The host of that name. Raises KeyError."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise KeyError(name)

    @property
    def entrance(self) -> str:
        """The IP address to which the client connects: the server's own, or its proxy's."""
        if self.proxy is None:
            return self.address("server")
        address = self.host(self.proxy).facing("client").address
        assert address is not None
        return address

    def addresses_from(self, viewer: str) -> dict[str, str]:
        """Each host's address by its name, as `viewer` reaches it.

        For the client, the server's is `entrance`.
        """
        place = self.host_names.index(viewer)
        found = {}
        for number, host in enumerate(self.hosts):
            address = host.interfaces[0 if place <= number else -1].address
            if address is not None:
                found[host.name] = address
        return found if viewer != "client" else found | {"server": self.entrance}

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
    names = ("client", *MIDDLE[topology.kind], "server")
    hosts = tuple(_host(topology, names, position) for position in range(len(names)))
    by = topology.proxied_by
    proxy = MIDDLE["proxied"][0] if by else None
    return Layout(
        family=topology.family,
        hosts=hosts,
        neighbours=_neighbours(hosts),
        proxy=proxy,
        proxied_by=by,
    )


def _host(topology: Topology, names: tuple[str, ...], position: int) -> HostSpec:
    """The host at a position in the row of names."""
    name, subnets = names[position], _SUBNETS[topology.kind]
    is_end = name in SIDES
    bridges = topology.kind == "switched" and not is_end
    interfaces = []
    for port, neighbour in ((1, position - 1), (2, position + 1)):
        if not 0 <= neighbour < len(names):
            continue
        number = _number(names, position)
        address, prefix = _subnet(topology.family, subnets[min(position, neighbour)], number)
        interfaces.append(
            Interface(
                name="eth0" if is_end else f"to-{names[neighbour]}",
                toward=names[neighbour],
                mac=_mac(number, 0 if is_end else port),
                address=None if bridges else address,
                prefix=prefix,
            )
        )
    translates = topology.kind == "nat" and not is_end
    return HostSpec(
        name=name,
        interfaces=tuple(interfaces),
        gateway=_gateway(topology, names, position),
        forwards=not is_end and not bridges and topology.kind != "proxied",
        bridges=bridges,
        tracks=translates or (topology.kind == "firewalls" and not is_end),
        translates=translates,
    )


def _number(names: tuple[str, ...], position: int) -> int:
    """The last part of a host's addresses: 1 and 2 for the endpoints, the last ones for those
    between them.
    """
    if names[position] in SIDES:
        return 1 + SIDES.index(names[position])
    return _MIDDLE_NUMBER + 1 - position


def _gateway(topology: Topology, names: tuple[str, ...], position: int) -> str | None:
    """The next host toward what is not on the host's own subnets, or None where there is nothing
    beyond them.
    """
    subnets = _SUBNETS[topology.kind]
    own = set(subnets[max(position - 1, 0) : position + 1])
    if own == set(subnets) or topology.kind == "proxied":
        return None
    following = position + 1 if position == 0 or (position + 2 < len(names)) else position - 1
    return _subnet(topology.family, subnets[min(position, following)], _number(names, following))[0]


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


def faces(layout: Layout, host: str, neighbour: str) -> Side:
    """The end that lies beyond `neighbour` as seen from `host`."""
    return (
        "server" if layout.host_names.index(neighbour) > layout.host_names.index(host) else "client"
    )


def other(side: ProgramHost) -> Side:
    """The opposite end of the connection; of the proxy's two ends the client."""
    return "server" if side == "client" else "client"
