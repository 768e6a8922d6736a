"""Interfaces, addresses, routes and neighbours as messages of rtnetlink(7)."""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from harness.errors import LabError
from harness.lab.netlink import CREATE, EXCLUSIVE, REPLACE, NetlinkSocket
from harness.lab.netlink_messages import ifaddrmsg, ifinfmsg, ndmsg, nlmsg, rtmsg

_NEW_LINK, _GET_LINK = 16, 18
_NEW_ADDRESS, _DELETE_ADDRESS, _GET_ADDRESS = 20, 21, 22
_NEW_ROUTE, _DELETE_ROUTE, _GET_ROUTE = 24, 25, 26
_NEW_NEIGHBOUR, _DELETE_NEIGHBOUR, _GET_NEIGHBOUR = 28, 29, 30
_SIOCGIFINDEX = 0x8933
_NAME_OCTETS = 16
_IFREQ = struct.Struct("@16si20x")
"""struct ifreq (netdevice(7)): name and index."""
_SKIP_STATISTICS = 1 << 3
"""RTEXT_FILTER_SKIP_STATS."""
_CLONED = 0x200
"""rtm_flags of what the kernel remembers of a destination, such as its MTU: no route of its own."""
_IN_ATTRIBUTE = 252
"""RT_TABLE_COMPAT: the table's number does not fit, and is in an attribute."""
UP: Final = 0x1
"""IFF_UP."""
MAIN_TABLE, STATIC, UNICAST, LOCAL = 254, 4, 1, 2
"""A routing table; a protocol, of routes that an administrator sets; types of routes."""


class Link(msgspec.Struct, frozen=True):
    """An interface. `flags`: as in netdevice(7)."""

    index: int
    name: str
    flags: int
    mac: str
    kind: str
    """Such as "veth"; "" of loopback and of hardware."""
    peer: int
    """The index of a veth's other end, in that one's namespace."""
    operates: bool
    """Whether the kernel takes it as working: IF_OPER_UP (RFC 2863)."""


class Address(msgspec.Struct, frozen=True):
    """An address of the interface with the index `index`."""

    index: int
    family: int
    address: str
    prefix: int
    scope: int
    broadcast: str
    """ "" for none."""


