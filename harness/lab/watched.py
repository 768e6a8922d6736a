"""Which packets are of the watched connection, as rules of nftables tell them from all others.

A fault proves itself by what met it. On a lab's links there is more than the connection that a
verdict is about: name look-ups of a program under test, connections of its other parts, errors by
ICMP. These are counted apart.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from harness.lab.nftables import Rules
    from harness.model.topology import Layout

OTHERS = "others"
"""The label of rules for what is not of the watched connection."""
_ICMP_HEADER = 8
_COUNTER: Mapping[str, Any] = {"counter": None}


class Watched(msgspec.Struct, frozen=True):
    """TCP between two of these addresses, from or to this port; None: at any port.

    `addresses`: all that stand for an end of the connection on some link, also those of a host that
    translates them and of a proxy.
    """

    addresses: tuple[str, ...]
    port: int | None = None

    def is_at(self, ports: Collection[int]) -> bool:
        """Whether a connection between ports may be the watched one."""
        return self.port is None or self.port in ports


class WatchedLab(Protocol):
    """What is needed here of a lab: its layout, and the connection that its run watches, if any."""

    layout: Layout
    watched: Watched | None


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


def watched_port(lab: WatchedLab) -> int | None:
    """The port that the watched connection has at one end; None: any, or none is watched."""
    return None if lab.watched is None else lab.watched.port


def apart(lab: WatchedLab, rules: Rules) -> Rules:
    """The same rules for the watched connection, and after them, with the label `OTHERS`, for what
    else they match.

    Each rule that counts must end what it matches, by a verdict. Where no connection is watched,
    all that is counted has the rules' own labels.
    """
    if lab.watched is None:
        return {**rules, OTHERS: []}
    found: dict[str, list[list[Mapping[str, Any]]]] = {
        label: [
            each
            for rule in group
            for each in (of_watched(lab, rule) if _counts(rule) else [list(rule)])
        ]
        for label, group in rules.items()
    }
    return {
        **found,
        OTHERS: [list(rule) for group in rules.values() for rule in group if _counts(rule)],
    }


def of_watched(lab: WatchedLab, rule: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """A rule for the watched connection alone: one for each way.

    The rule itself where none is watched.
    """
    if lab.watched is None:
        return [list(rule)]
    protocol = "ip" if lab.layout.family == "ipv4" else "ip6"
    ends = {"set": list(lab.watched.addresses)}
    between = [_matches(protocol, field, ends) for field in ("saddr", "daddr")]
    if lab.watched.port is None:
        tcp = {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}}
        return [[*between, tcp, *rule]]
    return [
        [*between, _matches("tcp", field, lab.watched.port), *rule] for field in ("sport", "dport")
    ]


def of_quoting(lab: WatchedLab, rule: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """A rule for ICMP errors, for those alone that quote a segment of the watched connection.

    The quoted packet begins behind the eight octets of the error's own header (RFC 792, RFC 4443
    section 2.1).
    """
    if lab.watched is None:
        return [list(rule)]
    protocol, size = (9, 20) if lab.layout.family == "ipv4" else (6, 40)
    tcp = _quotes(protocol, 1, socket.IPPROTO_TCP)
    if lab.watched.port is None:
        return [[tcp, *rule]]
    return [[tcp, _quotes(size + at, 2, lab.watched.port), *rule] for at in (0, 2)]


def _quotes(at: int, octets: int, value: int) -> dict[str, Any]:
    """The condition that the packet quoted by an ICMP error has a value at a place."""
    field = {"base": "th", "offset": (_ICMP_HEADER + at) * 8, "len": octets * 8}
    return {"match": {"op": "==", "left": {"payload": field}, "right": value}}


def _matches(protocol: str, field: str, value: object) -> dict[str, Any]:
    return {
        "match": {
            "op": "==",
            "left": {"payload": {"protocol": protocol, "field": field}},
            "right": value,
        }
    }


def _counts(rule: Iterable[Mapping[str, Any]]) -> bool:
    return any(expression == _COUNTER for expression in rule)
