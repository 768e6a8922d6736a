"""Interfaces, addresses, routes and neighbours of the namespace that the calling thread is in,
through rtnetlink.
"""

from __future__ import annotations

import errno
import socket
import time
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import Any, Literal

import msgspec

from harness.errors import LabError
from harness.lab.rtnetlink_socket import (
    LOCAL,
    UNICAST,
    UP,
    Address,
    Neighbour,
    Route,
    RtnetlinkSocket,
)
from harness.model.topology import FAMILIES, Family, HostSpec, Interface

_IFF = {"UP": UP, "RUNNING": 0x40, "LOWER_UP": 0x10000}
_PERMANENT = 0x80
_IFA_F_NODAD = 0x02
LOOPBACK_INDEX = 1
_KERNEL_MADE = 2
"""rtm_protocol of routes that come and go with addresses (RTPROT_KERNEL)."""
RouteState = Literal["in order", "lost", "blackhole", "unreachable", "prohibit"]
_REFUSALS: dict[int, RouteState] = {
    errno.EINVAL: "blackhole",
    errno.EHOSTUNREACH: "unreachable",
    errno.EACCES: "prohibit",
    errno.ENETUNREACH: "lost",
}
"""What IPv4 answers to a question for a route (net/ipv4/fib_semantics.c:fib_props) ..."""
_REFUSING_TYPES: dict[int, RouteState] = {6: "blackhole", 7: "unreachable", 8: "prohibit"}
"""... and the types of route (include/uapi/linux/rtnetlink.h) that IPv6 names instead."""
_TYPES: dict[RouteState, int] = {
    **{state: number for number, state in _REFUSING_TYPES.items()},
    "lost": 9,
}
"""RTN_THROW makes the kernel go on as if there were no route."""
BRIDGE = "bridge"
ADDRESS_WAIT_S = 10.0


class SavedInterface(msgspec.Struct, frozen=True):
    """What is lost with an interface that is taken down, or with its addresses, and does not come
    back by itself.
    """

    addresses: tuple[tuple[str, int, int, str], ...]
    """Address, prefix, family and broadcast address, "" for none."""
    routes: tuple[Route, ...]
    neighbours: tuple[tuple[int, str, str], ...]


NEAR_INDEX, BRIDGE_INDEX = 100, 1000
"""Interface indices of the end of a link that is made by name, and of the bridge.

The far end's is the kernel's choice.

They differ within a pair on purpose: link_watch.c:linkwatch_urgent_event takes carrier changes of a
device whose index equals its peer's as not urgent, and delays them by up to a second.
"""


def connect(rtnl: RtnetlinkSocket, near: Interface, far: Interface, far_fd: int) -> None:
    """Make a veth link from the current namespace into the one of `far_fd`."""
    rtnl.add_veth(NEAR_INDEX, (near.name, near.mac), (far.name, far.mac), far_fd)


def configure(
    rtnl: RtnetlinkSocket, host: HostSpec, neighbours: list[tuple[str, str]], family: Family
) -> None:
    """Address the interfaces of the current namespace, bring them up, set the gateway, pin the
    neighbours.

    Loopback is up as on any machine: by it a host's own ICMP errors reach its sockets (failed
    neighbour discovery).
    """
    rtnl.set_link(LOOPBACK_INDEX, up=True)
    if host.bridges:
        rtnl.add_bridge(BRIDGE_INDEX, BRIDGE)
    indices = [_set_up(rtnl, host, interface, family) for interface in host.interfaces]
    if host.bridges:
        rtnl.set_link(BRIDGE_INDEX, up=True)
    if host.gateway is not None:
        rtnl.add_route(Route(family=FAMILIES[family], gateway=host.gateway))
    for interface, index in zip(host.interfaces, indices, strict=True):
        _pin_new(rtnl, interface, index, neighbours, family)


def configure_again(
    rtnl: RtnetlinkSocket,
    host: HostSpec,
    interface: Interface,
    neighbours: list[tuple[str, str]],
    family: Family,
) -> None:
    """The same for one interface that has come new to a host that is there: what went with the old
    one is back.
    """
    index = _set_up(rtnl, host, interface, family)
    if host.gateway is not None and on_subnet(interface, host.gateway):
        rtnl.add_route(Route(family=FAMILIES[family], gateway=host.gateway), replace=True)
    _pin_new(rtnl, interface, index, neighbours, family)


