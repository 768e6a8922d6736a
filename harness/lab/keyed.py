"""A TCP server of this machine that answers this process alone, although every local user can reach
its port.

The server's listening socket gets a random key (RFC 2385, tcp(7)): the kernel drops every segment
of a connection to it that is not signed with the key. The key is set through a descriptor of the
server's socket (pidfd_getfd(2)), so that the server knows nothing of it and needs no option for it.
"""

from __future__ import annotations

import secrets
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from harness.errors import CapabilityError
from harness.lab.socket_table import SocketTable
from harness.system import pidfd

ANSWER_S = 5.0
"""How long a server may take to answer; where the key is another one it never does."""
SocketOption = tuple[int, int, bytes]
_MD5SIG, _MD5SIG_EXT = 14, 32
"""TCP_MD5SIG and TCP_MD5SIG_EXT (include/uapi/linux/tcp.h)."""
_PREFIX = 1
"""TCP_MD5SIG_FLAG_PREFIX: for all addresses that begin as the one given."""
_LONGEST_KEY = 80


class Keyed(NamedTuple):
    """What opens a server with a key: an option for a socket (setsockopt(2)), set before it
    connects.
    """

    option: SocketOption

    def opens(self, host: str, port: int) -> bool:
        """Whether there is an answer at an address."""
        with socket.socket() as client:
            client.settimeout(ANSWER_S)
            client.setsockopt(*self.option)
            return client.connect_ex((host, port)) == 0


def protect(process: int, port: int) -> Keyed:
    """Give a process's listening socket at an IPv4 port a key.

    `process`: a descriptor of it (pidfd_open(2)).

    Raises CapabilityError where this machine cannot do that, LookupError where the process does not
    listen there.
    """
    key = secrets.token_bytes(_LONGEST_KEY)
    with _taken(process, port) as listening:
        address = listening.getsockname()[0]
        try:
            any_address = _signature("0.0.0.0", key, _PREFIX)  # noqa: S104
            listening.setsockopt(socket.IPPROTO_TCP, _MD5SIG_EXT, any_address)
        except OSError as error:
            raise _lacking(
                f"the kernel refuses a key for a TCP socket ({error.strerror})"
            ) from error
    return Keyed((socket.IPPROTO_TCP, _MD5SIG, _signature(address, key)))


def is_used(port: int) -> bool:
    """Whether an IPv4 port of this network has a connection, or had one a moment ago, as either end
    shows it.

    A connection that was reset leaves no trace.
    """
    return any(port in found.ports for found in SocketTable().connections(socket.AF_INET))


def listens(pid: int, port: int) -> bool:
    """Whether a process listens at an IPv4 port of this network."""
    return _number(pid, port) is not None


def _signature(address: str, key: bytes, flags: int = 0) -> bytes:
    """A struct tcp_md5sig (include/uapi/linux/tcp.h).

    A prefix has no bit, so that it is that of every address.
    """
    place = struct.pack("=HH4s", socket.AF_INET, 0, socket.inet_aton(address)).ljust(128, b"\0")
    return place + struct.pack("=BBHi", flags, 0, len(key), 0) + key.ljust(_LONGEST_KEY, b"\0")


@contextmanager
def _taken(process: int, port: int) -> Iterator[socket.socket]:
    """The listening socket of another process. Raises CapabilityError, LookupError."""
    pid = _pid(process)
    number = _number(pid, port)
    if number is None:
        raise LookupError(
            f"expected process {pid} to listen at port {port}, found that it does not"
        )
    try:
        descriptor = pidfd.duplicate(process, number)
    except OSError as error:
        raise _lacking(f"pidfd_getfd(2) is not permitted here ({error.strerror})") from error
    with socket.socket(fileno=descriptor) as taken:
        yield taken


def _pid(process: int) -> int:
    lines = Path(f"/proc/self/fdinfo/{process}").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("Pid:")).split()[1])


def _number(pid: int, port: int) -> int | None:
    """The number of a process's descriptor that listens at a port."""
    inodes = {f"socket:[{found.inode}]" for found in SocketTable().listeners(socket.AF_INET, port)}
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            if str(entry.readlink()) in inodes:
                return int(entry.name)
    except OSError:  # it has ended, or has just closed one
        pass
    return None


def _lacking(found: str) -> CapabilityError:
    fix = (
        "pytest --clock=virtual, or start the server yourself, as in a compose project, and say "
        "where it is"
    )
    return CapabilityError("a server for this process alone", found, fix)
