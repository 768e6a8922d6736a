"""Interfaces, addresses, routes and neighbours as messages of rtnetlink(7).

The structures are those of linux/rtnetlink.h, if_link.h, if_addr.h and neighbour.h.
"""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
from typing import Final

import msgspec

from harness.errors import LabError
from harness.lab.netlink import CREATE, EXCLUSIVE, REPLACE, NetlinkSocket, attribute, attributes

_NEW_LINK, _GET_LINK = 16, 18
_NEW_ADDRESS, _DELETE_ADDRESS, _GET_ADDRESS = 20, 21, 22
_NEW_ROUTE, _DELETE_ROUTE, _GET_ROUTE = 24, 25, 26
_NEW_NEIGHBOUR, _DELETE_NEIGHBOUR, _GET_NEIGHBOUR = 28, 29, 30
_LINK = struct.Struct("=BxHiII")
"""struct ifinfomsg: family, type, index, flags, which of the flags change."""
_ADDRESS = struct.Struct("=BBBBi")
"""struct ifaddrmsg: family, prefix, flags, scope, index."""
_ROUTE = struct.Struct("=BBBBBBBBI")
"""struct rtmsg: family, prefixes of destination and source, tos, table, protocol, scope, type,
flags.
"""
_NEIGHBOUR = struct.Struct("=BxxxiHBB")
"""struct ndmsg: family, index, state, flags, type."""
_U32 = struct.Struct("=I")
_SIOCGIFINDEX = 0x8933
_NAME_OCTETS = 16
_IFREQ = struct.Struct("@16si20x")
"""struct ifreq (netdevice(7)): name and index."""
_IFLA = {"mac": 1, "name": 3, "peer": 5, "master": 10, "operation": 16, "info": 18, "namespace": 28}
_IFLA_EXT_MASK, _SKIP_STATISTICS = 29, 1 << 3
_INFO_KIND, _INFO_DATA = 1, 2
_VETH_PEER, _FORWARD_DELAY, _MULTICAST_SNOOPING = 1, 1, 23
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST = 1, 2, 4
_RTA = {"dst": 1, "oif": 4, "gateway": 5, "priority": 6, "prefsrc": 7, "metrics": 8, "table": 15}
_RTAX_MTU = 2
_CLONED = 0x200
"""rtm_flags of what the kernel remembers of a destination, such as its MTU: no route of its own."""
_IN_ATTRIBUTE = 252
"""RT_TABLE_COMPAT: the table's number does not fit, and is in an attribute."""
_NDA_ADDRESS, _NDA_MAC = 1, 2
_IF_OPER_UP = 6
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
        mask = attribute(_IFLA_EXT_MASK, _U32.pack(_SKIP_STATISTICS))
        body = self.ask(_GET_LINK, _LINK.pack(0, 0, index, 0, 0) + mask)
        _, _, index, flags, _ = _LINK.unpack_from(body)
        found = attributes(body[_LINK.size :])
        info = attributes(found.get(_IFLA["info"], b""))
        return Link(
            index=index,
            name=_text(found[_IFLA["name"]]),
            flags=flags,
            mac=found.get(_IFLA["mac"], b"").hex(":"),
            kind=_text(info.get(_INFO_KIND, b"")),
            peer=_number(found.get(_IFLA["peer"])) or 0,
            operates=found[_IFLA["operation"]][0] == _IF_OPER_UP,
        )

    def add_veth(
        self, index: int, near: tuple[str, str], far: tuple[str, str], far_fd: int
    ) -> None:
        """Make a pair of interfaces, each given by name and MAC address.

        The near one is here and has the index given; the far one is in the namespace of `far_fd`.
        """
        peer = _LINK.pack(0, 0, 0, 0, 0) + _named(*far)
        peer += attribute(_IFLA["namespace"], _U32.pack(far_fd))
        info = _kind("veth", attribute(_VETH_PEER, peer))
        self.change(
            _NEW_LINK, _LINK.pack(0, 0, index, 0, 0) + _named(*near) + info, CREATE | EXCLUSIVE
        )

    def add_bridge(self, index: int, name: str) -> None:
        """Make a bridge that forwards at once, and does not look into multicast groups."""
        settings = attribute(_FORWARD_DELAY, _U32.pack(0)) + attribute(_MULTICAST_SNOOPING, b"\0")
        self.change(
            _NEW_LINK,
            _LINK.pack(0, 0, index, 0, 0) + _named(name) + _kind("bridge", settings),
            CREATE | EXCLUSIVE,
        )

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
        body = _LINK.pack(0, 0, index, UP if up else 0, 0 if up is None else UP)
        body += _named(name, mac)
        if master is not None:
            body += attribute(_IFLA["master"], _U32.pack(master))
        if namespace_fd is not None:
            body += attribute(_IFLA["namespace"], _U32.pack(namespace_fd))
        self.change(_NEW_LINK, body)

    # --- addresses -------------------------------------------------------------------------------

    def addresses(self, index: int | None = None, family: int = 0) -> list[Address]:
        """The addresses of an interface, or of all; of both families, or of one."""
        found = [
            _address(body) for body in self.dump(_GET_ADDRESS, _ADDRESS.pack(family, *[0] * 4))
        ]
        return [each for each in found if index is None or each.index == index]

    def add_address(self, new: Address, flags: int = 0, *, replace: bool = False) -> None:
        """Give an interface an address; `flags`: IFA_F_… of linux/if_addr.h.

        `replace`: also one that it has.
        """
        body = _ADDRESS.pack(new.family, new.prefix, flags, new.scope, new.index)
        body += _addressed(new)
        if new.broadcast:
            body += attribute(_IFA_BROADCAST, socket.inet_pton(new.family, new.broadcast))
        self.change(_NEW_ADDRESS, body, CREATE | (REPLACE if replace else EXCLUSIVE))

    def delete_address(self, old: Address) -> None:
        """Take an address away from an interface."""
        body = _ADDRESS.pack(old.family, old.prefix, 0, 0, old.index)
        self.change(_DELETE_ADDRESS, body + _addressed(old))

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
        found = self.dump(_GET_ROUTE, _ROUTE.pack(family, *[0] * 8))
        return [_route(body) for body in found if not _ROUTE.unpack_from(body)[8] & _CLONED]

    def route_to(self, family: int, address: str) -> Route:
        """The route that a packet for an address takes."""
        packed = attribute(_RTA["dst"], socket.inet_pton(family, address))
        prefix = _prefix(family)
        return _route(self.ask(_GET_ROUTE, _ROUTE.pack(family, prefix, *[0] * 7) + packed))

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
        for body in self.dump(_GET_NEIGHBOUR, _NEIGHBOUR.pack(*[0] * 5)):
            family, at, state, *_ = _NEIGHBOUR.unpack_from(body)
            if at == index and family in (socket.AF_INET, socket.AF_INET6):
                values = attributes(body[_NEIGHBOUR.size :])
                address = socket.inet_ntop(family, values[_NDA_ADDRESS])
                mac = values.get(_NDA_MAC, b"").hex(":")
                found.append(Neighbour(at, family, address, mac, state))
        return found

    def set_neighbour(self, new: Neighbour) -> None:
        """Enter a neighbour, also in place of one that is known."""
        body = _NEIGHBOUR.pack(new.family, new.index, new.state, 0, 0)
        body += attribute(_NDA_ADDRESS, socket.inet_pton(new.family, new.address))
        body += attribute(_NDA_MAC, _mac(new.mac))
        self.change(_NEW_NEIGHBOUR, body, CREATE | REPLACE)

    def delete_neighbour(self, family: int, index: int, address: str) -> None:
        """Forget a neighbour."""
        body = _NEIGHBOUR.pack(family, index, 0, 0, 0)
        body += attribute(_NDA_ADDRESS, socket.inet_pton(family, address))
        self.change(_DELETE_NEIGHBOUR, body)


