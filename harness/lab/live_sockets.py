"""The TCP sockets of live processes with their options: pidfd_getfd(2) and getsockopt(2).

A descriptor of each socket is duplicated for the few microseconds in which its options are read.
Nothing is set, and no process is stopped or told. Of a socket that may not be duplicated the kernel
tells ports, user and timer (sock_diag(7)), but no option.
"""

from __future__ import annotations

import errno
import functools
import os
import pwd
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

from harness.errors import CapabilityError, UsageError
from harness.lab import missing_rights, socket_options
from harness.lab.live_networks import Networks
from harness.lab.socket_table import (
    CLOSE_WAIT,
    ESTABLISHED,
    KEEPALIVE_TIMER,
    LISTEN,
    NO_TIMER,
    SYN_SENT,
    Socket,
)
from harness.model.live_sockets import LiveSocket, Options, Process, Survey, Unread
from harness.system import kernel_clock, pidfd

_SO_PROTOCOL, _SO_DOMAIN = 38, 39
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_PROTOCOLS = (socket.IPPROTO_TCP, 262)
"""TCP and MPTCP, which Go's listeners have since 1.24."""
_NOT_PERMITTED = (errno.EPERM, errno.EACCES, errno.ENOSYS)


def survey(pids: Iterable[int] | None = None) -> Survey:
    """The sockets of processes, or all sockets that can be found.

    What a process that ends meanwhile held may be missing. Raises UsageError for a process that is
    not there, CapabilityError, LabError.
    """
    reading = _Reading()
    if pids is None:
        before = reading.networks.table()
        for pid in _every_pid():
            reading.process(pid)
        return reading.result(before)
    for pid in pids:
        if not reading.process(pid):
            raise UsageError(f"expected the ID of a running process, found {pid}")
    return reading.result({})


def _every_pid() -> list[int]:
    with os.scandir("/proc") as folders:
        return sorted(int(folder.name) for folder in folders if folder.name.isdigit())


class _Read(NamedTuple):
    network: int
    near_port: int
    far_port: int | None
    options: Options


