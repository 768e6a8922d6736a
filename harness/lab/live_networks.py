"""The network namespaces of live sockets: sysctls, and ports at which something listens."""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path

from harness.errors import LabError
from harness.lab.namespace import CLONE_NEWNET, call, read_sysctl
from harness.lab.socket_table import FAMILIES, Socket, SocketTable
from harness.model.live_sockets import Network, Sysctls
from harness.system.threads import begin

_SO_NETNS_COOKIE = 71
"""asm-generic/socket.h, since 5.14."""
_SIOCGSKNS = 0x894C
"""linux/sockios.h: a descriptor of a socket's network namespace, with CAP_NET_ADMIN over it."""


class Networks:
    """Namespaces by their cookies (SO_NETNS_COOKIE, socket(7)), each looked at once.

    A socket may be in another namespace than its process.
    """

    def __init__(self) -> None:
        with socket.socket(socket.AF_UNIX) as any_socket:
            self.own = _cookie(any_socket)
        self.known = {self.own: _here(Path("/proc/self/ns/net").stat().st_ino)}
        """Those of all sockets that were asked about, and this process's own."""

    @property
    def closed(self) -> int:
        """How many may not be entered."""
        return sum(each.sysctls is None for each in self.known.values())

    def key(self, sock: socket.socket) -> int:
        """The key in `known` of a socket's namespace. Raises OSError for a kernel before 5.14."""
        cookie = _cookie(sock)
        if cookie not in self.known:
            self.known[cookie] = _entered(sock)
        return cookie

    @staticmethod
    def table() -> dict[int, Socket]:
        """What the kernel tells of the sockets in this process's own network, by inode.

        Without those that no program holds. Raises LabError.
        """
        table = SocketTable()
        found = [
            each
            for family in FAMILIES
            for each in (*table.connections(family), *table.listeners(family))
        ]
        return {each.inode: each for each in found if each.is_held}


def _cookie(sock: socket.socket) -> int:
    return int.from_bytes(sock.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8), sys.byteorder)


def _here(inode: int) -> Network:
    """The namespace that the calling thread is in."""
    table = SocketTable()
    listening = frozenset(each.near_port for family in FAMILIES for each in table.listeners(family))
    return Network(inode, _sysctls(), listening, _ephemeral())


def _sysctls() -> Sysctls | None:
    names = ("tcp_keepalive_time", "tcp_keepalive_intvl", "tcp_keepalive_probes", "tcp_retries2")
    try:
        return Sysctls(*(int(read_sysctl(f"net.ipv4.{name}")) for name in names))
    except LabError:  # no /proc/sys, as in some sandboxes
        return None


def _ephemeral() -> tuple[int, int]:
    with suppress(LabError):
        first, last = map(int, read_sysctl("net.ipv4.ip_local_port_range").split())
        return first, last
    return Network().ephemeral


def _entered(sock: socket.socket) -> Network:
    """A socket's namespace, as a thread of its own sees it; nothing known where it may not enter.

    The thread ends there: some processes may enter a namespace and not come back.
    """
    found = [Network()]
    try:
        door = fcntl.ioctl(sock, _SIOCGSKNS)
    except OSError:
        return found[0]

    def look() -> None:
        with suppress(OSError, LabError):
            call("setns", door, CLONE_NEWNET)
            found.append(_here(os.fstat(door).st_ino))

    try:
        thread = threading.Thread(target=look)
        begin(thread)
        thread.join()
    finally:
        os.close(door)
    return found[-1]
