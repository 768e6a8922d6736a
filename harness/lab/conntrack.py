"""What a host's connection tracking knows, through ctnetlink, in the namespace that the calling
thread is in.
"""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

from harness.errors import LabError
from harness.lab.netlink import NetlinkSocket, attributes
from harness.lab.watched import Watched
from harness.model.topology import FAMILIES, Family

_NETLINK_NETFILTER = 12
_GET, _DELETE = 0x101, 0x102
"""IPCTNL_MSG_CT_GET and _DELETE of NFNL_SUBSYS_CTNETLINK (linux/netfilter/nfnetlink.h)."""
_MESSAGE = struct.Struct("=BxH")
"""struct nfgenmsg: family, version 0 and resource."""
_TUPLE_ORIG, _TUPLE_REPLY, _TUPLE_PROTO = 1, 2, 2
_PROTO_NUM, _PROTO_SRC_PORT, _PROTO_DST_PORT = 1, 2, 3


class Flow(NamedTuple):
    """A tracked TCP connection: the ports of its first packet, and the port its answers go to,
    after translation.
    """

    source_port: int
    port: int
    answered_port: int


def flows(family: Family, watched: Watched | None = None) -> list[Flow]:
    """The TCP connections that are known and have not expired. Raises LabError.

    `watched`: those alone that may be the watched one.
    """
    try:
        with NetlinkSocket(_NETLINK_NETFILTER) as tracking:
            found = [
                attributes(body[_MESSAGE.size :])
                for body in tracking.dump(_GET, _MESSAGE.pack(FAMILIES[family], 0))
            ]
    except OSError as error:
        raise LabError(f"expected a listing of tracked connections, found {error}") from error
    pairs = [(_protocol(each[_TUPLE_ORIG]), _protocol(each[_TUPLE_REPLY])) for each in found]
    known = [
        Flow(
            source_port=_port(original[_PROTO_SRC_PORT]),
            port=_port(original[_PROTO_DST_PORT]),
            answered_port=_port(reply[_PROTO_DST_PORT]),
        )
        for original, reply in pairs
        if original[_PROTO_NUM][0] == socket.IPPROTO_TCP
    ]
    return [flow for flow in known if watched is None or watched.is_at([flow.port])]


def forget() -> None:
    """Drop every entry, of both families, as `conntrack --flush` does. Raises LabError."""
    try:
        with NetlinkSocket(_NETLINK_NETFILTER) as tracking:
            tracking.change(_DELETE, _MESSAGE.pack(socket.AF_UNSPEC, 0))
    except OSError as error:
        raise LabError(f"expected to flush tracked connections, found {error}") from error


def _protocol(addresses_and_ports: bytes) -> dict[int, bytes]:
    return attributes(attributes(addresses_and_ports)[_TUPLE_PROTO])


def _port(value: bytes) -> int:
    return int.from_bytes(value, "big")
