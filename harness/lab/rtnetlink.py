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
from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from harness.errors import LabError
from harness.model.topology import FAMILIES, Family, HostSpec, Interface

_IFF = {"UP": 0x1, "RUNNING": 0x40, "LOWER_UP": 0x10000}
_FAMILY_KEYS = ("dst", "gateway", "priority")
_PERMANENT = 0x80
_IFA_F_NODAD = 0x02
_RTN_UNICAST, _RTN_LOCAL = 1, 2
_LOOPBACK_INDEX = 1
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
BRIDGE = "bridge"
ADDRESS_WAIT_S = 2.0


class SavedInterface(msgspec.Struct, frozen=True):
    """What is lost with an interface that is taken down, or with its addresses, and does not come
    back by itself.
    """

    addresses: tuple[tuple[str, int, int, str], ...]
    """Address, prefix, family and broadcast address, "" for none."""
    routes: tuple[dict[str, Any], ...]
    neighbours: tuple[tuple[int, str, str], ...]


NEAR_INDEX, BRIDGE_INDEX = 100, 1000
"""Interface indices of the end of a link that is made by name, and of the bridge.

The far end's is the kernel's choice.

They differ within a pair on purpose: link_watch.c:linkwatch_urgent_event takes carrier changes of a
device whose index equals its peer's as not urgent, and delays them by up to a second.
"""


def connect(ipr: IPRoute, near: Interface, far: Interface, far_fd: int) -> None:
    """Make a veth link from the current namespace into the one of `far_fd`."""
    ipr.link(
        "add",
        ifname=near.name,
        kind="veth",
        index=NEAR_INDEX,
        address=near.mac,
        peer={"ifname": far.name, "address": far.mac, "net_ns_fd": far_fd},
    )


def index_of(ipr: IPRoute, device: str) -> int:
    """The index of an interface by its name. Raises LabError where there is none."""
    found = ipr.link_lookup(ifname=device)
    if not found:
        raise LabError(f"expected an interface {device}, found none of that name")
    return int(found[0])


def configure(
    ipr: IPRoute, host: HostSpec, neighbours: list[tuple[str, str]], family: Family
) -> None:
    """Address the interfaces of the current namespace, bring them up, set the gateway, pin the
    neighbours.

    Loopback is up as on any machine: by it a host's own ICMP errors reach its sockets (failed
    neighbour discovery).
    """
    ipr.link("set", index=_LOOPBACK_INDEX, state="up")
    if host.bridges:
        ipr.link(
            "add",
            ifname=BRIDGE,
            kind="bridge",
            index=BRIDGE_INDEX,
            br_forward_delay=0,
            br_mcast_snooping=0,
        )
    indices = [_set_up(ipr, host, interface, family) for interface in host.interfaces]
    if host.bridges:
        ipr.link("set", index=BRIDGE_INDEX, state="up")
    if host.gateway is not None:
        ipr.route("add", family=FAMILIES[family], dst="default", gateway=host.gateway)
    for interface, index in zip(host.interfaces, indices, strict=True):
        _pin_new(ipr, interface, index, neighbours, family)


def configure_again(
    ipr: IPRoute,
    host: HostSpec,
    interface: Interface,
    neighbours: list[tuple[str, str]],
    family: Family,
) -> None:
    """The same for one interface that has come new to a host that is there: what went with the old
    one is back.
    """
    index = _set_up(ipr, host, interface, family)
    if host.gateway is not None and on_subnet(interface, host.gateway):
        ipr.route("replace", family=FAMILIES[family], dst="default", gateway=host.gateway)
    _pin_new(ipr, interface, index, neighbours, family)


def _set_up(ipr: IPRoute, host: HostSpec, interface: Interface, family: Family) -> int:
    """Address an interface and bring it up; its index."""
    index = index_of(ipr, interface.name)
    if interface.address is not None:
        _address(ipr, "add", index, FAMILIES[family], interface.address, interface.prefix)
    if host.bridges:
        ipr.link("set", index=index, master=BRIDGE_INDEX)
    ipr.link("set", index=index, state="up")
    return index


