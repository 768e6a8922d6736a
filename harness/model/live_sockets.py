"""The TCP sockets of live processes with their options: what `harness audit` reads. Frozen data."""

from __future__ import annotations

from typing import Literal

import msgspec


class Options(msgspec.Struct, frozen=True):
    """The options of a socket in effect, as getsockopt(2) returns them; None: not known."""

    keepalive: bool | None = None
    idle_s: int | None = None
    interval_s: int | None = None
    count: int | None = None
    user_timeout_ms: int | None = None

    @property
    def are_known(self) -> bool:
        """Whether all of them are."""
        return None not in msgspec.structs.astuple(self)


class Sysctls(msgspec.Struct, frozen=True):
    """What a network namespace fills in for options that a socket does not set, and more.

    net.ipv4.tcp_keepalive_time, tcp_keepalive_intvl, tcp_keepalive_probes and tcp_retries2.
    """

    idle_s: int
    interval_s: int
    count: int
    retries: int


class Network(msgspec.Struct, frozen=True):
    """A network namespace.

    `inode`: as in /proc/PID/ns/net. `listening`: the TCP ports at which something listens. None:
    not known, as the namespace may not be entered. `ephemeral`: the first and the last port that
    connect(2) chooses (net.ipv4.ip_local_port_range).
    """

    inode: int | None = None
    sysctls: Sysctls | None = None
    listening: frozenset[int] | None = None
    ephemeral: tuple[int, int] = (32768, 60999)


class Process(msgspec.Struct, frozen=True):
    """A process.

    `program`: the name of its command, as `ps -o comm` shows it, at most 15 octets. `user`: the
    name or the number of its effective user.
    """

    pid: int
    program: str
    user: str


class LiveSocket(msgspec.Struct, frozen=True, kw_only=True):
    """A socket that listens or has a peer.

    `far_port` is None for one that listens. `network`: a key of `Survey.networks`. `holders`: the
    processes that have a descriptor of it; none where they could not be told. `user`: who made it,
    where there is no holder.
    """

    network: int
    near_port: int
    far_port: int | None
    options: Options
    holders: tuple[Process, ...] = ()
    user: str = ""


class Unread(msgspec.Struct, frozen=True, kw_only=True):
    """What could not be read: how many processes, sockets or network namespaces; why; the fix."""

    what: Literal["process", "socket", "network namespace"]
    number: int
    why: str
    fix: str


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was read at one time, from a machine with this HZ."""

    hz: int
    sockets: tuple[LiveSocket, ...] = ()
    networks: dict[int, Network] = {}
    unread: tuple[Unread, ...] = ()