class Route(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A route. `dst`: ADDRESS/PREFIX, or "default". `oif`: the index of the interface.

    `mtu`: None where the route has none of its own; not read back.
    """

    family: int
    dst: str = "default"
    gateway: str | None = None
    oif: int | None = None
    priority: int | None = None
    prefsrc: str | None = None
    proto: int = STATIC
    scope: int = 0
    tos: int = 0
    table: int = MAIN_TABLE
    type: int = UNICAST
    mtu: int | None = None


class Neighbour(msgspec.Struct, frozen=True):
    """An entry of the ARP or neighbour table. `state`: NUD_… of linux/neighbour.h, bits."""

    index: int
    family: int
    address: str
    mac: str
    state: int


class RtnetlinkSocket(NetlinkSocket):
    """Each method raises OSError where the kernel refuses."""

    def __init__(self) -> None:
        super().__init__(socket.NETLINK_ROUTE)

    # --- interfaces ------------------------------------------------------------------------------

    def find(self, device: str) -> int | None:
        """The index of an interface by its name; None where there is none."""
        if len(device.encode()) >= _NAME_OCTETS:
            return None
        try:
            asked = fcntl.ioctl(self._socket, _SIOCGIFINDEX, _IFREQ.pack(device.encode(), 0))
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
            return None
        return int(_IFREQ.unpack(asked)[1])

    def index_of(self, device: str) -> int:
        """The same, where there must be one. Raises LabError."""
        index = self.find(device)
        if index is None:
            raise LabError(f"expected an interface {device}, found none of that name")
        return index

    def link(self, index: int) -> Link:
        """An interface by its index."""
        found = self.ask(_GET_LINK, _link(index, IFLA_EXT_MASK=_SKIP_STATISTICS))
        info = found.get_attr("IFLA_LINKINFO")
        return Link(
            index=found["index"],
            name=found.get_attr("IFLA_IFNAME"),
            flags=found["flags"],
            mac=found.get_attr("IFLA_ADDRESS") or "",
            kind="" if info is None else info.get_attr("IFLA_INFO_KIND") or "",
            peer=found.get_attr("IFLA_LINK") or 0,
            operates=found.get_attr("IFLA_OPERSTATE") == "UP",
        )

    def add_veth(
        self, index: int, near: tuple[str, str], far: tuple[str, str], far_fd: int
    ) -> None:
        """Make a pair of interfaces, each given by name and MAC address.

        The near one is here and has the index given; the far one is in the namespace of `far_fd`.
        """
        peer = {**_named(*far), "IFLA_NET_NS_FD": far_fd}
        kind = _kind("veth", {"VETH_INFO_PEER": {"attrs": list(peer.items())}})
        self.change(_NEW_LINK, _link(index, **_named(*near), **kind), CREATE | EXCLUSIVE)

    def add_bridge(self, index: int, name: str) -> None:
        """Make a bridge that forwards at once, and does not look into multicast groups."""
        kind = _kind("bridge", {"IFLA_BR_FORWARD_DELAY": 0, "IFLA_BR_MCAST_SNOOPING": 0})
        self.change(_NEW_LINK, _link(index, **_named(name), **kind), CREATE | EXCLUSIVE)

    def set_link(
        self,
        index: int,
        *,
        up: bool | None = None,
        name: str = "",
        mac: str = "",
        master: int | None = None,
        namespace_fd: int | None = None,
    ) -> None:
        """Change what is given of an interface.

        `up`: whether it is up. `master`: the index of the bridge that it belongs to.
        """
        given = {"IFLA_MASTER": master, "IFLA_NET_NS_FD": namespace_fd}
        message = _link(index, **_named(name, mac), **given)
        message.update(flags=UP if up else 0, change=0 if up is None else UP)
        self.change(_NEW_LINK, message)

    # --- addresses -------------------------------------------------------------------------------

    def addresses(self, index: int | None = None, family: int = 0) -> list[Address]:
        """The addresses of an interface, or of all; of both families, or of one."""
        found = [
            _address(each) for each in self.dump(_GET_ADDRESS, _message(ifaddrmsg, family=family))
        ]
        return [each for each in found if index is None or each.index == index]

    def add_address(self, new: Address, flags: int = 0, *, replace: bool = False) -> None:
        """Give an interface an address; `flags`: IFA_F_… of linux/if_addr.h.

        `replace`: also one that it has.
        """
        message = _addressed(new, IFA_BROADCAST=new.broadcast or None)
        message.update(flags=flags, scope=new.scope)
        self.change(_NEW_ADDRESS, message, CREATE | (REPLACE if replace else EXCLUSIVE))

    def delete_address(self, old: Address) -> None:
        """Take an address away from an interface."""
        self.change(_DELETE_ADDRESS, _addressed(old))

    def flush_addresses(self, index: int) -> None:
        """Take all addresses away from an interface, also those that go with another one."""
        for each in self.addresses(index):
            try:
                self.delete_address(each)
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL:
                    raise

    # --- routes ----------------------------------------------------------------------------------

    def routes(self, family: int) -> list[Route]:
        """The routes of all tables."""
        found = self.dump(_GET_ROUTE, _message(rtmsg, family=family))
        return [_route(each) for each in found if not each["flags"] & _CLONED]

    def route_to(self, family: int, address: str) -> Route:
        """The route that a packet for an address takes."""
        asked = _message(rtmsg, {"RTA_DST": address}, family=family, dst_len=_prefix(family))
        return _route(self.ask(_GET_ROUTE, asked))

    def add_route(self, new: Route, *, replace: bool = False) -> None:
        """Add a route; `replace`: in place of the one to that destination."""
        self.change(_NEW_ROUTE, _packed(new), CREATE | (REPLACE if replace else EXCLUSIVE))

    def delete_route(self, old: Route) -> None:
        """Delete a route, whoever set it."""
        self.change(_DELETE_ROUTE, _packed(msgspec.structs.replace(old, proto=0)))

    # --- neighbours ------------------------------------------------------------------------------

    def neighbours(self, index: int) -> list[Neighbour]:
        """The neighbours that are known at an interface."""
        found: list[Neighbour] = []
        for each in self.dump(_GET_NEIGHBOUR, _message(ndmsg)):
            if each["ifindex"] == index and each["family"] in (socket.AF_INET, socket.AF_INET6):
                address, mac = each.get_attr("NDA_DST"), each.get_attr("NDA_LLADDR") or ""
                found.append(Neighbour(index, each["family"], address, mac, each["state"]))
        return found

    def set_neighbour(self, new: Neighbour) -> None:
        """Enter a neighbour, also in place of one that is known."""
        message = _neighbour(new.family, new.index, new.address, NDA_LLADDR=new.mac)
        message["state"] = new.state
        self.change(_NEW_NEIGHBOUR, message, CREATE | REPLACE)

    def delete_neighbour(self, family: int, index: int, address: str) -> None:
        """Forget a neighbour."""
        self.change(_DELETE_NEIGHBOUR, _neighbour(family, index, address))


def _message(
    kind: type[nlmsg], attrs: Mapping[str, object] = MappingProxyType({}), **fields: int
) -> nlmsg:
    """A message with those of the attributes that are not None."""
    made = kind()
    made.update(fields)
    made["attrs"] = [(name, value) for name, value in attrs.items() if value is not None]
    return made


def _link(index: int, **attributes: object) -> nlmsg:
    return _message(ifinfmsg, attributes, index=index)


def _neighbour(family: int, index: int, address: str, **attributes: object) -> nlmsg:
    return _message(ndmsg, {"NDA_DST": address, **attributes}, family=family, ifindex=index)


def _prefix(family: int) -> int:
    """Of a route to one address alone."""
    return 32 if family == socket.AF_INET else 128


def _named(name: str = "", mac: str = "") -> dict[str, object]:
    return {"IFLA_IFNAME": name or None, "IFLA_ADDRESS": mac or None}


def _kind(kind: str, settings: dict[str, object]) -> dict[str, object]:
    data = {"attrs": list(settings.items())}
    return {"IFLA_LINKINFO": {"attrs": [("IFLA_INFO_KIND", kind), ("IFLA_INFO_DATA", data)]}}


def _addressed(it: Address, **attributes: object) -> nlmsg:
    """IPv4 has an address of its own beside that of a point-to-point link's other end: the same."""
    local = it.address if it.family == socket.AF_INET else None
    given = {"IFA_ADDRESS": it.address, "IFA_LOCAL": local, **attributes}
    return _message(ifaddrmsg, given, family=it.family, prefixlen=it.prefix, index=it.index)


def _address(it: nlmsg) -> Address:
    return Address(
        it["index"],
        it["family"],
        it.get_attr("IFA_ADDRESS"),
        it["prefixlen"],
        it["scope"],
        it.get_attr("IFA_BROADCAST") or "",
    )


def _packed(route: Route) -> nlmsg:
    destination, _, prefix = route.dst.partition("/")
    mtu = None if route.mtu is None else {"attrs": [("RTAX_MTU", route.mtu)]}
    attributes = {
        "RTA_TABLE": route.table,
        "RTA_DST": destination if prefix else None,
        "RTA_GATEWAY": route.gateway,
        "RTA_PREFSRC": route.prefsrc,
        "RTA_OIF": route.oif,
        "RTA_PRIORITY": route.priority,
        "RTA_METRICS": mtu,
    }
    return _message(
        rtmsg,
        attributes,
        family=route.family,
        dst_len=int(prefix or 0),
        tos=route.tos,
        table=route.table if route.table < 256 else _IN_ATTRIBUTE,
        proto=route.proto,
        scope=route.scope,
        type=route.type,
    )


def _route(it: nlmsg) -> Route:
    destination = it.get_attr("RTA_DST")
    return Route(
        family=it["family"],
        dst="default" if destination is None else f"{destination}/{it['dst_len']}",
        gateway=it.get_attr("RTA_GATEWAY"),
        oif=it.get_attr("RTA_OIF"),
        priority=it.get_attr("RTA_PRIORITY"),
        prefsrc=it.get_attr("RTA_PREFSRC"),
        proto=it["proto"],
        scope=it["scope"],
        tos=it["tos"],
        table=it.get_attr("RTA_TABLE") or it["table"],
        type=it["type"],
    )
