"""The TCP sockets of a network namespace: INET_DIAG over netlink, the kernel's socket monitoring
(sock_diag(7)).

Everything in the harness that asks for sockets asks here. The messages are packed by hand and not
by pyroute2's DiagSocket, for three reasons. Its requests hold ports but no addresses, so that it
cannot ask for one connection: it lists all of them, and the kernel walks through the hash table of
every namespace of the machine for that. It tells of no errors: their type has the number of
AF_INET, by which it chooses what to decode. And a watched command is looked at every 10 or 100 ms,
for hours of virtual time: one look takes 17 us here, and 2 ms with DiagSocket, or 0.8 ms where its
socket stays open (measured on Linux 6.18 with Python 3.11, beside other work).
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from harness.errors import LabError

Address = tuple[str, int]
"""An IP address and a port."""

ESTABLISHED, SYN_SENT, SYN_RECV, TIME_WAIT, CLOSE_WAIT, LISTEN = 1, 2, 3, 6, 8, 10
"""States of a connection (include/net/tcp_states.h)."""
STATES = {
    ESTABLISHED: "ESTABLISHED",
    SYN_SENT: "SYN_SENT",
    SYN_RECV: "SYN_RECV",
    4: "FIN_WAIT1",
    5: "FIN_WAIT2",
    TIME_WAIT: "TIME_WAIT",
    7: "CLOSE",
    CLOSE_WAIT: "CLOSE_WAIT",
    9: "LAST_ACK",
    LISTEN: "LISTEN",
    11: "CLOSING",
}
NO_TIMER, KEEPALIVE_TIMER = 0, 2
"""Which timer of a connection runs (net/ipv4/inet_diag.c:inet_sk_diag_fill). That of keepalive is
told of only where no other one runs.
"""
FAMILIES = (socket.AF_INET, socket.AF_INET6)
_EVERY_STATE = 0xFFFFFFFF
_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY = 4, 20
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
"""struct nlmsghdr (linux/netlink.h): length, type, flags, sequence number, port."""
_REQUEST = struct.Struct("=BBBxI")
"""struct inet_diag_req_v2 (linux/inet_diag.h) up to its id: family, protocol, extensions,
states.
"""
_ID = struct.Struct("!HH16s16s")
"""struct inet_diag_sockid, up to its interface: near port, far port, near address, far address."""
_ANY_INTERFACE_AND_COOKIE = struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)
_STATE_AND_PORTS = struct.Struct("!xBBxHH")
"""struct inet_diag_msg: state, timer, near port, far port. Ports are in network byte order."""
_TIMER_QUEUES_AND_OWNER = struct.Struct("=3xB48xIIIII")
"""struct inet_diag_msg: retries, the timer's expiry in ms, receive queue, send queue, user and
inode, with the id between the first two.
"""
_ADDRESSES = slice(8, 40)
"""struct inet_diag_msg: near address and far address, 16 octets each, of which IPv4 uses four."""
_MAPPED = bytes(10) + b"\xff\xff"
"""Before an IPv4 address of an IPv6 socket (RFC 4291 section 2.5.5.2)."""
_MOST_OCTETS = 1 << 16


class Ends(NamedTuple):
    """Both addresses of a connection as a host sees it: its own one, and that of the other end."""

    near: Address
    far: Address


class Socket(NamedTuple):
    """What the kernel tells of one socket."""

    state: int
    near_port: int
    far_port: int
    queue: int
    """Octets that no program has read; of a listener, connections that no program has accepted."""
    inode: int
    """As in /proc/PID/fd; 0 where no program holds the socket."""
    timer: int = NO_TIMER
    user: int = 0
    """The ID of the user who made it."""
    unsent: int = 0
    """Octets that were written, and that the other end's kernel has not acknowledged."""
    addresses: bytes = bytes(32)
    """Near and far address, as the kernel tells them."""
    family: int = socket.AF_INET
    """AF_INET, or AF_INET6, whose addresses may be mapped ones of IPv4."""
    retries: int = 0
    """How often the kernel has retransmitted or probed since it last had an answer."""
    expires_ms: int = 0
    """When the connection's timer is due, in milliseconds from now; 0 where it is overdue, as the
    timer wheel is late, or where none runs.
    """

    @property
    def is_held(self) -> bool:
        """Whether a program holds it: not before accept(2), and not after close(2)."""
        return self.inode != 0

    @property
    def ports(self) -> tuple[int, int]:
        """Both ports."""
        return self.near_port, self.far_port

    @property
    def ends(self) -> Ends:
        """Both addresses with their ports."""
        near, far = (_spelled(self.family, self.addresses[start : start + 16]) for start in (0, 16))
        return Ends((near, self.near_port), (far, self.far_port))


