"""What a host's connection tracking knows, through ctnetlink, in the namespace that the calling
thread is in.
"""

from __future__ import annotations

import socket
from typing import NamedTuple

from pyroute2.netlink.nfnetlink.nfctsocket import nfct_msg

from harness.errors import LabError
from harness.lab.netlink import NetlinkSocket
from harness.lab.watched import Watched
from harness.model.topology import FAMILIES, Family

_NETLINK_NETFILTER = 12
_GET, _DELETE = 0x101, 0x102
"""IPCTNL_MSG_CT_GET and _DELETE of NFNL_SUBSYS_CTNETLINK (linux/netfilter/nfnetlink.h)."""


class ConntrackEntry(NamedTuple):
    """A tracked TCP connection: the ports of its first packet, and the port its answers go to,
    after translation.
    """

    source_port: int
    port: int
    answered_port: int


def flows(family: Family, watched: Watched | None = None) -> list[ConntrackEntry]:
    """The TCP connections that are known and have not expired. Raises LabError.

    `watched`: those alone that may be the watched one.
    """
    try:
        with NetlinkSocket(_NETLINK_NETFILTER) as tracking:
            found = [
                (each.get_attr("CTA_TUPLE_ORIG"), each.get_attr("CTA_TUPLE_REPLY"))
                for each in tracking.dump(_GET, _message(FAMILIES[family]))
            ]
    except OSError as error:
        raise LabError(f"expected a listing of tracked connections, found {error}") from error
    pairs = [(o.get_attr("CTA_TUPLE_PROTO"), r.get_attr("CTA_TUPLE_PROTO")) for o, r in found]
    known = [
        ConntrackEntry(
            source_port=original.get_attr("CTA_PROTO_SRC_PORT"),
            port=original.get_attr("CTA_PROTO_DST_PORT"),
            answered_port=reply.get_attr("CTA_PROTO_DST_PORT"),
        )
        for original, reply in pairs
        if original.get_attr("CTA_PROTO_NUM") == socket.IPPROTO_TCP
    ]
    return [flow for flow in known if watched is None or watched.is_at(flow)]


def forget() -> None:
    """Drop every entry, of both families, as `conntrack --flush` does. Raises LabError."""
    try:
        with NetlinkSocket(_NETLINK_NETFILTER) as tracking:
            tracking.change(_DELETE, _message(socket.AF_UNSPEC))
    except OSError as error:
        raise LabError(f"expected to flush tracked connections, found {error}") from error


def _message(family: int) -> nfct_msg:
    made = nfct_msg()
    made["nfgen_family"] = family
    return made