class _Reading:
    """What was found so far. A socket is known by its inode, whoever holds it."""

    def __init__(self) -> None:
        try:
            self.networks = Networks()
        except OSError as error:
            found = f"the kernel does not tell a socket's network namespace ({error.strerror})"
            raise CapabilityError("harness audit", found, "boot Linux 5.14 or newer") from error
        self._read: dict[int, _Read | None] = {}
        """None: no TCP socket, or one that neither listens nor has a peer."""
        self._refused: set[int] = set()
        self._holders: dict[int, list[Process]] = {}
        self._refused_processes = self._refused_elsewhere = 0

    def process(self, pid: int) -> bool:
        """Read the sockets of a process; returns whether it is there."""
        try:
            pinned = os.pidfd_open(pid)
        except (OSError, OverflowError):
            return False
        try:
            process = _described(pid)
            if process is not None:
                self._descriptors(pinned, process)
        finally:
            os.close(pinned)
        return True

    def _descriptors(self, pinned: int, process: Process) -> None:
        folder = f"/proc/{process.pid}/fd/"
        try:
            names = os.listdir(folder)  # noqa: PTH208 - a hundred thousand of them
        except PermissionError:
            self._refused_processes += 1
            return
        except OSError:  # it has ended
            return
        refused = len(self._refused)
        for name in names:
            with suppress(OSError):  # it has been closed
                target = os.readlink(folder + name)  # noqa: PTH115
                if target.startswith("socket:["):
                    self._socket(pinned, process, int(name), int(target[8:-1]))
        if len(self._refused) > refused and self._is_elsewhere(process.pid):
            self._refused_elsewhere += len(self._refused) - refused

    def _is_elsewhere(self, pid: int) -> bool:
        """Whether a process is in another network, whose sockets the kernel does not tell of."""
        own = self.networks.known[self.networks.own].inode
        try:
            return os.stat(f"/proc/{pid}/ns/net").st_ino != own  # noqa: PTH116
        except OSError:  # it has ended
            return False

    def _socket(self, pinned: int, process: Process, number: int, inode: int) -> None:
        if inode not in self._read:
            try:
                self._read[inode] = self._options(pidfd.duplicate(pinned, number))
                self._refused.discard(inode)
            except OSError as error:
                if error.errno not in _NOT_PERMITTED:
                    raise
                self._refused.add(inode)
        if inode in self._refused or self._read.get(inode) is not None:
            holders = self._holders.setdefault(inode, [])
            if process not in holders:
                holders.append(process)

    def _options(self, descriptor: int) -> _Read | None:
        """Read and close a duplicate."""
        tcp, whole = socket.IPPROTO_TCP, socket.SOL_SOCKET
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, tcp, descriptor) as sock:
            if sock.getsockopt(whole, _SO_DOMAIN) not in _FAMILIES:
                return None
            if sock.getsockopt(whole, _SO_PROTOCOL) not in _PROTOCOLS:
                return None
            far_port = None
            if not sock.getsockopt(whole, socket.SO_ACCEPTCONN):
                try:
                    far_port = sock.getpeername()[1]
                except OSError:
                    return None
            options = socket_options.read(sock)
            return _Read(self.networks.key(sock), sock.getsockname()[1], far_port, options)

    # --- the result -----------------------------------------------------------------------------

    def result(self, before: Mapping[int, Socket]) -> Survey:
        """Everything; `before`: what was in this network when the reading began. Raises LabError.

        A socket that is there before and after, and that no process holds, was not just missed.
        """
        after = self.networks.table() if before or self._refused else {}
        known = self._read.keys() | self._refused
        alone = [inode for inode in before if inode in after and inode not in known]
        sockets = [
            LiveSocket(
                network=read.network,
                near_port=read.near_port,
                far_port=read.far_port,
                options=read.options,
                holders=tuple(self._holders[inode]),
            )
            for inode, read in self._read.items()
            if read is not None
        ]
        refused = [self._told(after[inode]) for inode in sorted(self._refused) if inode in after]
        unheld = [self._told(after[inode]) for inode in alone]
        return Survey(
            hz=kernel_clock.hz()[0],
            sockets=(*sockets, *filter(None, refused), *filter(None, unheld)),
            networks=dict(self.networks.known),
            unread=tuple(self._unread(len(refused), len(unheld))),
        )

    def _told(self, found: Socket) -> LiveSocket | None:
        """A socket that was not read, as the kernel tells of it."""
        if found.state == SYN_SENT:
            return None
        keepalive = None
        if found.state in (ESTABLISHED, CLOSE_WAIT):
            keepalive = {NO_TIMER: False, KEEPALIVE_TIMER: True}.get(found.timer)
        return LiveSocket(
            network=self.networks.own,
            near_port=found.near_port,
            far_port=None if found.state == LISTEN else found.far_port,
            options=Options(keepalive=keepalive),
            holders=tuple(self._holders.get(found.inode, ())),
            user=_user_name(found.user),
        )

    def _unread(self, refused: int, unheld: int) -> list[Unread]:
        found = [
            missing_rights.processes(self._refused_processes),
            missing_rights.sockets(refused + self._refused_elsewhere),
            missing_rights.unheld(unheld, self._refused_processes),
            missing_rights.networks(self.networks.closed),
        ]
        return [each for each in found if each.number]


def _described(pid: int) -> Process | None:
    """A process; None for one that can hold no socket: of the kernel, or ended."""
    try:
        with open(f"/proc/{pid}/status", "rb", buffering=0) as file:
            text = file.read(4096)
    except OSError:
        return None
    if b"\nVmSize:" not in text:  # the kernel's threads have no memory of their own (proc(5))
        return None
    fields = dict(line.split(b":\t", 1) for line in text.splitlines() if b":\t" in line)
    name = fields[b"Name"].decode(errors="replace").replace("\\n", "\n").replace("\\\\", "\\")
    return Process(pid, name, _user_name(int(fields[b"Uid"].split()[1])))


@functools.cache
def _user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
