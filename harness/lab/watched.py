"""Which packets are of the watched connection, and how they are counted apart from all others.

A fault proves itself by what met it. On a lab's links there is more than the connection that a
verdict is about: name look-ups of a program under test, its other connections, errors by ICMP.
So rules of nftables count by connection: by both addresses and both ports. Which of them is the
watched one is looked up when the counters are read. It need not be known, nor exist, when a fault
is injected.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from harness.lab import tallies
from harness.lab.tallies import Connection, Tally

if TYPE_CHECKING:
    from harness.lab.host_network import HostNetwork
    from harness.lab.nftables import Rules
    from harness.model.topology import Layout

OTHERS = "others"
"""The label of what is not of the watched connection."""
_ICMP_HEADER = 8


class Watched(msgspec.Struct, frozen=True):
    """A TCP connection, by as much of it as is known.

    `known`: it and, where a host translates addresses or a proxy has a connection of its own with
    either end, what else it is on its way. As long as there is none: any connection between two of
    `addresses`, from or to `port` (None: at any port).

    `addresses`: all that stand for an end of the connection on some link, also those of a host that
    translates them and of a proxy.
    """

    addresses: tuple[str, ...]
    port: int | None = None
    known: frozenset[Connection] = frozenset()

    def is_one(self, connection: Connection) -> bool:
        """Whether a connection is the watched one, as far as that is known."""
        if self.known:
            return connection in self.known
        hosts, ports = zip(*connection, strict=True)
        return set(hosts) <= set(self.addresses) and self.is_at(ports)

    def is_at(self, ports: Collection[int]) -> bool:
        """Whether a connection may be the watched one.

        `ports`: both of its own and, where they are translated, others that it has.
        """
        if self.known:
            return any({port for _, port in each} <= set(ports) for each in self.known)
        return self.port is None or self.port in ports


class WatchedLab(Protocol):
    """What is needed here of a lab: its layout, and the connection that its run watches, if any."""

    layout: Layout

    @property
    def watched(self) -> Watched | None:
        """As `harness.lab.host.Lab` has it."""


def between_ends(layout: Layout, port: int | None) -> Watched:
    """The connection from end to end, with all addresses that it has on its way."""
    hosts = [host for host in layout.hosts if host.translates or host.name == layout.proxy]
    hosts += [layout.hosts[0], layout.hosts[-1]]
    found = {
        interface.address
        for host in hosts
        for interface in host.interfaces
        if interface.address is not None
    }
    return Watched(tuple(sorted(found)), port)


def is_watched(lab: WatchedLab, connection: Connection) -> bool:
    """Whether a connection counts: where none is watched, each does."""
    return lab.watched is None or lab.watched.is_one(connection)


def unread(lab: WatchedLab, host: HostNetwork) -> int:
    """Octets that have come to a host for the watched connection and that no program has read.

    Where none is watched: for any. Raises LabError.
    """
    watched = lab.watched
    return host.unread(None if watched is None else watched.is_at)


@contextmanager
def counting(
    lab: WatchedLab, host: HostNetwork, hook: str, rules: Rules
) -> Iterator[Callable[[], dict[str, int]]]:
    """Rules on a host for the length of the block, at a hook as `HostNetwork.ruleset` has it.

    Yields a reader of packets by label: those of the connection that is the watched one when it is
    called, and with the label `OTHERS` what else the rules matched. Where no connection is watched,
    all has the rules' own labels. Raises LabError.
    """
    if lab.watched is None:
        with host.ruleset(hook, rules) as plain:
            yield lambda: {**plain(), OTHERS: 0}
        return
    family = lab.layout.family
    with host.ruleset_by_connection(hook, tallies.by_connection(rules, family), family) as counted:
        yield lambda: _told_apart(lab, counted())


def _told_apart(lab: WatchedLab, counted: Mapping[str, Tally]) -> dict[str, int]:
    found = {
        label: sum(
            packets
            for connection, packets in tally.by_connection.items()
            if is_watched(lab, connection)
        )
        for label, tally in counted.items()
    }
    return found | {OTHERS: sum(tally.packets - found[label] for label, tally in counted.items())}


def of_quoting(lab: WatchedLab, rule: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """A rule for ICMP errors, for those alone that quote a segment of the watched connection as it
    is known now.

    The quoted packet begins behind the eight octets of the error's own header (RFC 792, RFC 4443
    section 2.1).
    """
    if lab.watched is None:
        return [list(rule)]
    protocol, size = (9, 20) if lab.layout.family == "ipv4" else (6, 40)
    tcp = _quotes(protocol, 1, socket.IPPROTO_TCP)
    if lab.watched.known:
        ways = {way for each in lab.watched.known for way in _ways(each)}
        return [
            [tcp, _quotes(size, 2, source), _quotes(size + 2, 2, target), *rule]
            for source, target in sorted(ways)
        ]
    if lab.watched.port is None:
        return [[tcp, *rule]]
    return [[tcp, _quotes(size + at, 2, lab.watched.port), *rule] for at in (0, 2)]


def _ways(connection: Connection) -> list[tuple[int, int]]:
    """The source and the target port of what goes either way."""
    (_, one), (_, two) = connection
    return [(one, two), (two, one)]


def _quotes(at: int, octets: int, value: int) -> dict[str, Any]:
    """The condition that the packet quoted by an ICMP error has a value at a place."""
    field = {"base": "th", "offset": (_ICMP_HEADER + at) * 8, "len": octets * 8}
    return {"match": {"op": "==", "left": {"payload": field}, "right": value}}