def _pin_new(
    ipr: IPRoute,
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
            ipr.neigh(
                "replace",
                family=FAMILIES[family],
                dst=address,
                lladdr=mac,
                ifindex=index,
                state=_PERMANENT,
            )


def on_subnet(interface: Interface, address: str) -> bool:
    """Whether an address is on an interface's own subnet."""
    if interface.address is None:
        return False
    return ip_address(address) in ip_network(
        f"{interface.address}/{interface.prefix}", strict=False
    )


def _address(
    ipr: IPRoute, verb: str, index: int, family: int, address: str, prefix: int, **more: str
) -> None:
    """Give an interface an address that can be used at once.

    Detection of duplicates is left out. The route that takes packets in to an IPv6 address is made
    by a work queue all the same (net/ipv6/addrconf.c:addrconf_dad_work), and without it they are
    dropped: it is waited for.
    """
    if family != socket.AF_INET6:
        ipr.addr(verb, index=index, family=family, address=address, prefixlen=prefix, **more)
        return
    ipr.addr(
        verb, index=index, family=family, address=address, prefixlen=prefix, flags=_IFA_F_NODAD
    )
    deadline = time.monotonic() + ADDRESS_WAIT_S
    while not _takes_in(ipr, address):
        if time.monotonic() > deadline:
            raise LabError(
                f"expected packets to {address} to be taken in, found no local route to it"
            )
        time.sleep(0.0005)


def _takes_in(ipr: IPRoute, address: str) -> bool:
    try:
        return bool(ipr.route("get", family=socket.AF_INET6, dst=address)[0]["type"] == _RTN_LOCAL)
    except NetlinkError:  # no route at all
        return False


def flags(device: str) -> set[str]:
    """The flags of an interface by name: UP, RUNNING, LOWER_UP."""
    with IPRoute() as ipr:
        bits = ipr.link("get", ifname=device)[0]["flags"]
    return {name for name, bit in _IFF.items() if bits & bit}


def in_operation(ipr: IPRoute, index: int) -> bool:
    """Whether an interface sends what it is given.

    The flags do not tell: RUNNING counts an unknown state as up, while an interface that came up
    before its peer drops everything until a work queue has seen to its carrier
    (net/core/link_watch.c:linkwatch_do_dev).
    """
    return bool(ipr.link("get", index=index)[0].get_attr("IFLA_OPERSTATE") == "UP")


def saved(device: str) -> SavedInterface:
    """What taking an interface down would lose."""
    with IPRoute() as ipr:
        return _save(ipr, index_of(ipr, device))


def take_down(device: str) -> SavedInterface:
    """Set an interface down; returns what that loses."""
    with IPRoute() as ipr:
        index = index_of(ipr, device)
        saved = _save(ipr, index)
        ipr.link("set", index=index, state="down")
    return saved


def bring_up(device: str, saved: SavedInterface) -> None:
    """Set an interface up again and give back what it had."""
    with IPRoute() as ipr:
        ipr.link("set", index=index_of(ipr, device), state="up")
    give_back(device, saved)


def remove_addresses(device: str) -> SavedInterface:
    """Delete an interface's addresses, all but link-local ones; returns what that loses."""
    with IPRoute() as ipr:
        index = index_of(ipr, device)
        saved = _save(ipr, index)
        for address, prefix, family, _ in saved.addresses:
            ipr.addr("delete", index=index, family=family, address=address, prefixlen=prefix)
    return saved


def give_back(device: str, saved: SavedInterface) -> None:
    """Restore addresses, then what depends on them."""
    with IPRoute() as ipr:
        index = index_of(ipr, device)
        for address, prefix, family, broadcast in saved.addresses:
            _address(
                ipr,
                "replace",
                index,
                family,
                address,
                prefix,
                **({"broadcast": broadcast} if broadcast else {}),
            )
        for route in sorted(
            saved.routes, key=lambda each: "gateway" in each
        ):  # gateways are reached by other routes
            ipr.route("replace", **route)
    pin(device, saved.neighbours)


def addresses(device: str) -> set[str]:
    """The addresses of an interface."""
    with IPRoute() as ipr:
        return {
            message.get_attr("IFA_ADDRESS") for message in ipr.get_addr(index=index_of(ipr, device))
        }


def _save(ipr: IPRoute, index: int) -> SavedInterface:
    return SavedInterface(
        addresses=tuple(
            (
                message.get_attr("IFA_ADDRESS"),
                message["prefixlen"],
                message["family"],
                message.get_attr("IFA_BROADCAST") or "",
            )
            for message in ipr.get_addr(index=index)
            if message["scope"] == 0
        ),
        routes=tuple(
            _route(message)
            for family in FAMILIES.values()
            for message in ipr.get_routes(family=family, oif=index)
            if message["proto"] != _KERNEL_MADE and message["type"] == _RTN_UNICAST
        ),
        neighbours=_pinned(ipr, index),
    )


_ROUTE = {
    "gateway": "RTA_GATEWAY",
    "oif": "RTA_OIF",
    "priority": "RTA_PRIORITY",
    "prefsrc": "RTA_PREFSRC",
}


def _route(message: Any) -> dict[str, Any]:
    """What it takes to make a route again."""
    found = {key: message.get_attr(name) for key, name in _ROUTE.items()}
    kept = {key: value for key, value in found.items() if value is not None}
    table = message.get_attr("RTA_TABLE") or message["table"]
    fixed = {key: message[key] for key in ("family", "proto", "scope", "tos")}
    return {**fixed, "table": table, "dst": _destination(message), **kept}


def _pinned(ipr: IPRoute, index: int) -> tuple[tuple[int, str, str], ...]:
    return tuple(
        (message["family"], message.get_attr("NDA_DST"), message.get_attr("NDA_LLADDR"))
        for message in ipr.get_neighbours(ifindex=index)
        if message["state"] & _PERMANENT and message["family"] != socket.AF_BRIDGE
    )


def unpin(device: str) -> tuple[tuple[int, str, str], ...]:
    """Forget the pinned neighbours of an interface; returns them."""
    with IPRoute() as ipr:
        index = index_of(ipr, device)
        pinned = _pinned(ipr, index)
        for family, address, _ in pinned:
            ipr.neigh("del", family=family, dst=address, ifindex=index)
    return pinned


def pin(device: str, neighbours: tuple[tuple[int, str, str], ...]) -> None:
    """Pin neighbours; packets that wait for one that is being asked for are dropped, not sent
    late.
    """
    with IPRoute() as ipr:
        index = index_of(ipr, device)
        for family, address, mac in neighbours:
            with suppress(NetlinkError):  # nobody asked for it
                ipr.neigh("del", family=family, dst=address, ifindex=index)
            ipr.neigh(
                "replace", family=family, dst=address, lladdr=mac, ifindex=index, state=_PERMANENT
            )


def host_route(verb: str, family: Family, destination: str, **what: Any) -> None:
    """Add or delete a route to one address alone."""
    length = 32 if family == "ipv4" else 128
    with IPRoute() as ipr:
        ipr.route(verb, family=FAMILIES[family], dst=f"{destination}/{length}", **what)


def way_to(family: Family, destination: str) -> dict[str, Any]:
    """The interface, and the gateway where there is one, by which packets to an address leave."""
    with IPRoute() as ipr:
        found = ipr.route("get", family=FAMILIES[family], dst=destination)[0]
    way = {"oif": found.get_attr("RTA_OIF"), "gateway": found.get_attr("RTA_GATEWAY")}
    return {name: value for name, value in way.items() if value is not None}


def route_state(family: Family, destination: str) -> RouteState:
    """What the kernel says to a packet for an address."""
    with IPRoute() as ipr:
        try:
            kind = ipr.route("get", family=FAMILIES[family], dst=destination)[0]["type"]
        except NetlinkError as error:
            return _REFUSALS.get(error.code, "lost")
    return _REFUSING_TYPES.get(kind, "in order")


def _destination(message: Any) -> str:
    destination = message.get_attr("RTA_DST")
    return f"{destination}/{message['dst_len']}" if destination else "default"