def _set_up(rtnl: RtnetlinkSocket, host: HostSpec, interface: Interface, family: Family) -> int:
    """Address an interface and bring it up; its index."""
    index = rtnl.index_of(interface.name)
    if interface.address is not None:
        number = FAMILIES[family]
        _add_address(rtnl, Address(index, number, interface.address, interface.prefix, 0, ""))
    if host.bridges:
        rtnl.set_link(index, master=BRIDGE_INDEX)
    rtnl.set_link(index, up=True)
    return index


def _pin_new(
    rtnl: RtnetlinkSocket,
    interface: Interface,
    index: int,
    neighbours: list[tuple[str, str]],
    family: Family,
) -> None:
    """Pin those of the neighbours that are on an interface's subnet, also where one has just been
    learnt.
    """
    for address, mac in neighbours:
        if on_subnet(interface, address):
            rtnl.set_neighbour(Neighbour(index, FAMILIES[family], address, mac, _PERMANENT))


def on_subnet(interface: Interface, address: str) -> bool:
    """Whether an address is on an interface's own subnet."""
    if interface.address is None:
        return False
    return ip_address(address) in ip_network(
        f"{interface.address}/{interface.prefix}", strict=False
    )


def _add_address(rtnl: RtnetlinkSocket, new: Address, *, replace: bool = False) -> None:
    """Give an interface an address that can be used at once.

    Detection of duplicates is left out. The route that takes packets in to an IPv6 address is made
    by a work queue all the same (net/ipv6/addrconf.c:addrconf_dad_work), and without it they are
    dropped: it is waited for.
    """
    if new.family != socket.AF_INET6:
        rtnl.add_address(new, replace=replace)
        return
    rtnl.add_address(new, _IFA_F_NODAD, replace=replace)
    deadline = time.monotonic() + ADDRESS_WAIT_S
    while not _takes_in(rtnl, new.address):
        if time.monotonic() > deadline:
            raise LabError(
                f"expected packets to {new.address} to be taken in, found no local route to it"
            )
        time.sleep(0.0005)


def _takes_in(rtnl: RtnetlinkSocket, address: str) -> bool:
    try:
        return rtnl.route_to(socket.AF_INET6, address).type == LOCAL
    except OSError:  # no route at all
        return False


def flags(device: str) -> set[str]:
    """The flags of an interface by name: UP, RUNNING, LOWER_UP."""
    with RtnetlinkSocket() as rtnl:
        bits = rtnl.link(rtnl.index_of(device)).flags
    return {name for name, bit in _IFF.items() if bits & bit}


def in_operation(rtnl: RtnetlinkSocket, index: int) -> bool:
    """Whether an interface sends what it is given.

    The flags do not tell: RUNNING counts an unknown state as up, while an interface that came up
    before its peer drops everything until a work queue has seen to its carrier
    (net/core/link_watch.c:linkwatch_do_dev).
    """
    return rtnl.link(index).operates


def saved(device: str) -> SavedInterface:
    """What taking an interface down would lose."""
    with RtnetlinkSocket() as rtnl:
        return _save(rtnl, rtnl.index_of(device))


def take_down(device: str) -> SavedInterface:
    """Set an interface down; returns what that loses."""
    with RtnetlinkSocket() as rtnl:
        index = rtnl.index_of(device)
        saved = _save(rtnl, index)
        rtnl.set_link(index, up=False)
    return saved


def bring_up(device: str, saved: SavedInterface) -> None:
    """Set an interface up again and give back what it had."""
    with RtnetlinkSocket() as rtnl:
        rtnl.set_link(rtnl.index_of(device), up=True)
    give_back(device, saved)


def remove_addresses(device: str) -> SavedInterface:
    """Delete an interface's addresses, all but link-local ones; returns what that loses."""
    with RtnetlinkSocket() as rtnl:
        index = rtnl.index_of(device)
        saved = _save(rtnl, index)
        for address, prefix, family, _ in saved.addresses:
            rtnl.delete_address(Address(index, family, address, prefix, 0, ""))
    return saved