def _spelled(family: int, address: bytes) -> str:
    """An address in words; a mapped one of IPv4 as that."""
    if family == socket.AF_INET6 and not address.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET6, address)
    octets = address[:4] if family == socket.AF_INET else address[12:]
    return socket.inet_ntop(socket.AF_INET, octets)


class SocketTable:
    """The TCP sockets of one network namespace.

    Nothing is kept: each question is put to the kernel anew.
    """

    def __init__(
        self,
        where: str = "this network",
        entered: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """`entered` puts the calling thread into the namespace.

        `where` is what messages call it.
        """
        self._where, self._entered = where, entered

    def listens(self, port: int) -> bool:
        """Whether a program listens at a port. Raises LabError."""
        return any(found.is_held for family in FAMILIES for found in self.listeners(family, port))

    def listeners(self, family: socket.AddressFamily, port: int = 0) -> list[Socket]:
        """The sockets that listen at a port, or at any. Raises LabError."""
        return self._listed(family, 1 << LISTEN, port)

    def connections(self, family: socket.AddressFamily) -> list[Socket]:
        """All sockets that do not listen, also of connections that are over. Raises LabError."""
        return self._listed(family, _EVERY_STATE & ~(1 << LISTEN))

    def find(self, ends: Ends) -> Socket | None:
        """A connection's socket, None where there is none any more, or not yet. Raises LabError."""
        (near, near_port), (far, far_port) = ends
        family = socket.AF_INET6 if ":" in near else socket.AF_INET
        addresses = (socket.inet_pton(family, near), socket.inet_pton(family, far))
        sockid = _ID.pack(near_port, far_port, *addresses)
        found = self._ask(_request(family, _EVERY_STATE, sockid, flags=0), lists=False)
        # Where there is no such connection the kernel answers with the listener at the port.
        return next((each for each in found if each.state != LISTEN), None)

    def unread(self, counts: Callable[[Collection[int]], bool] | None = None) -> int:
        """Octets that have come for connections and that no program has read. Raises LabError.

        `counts`: whether those of a connection between two ports do.
        """
        found = [each for family in FAMILIES for each in self.connections(family)]
        return sum(each.queue for each in found if counts is None or counts(each.ports))

    def _listed(
        self, family: socket.AddressFamily, states: int, near_port: int = 0
    ) -> list[Socket]:
        sockid = _ID.pack(near_port, 0, b"", b"")
        return self._ask(_request(family, states, sockid, flags=_NLM_F_DUMP), lists=True)

    def _ask(self, request: bytes, *, lists: bool) -> list[Socket]:
        found: list[Socket] = []
        try:
            with (
                self._entered(),
                socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as monitor,
            ):
                monitor.send(request)
                is_over = False
                while not is_over:
                    more, is_over = sockets_in(monitor.recv(_MOST_OCTETS), lists=lists)
                    found += more
        except OSError as error:
            expected = "the kernel to tell of its TCP sockets (sock_diag(7), CONFIG_INET_DIAG)"
            raise LabError(f"{self._where}: expected {expected}, found {error.strerror}") from error
        return found


def _request(family: socket.AddressFamily, states: int, sockid: bytes, *, flags: int) -> bytes:
    body = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, states) + sockid + _ANY_INTERFACE_AND_COOKIE
    return (
        _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST | flags, 1, 0)
        + body
    )


def sockets_in(datagram: bytes, *, lists: bool) -> tuple[list[Socket], bool]:
    """The sockets in a datagram of netlink, and whether it is the last one of an answer.

    Raises OSError.

    `lists`: the answer is a list, which has an end mark. Otherwise it is one socket, or an error
    that there is none.
    """
    found: list[Socket] = []
    at = 0
    while at < len(datagram):
        length, kind, *_ = _HEADER.unpack_from(datagram, at)
        if kind in (_NLMSG_DONE, _NLMSG_ERROR):
            (number,) = struct.unpack_from("=i", datagram, at + _HEADER.size)
            if number and (lists or -number != errno.ENOENT):
                raise OSError(-number, os.strerror(-number))
            return found, True
        state, timer, near_port, far_port = _STATE_AND_PORTS.unpack_from(
            datagram, at + _HEADER.size
        )
        body = datagram[at + _HEADER.size : at + length]
        retries, expires_ms, queue, unsent, user, inode = _TIMER_QUEUES_AND_OWNER.unpack_from(body)
        found.append(
            Socket(
                state,
                near_port,
                far_port,
                queue,
                inode,
                timer,
                user,
                unsent,
                body[_ADDRESSES],
                body[0],
                retries,
                expires_ms,
            )
        )
        at += (length + 3) & ~3
    return found, not lists