def _prefix(family: int) -> int:
    """Of a route to one address alone."""
    return 32 if family == socket.AF_INET else 128


def _named(name: str = "", mac: str = "") -> bytes:
    named = attribute(_IFLA["name"], name.encode() + b"\0") if name else b""
    return named + (attribute(_IFLA["mac"], _mac(mac)) if mac else b"")


def _kind(kind: str, settings: bytes) -> bytes:
    info = attribute(_INFO_KIND, kind.encode()) + attribute(_INFO_DATA, settings)
    return attribute(_IFLA["info"], info)


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode()


def _number(value: bytes | None) -> int | None:
    return None if value is None else int(_U32.unpack_from(value)[0])


def _addressed(it: Address) -> bytes:
    """IPv4 has an address of its own beside that of a point-to-point link's other end: the same."""
    packed = socket.inet_pton(it.family, it.address)
    local = attribute(_IFA_LOCAL, packed) if it.family == socket.AF_INET else b""
    return attribute(_IFA_ADDRESS, packed) + local


def _address(body: bytes) -> Address:
    family, prefix, _, scope, index = _ADDRESS.unpack_from(body)
    found = attributes(body[_ADDRESS.size :])
    address = socket.inet_ntop(family, found[_IFA_ADDRESS])
    broadcast = found.get(_IFA_BROADCAST)
    return Address(
        index,
        family,
        address,
        prefix,
        scope,
        "" if broadcast is None else socket.inet_ntop(family, broadcast),
    )


def _packed(route: Route) -> bytes:
    destination, _, prefix = route.dst.partition("/")
    table = route.table if route.table < 256 else _IN_ATTRIBUTE
    fields = (route.tos, table, route.proto, route.scope, route.type)
    body = _ROUTE.pack(route.family, int(prefix or 0), 0, *fields, 0)
    body += attribute(_RTA["table"], _U32.pack(route.table))
    addresses = {"dst": destination if prefix else None, "gateway": route.gateway}
    for name, address in {**addresses, "prefsrc": route.prefsrc}.items():
        if address is not None:
            body += attribute(_RTA[name], socket.inet_pton(route.family, address))
    for name, number in {"oif": route.oif, "priority": route.priority}.items():
        if number is not None:
            body += attribute(_RTA[name], _U32.pack(number))
    if route.mtu is not None:
        body += attribute(_RTA["metrics"], attribute(_RTAX_MTU, _U32.pack(route.mtu)))
    return body


def _route(body: bytes) -> Route:
    family, prefix, _, tos, table, proto, scope, kind, _ = _ROUTE.unpack_from(body)
    found = attributes(body[_ROUTE.size :])

    def address(name: str) -> str | None:
        value = found.get(_RTA[name])
        return None if value is None else socket.inet_ntop(family, value)

    destination = address("dst")
    return Route(
        family=family,
        dst="default" if destination is None else f"{destination}/{prefix}",
        gateway=address("gateway"),
        oif=_number(found.get(_RTA["oif"])),
        priority=_number(found.get(_RTA["priority"])),
        prefsrc=address("prefsrc"),
        proto=proto,
        scope=scope,
        tos=tos,
        table=_number(found.get(_RTA["table"])) or table,
        type=kind,
    )