def give_back(device: str, saved: SavedInterface) -> None:
    """Restore addresses, then what depends on them."""
    with RtnetlinkSocket() as rtnl:
        index = rtnl.index_of(device)
        for address, prefix, family, broadcast in saved.addresses:
            again = Address(index, family, address, prefix, 0, broadcast)
            _add_address(rtnl, again, replace=True)
        for route in sorted(
            saved.routes, key=lambda each: each.gateway is not None
        ):  # gateways are reached by other routes
            rtnl.add_route(route, replace=True)
    pin(device, saved.neighbours)


def addresses(device: str) -> set[str]:
    """The addresses of an interface."""
    with RtnetlinkSocket() as rtnl:
        return {each.address for each in rtnl.addresses(rtnl.index_of(device))}


def _save(rtnl: RtnetlinkSocket, index: int) -> SavedInterface:
    return SavedInterface(
        addresses=tuple(
            (each.address, each.prefix, each.family, each.broadcast)
            for each in rtnl.addresses(index)
            if each.scope == 0
        ),
        routes=tuple(
            route
            for family in FAMILIES.values()
            for route in rtnl.routes(family)
            if route.oif == index and route.proto != _KERNEL_MADE and route.type == UNICAST
        ),
        neighbours=_pinned(rtnl, index),
    )


def _pinned(rtnl: RtnetlinkSocket, index: int) -> tuple[tuple[int, str, str], ...]:
    return tuple(
        (each.family, each.address, each.mac)
        for each in rtnl.neighbours(index)
        if each.state & _PERMANENT
    )


def unpin(device: str) -> tuple[tuple[int, str, str], ...]:
    """Forget the pinned neighbours of an interface; returns them."""
    with RtnetlinkSocket() as rtnl:
        index = rtnl.index_of(device)
        pinned = _pinned(rtnl, index)
        for family, address, _ in pinned:
            rtnl.delete_neighbour(family, index, address)
    return pinned


def pin(device: str, neighbours: tuple[tuple[int, str, str], ...]) -> None:
    """Pin neighbours; packets that wait for one that is being asked for are dropped, not sent
    late.
    """
    with RtnetlinkSocket() as rtnl:
        index = rtnl.index_of(device)
        for family, address, mac in neighbours:
            with suppress(FileNotFoundError):  # nobody asked for it
                rtnl.delete_neighbour(family, index, address)
            rtnl.set_neighbour(Neighbour(index, family, address, mac, _PERMANENT))


def refuse(family: Family, destination: str, becomes: RouteState) -> Route:
    """Add a route to one address alone that refuses what is sent there; returns it."""
    return _added(_host_route(family, destination, type=_TYPES[becomes]))


def narrow(family: Family, destination: str, mtu: int) -> Route:
    """Add a route to one address alone, the same way as now but with an MTU; returns it."""
    with RtnetlinkSocket() as rtnl:
        way = rtnl.route_to(FAMILIES[family], destination)
    return _added(_host_route(family, destination, oif=way.oif, gateway=way.gateway, mtu=mtu))


def _added(route: Route) -> Route:
    with RtnetlinkSocket() as rtnl:
        rtnl.add_route(route)
    return route


def remove(route: Route) -> None:
    """Delete a route."""
    with RtnetlinkSocket() as rtnl:
        rtnl.delete_route(route)


def _host_route(family: Family, destination: str, **what: Any) -> Route:
    """A route to one address alone."""
    length = 32 if family == "ipv4" else 128
    return Route(family=FAMILIES[family], dst=f"{destination}/{length}", **what)


def route_state(family: Family, destination: str) -> RouteState:
    """What the kernel says to a packet for an address."""
    with RtnetlinkSocket() as rtnl:
        try:
            kind = rtnl.route_to(FAMILIES[family], destination).type
        except OSError as error:
            return _REFUSALS.get(error.errno or 0, "lost")
    return _REFUSING_TYPES.get(kind, "in order")
