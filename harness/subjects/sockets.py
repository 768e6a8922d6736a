"""The TCP sockets of a host, as the kernel's socket monitoring interface (sock_diag(7)) tells of them.

It finds one connection by its addresses, and listeners by their port, in microseconds. /proc/net/tcp walks through the
hash table of all connections of the machine, in every namespace: 8 ms of one CPU where that has its usual size.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import NamedTuple

from harness.errors import SubjectError
from harness.lab.host import Host

Address = tuple[str, int]
"""An IP address and a port."""

ESTABLISHED, SYN_SENT, SYN_RECV, CLOSE_WAIT, LISTEN = 1, 2, 3, 8, 10
"""States of a connection (include/net/tcp_states.h)."""
STATES = {
    ESTABLISHED: "ESTABLISHED",
    SYN_SENT: "SYN_SENT",
    SYN_RECV: "SYN_RECV",
    4: "FIN_WAIT1",
    5: "FIN_WAIT2",
    6: "TIME_WAIT",
    7: "CLOSE",
    CLOSE_WAIT: "CLOSE_WAIT",
    9: "LAST_ACK",
    LISTEN: "LISTEN",
    11: "CLOSING",
}
_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY = 4, 20
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
"""struct nlmsghdr (linux/netlink.h): length, type, flags, sequence number, port."""
_REQUEST = struct.Struct("=BBBxI")
"""struct inet_diag_req_v2 (linux/inet_diag.h) up to its id: family, protocol, extensions, states."""
_ID = struct.Struct("!HH16s16s")
"""struct inet_diag_sockid, up to its interface: near port, far port, near address, far address."""
_ANY_INTERFACE_AND_COOKIE = struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)
_ANSWER = struct.Struct("=BBxx48x16xI")
"""struct inet_diag_msg: family, state, and the inode behind the id and four more numbers."""
_MOST_OCTETS = 1 << 16


class Flow(NamedTuple):
    """A connection as a host sees it: its own end, and the other one."""

    near: Address
    far: Address


class Socket(NamedTuple):
    """A socket's state, and whether a program holds it: not before accept(2), and not after close(2)."""

    state: int
    held: bool


def listens(host: Host, port: int) -> bool:
    """Whether a program on the host listens at a port."""
    families = (socket.AF_INET, socket.AF_INET6)
    return any(found.held for family in families for found in _ask(host, family, _sockid(port), listening=True))


def find(host: Host, flow: Flow) -> Socket | None:
    """A connection's socket, None where there is none any more, or not yet."""
    (near, near_port), (far, far_port) = flow
    family = socket.AF_INET6 if ":" in near else socket.AF_INET
    addresses = (socket.inet_pton(family, near), socket.inet_pton(family, far))
    answers = _ask(host, family, _sockid(near_port, far_port, *addresses), listening=False)
    # Where there is no such connection the kernel answers with who listens at the port.
    return next((found for found in answers if found.state != LISTEN), None)


def _sockid(near_port: int, far_port: int = 0, near: bytes = b"", far: bytes = b"") -> bytes:
    return _ID.pack(near_port, far_port, near, far) + _ANY_INTERFACE_AND_COOKIE


def _ask(host: Host, family: int, sockid: bytes, *, listening: bool) -> list[Socket]:
    """All listeners with the ports of `sockid`, or the one connection. Raises SubjectError."""
    states = 1 << LISTEN if listening else 0xFFFFFFFF
    body = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, states) + sockid
    flags = _NLM_F_REQUEST | (_NLM_F_DUMP if listening else 0)
    header = _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, flags, 1, 0)
    try:
        with host.entered(), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as monitor:
            monitor.send(header + body)
            sockets, is_over = _sockets_in(monitor.recv(_MOST_OCTETS))
            while listening and not is_over:
                more, is_over = _sockets_in(monitor.recv(_MOST_OCTETS))
                sockets += more
    except OSError as error:
        expected = "the kernel to tell of its TCP sockets (sock_diag, CONFIG_INET_DIAG)"
        raise SubjectError(f"{host.name}: expected {expected}, found {error}") from error
    return sockets


def _sockets_in(answer: bytes) -> tuple[list[Socket], bool]:
    """The sockets in a datagram of netlink, and whether nothing comes after them. Raises OSError."""
    found: list[Socket] = []
    at = 0
    while at < len(answer):
        length, kind, *_ = _HEADER.unpack_from(answer, at)
        if kind == _NLMSG_DONE:
            return found, True
        if kind == _NLMSG_ERROR:
            (number,) = struct.unpack_from("=i", answer, at + _HEADER.size)
            if -number != errno.ENOENT:
                raise OSError(-number, os.strerror(-number))
            return found, True
        _, state, inode = _ANSWER.unpack_from(answer, at + _HEADER.size)
        found.append(Socket(state, held=inode != 0))
        at += (length + 3) & ~3
    return found, False
