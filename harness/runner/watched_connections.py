"""Which connections a run watches, by what its timeline tells so far. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from harness.lab.tallies import Connection
from harness.model.topology import Layout
from harness.subjects.interface import ENDS
from harness.timeline import Event

_SENT = {("client", "out"), ("server", "in")}
"""The host and the way of a client's segment."""
_SEGMENTS = {("segment", host, way) for host, way in _SENT}


def known_connections(
    layout: Layout, events: Sequence[Event], *, later: bool
) -> frozenset[Connection]:
    """The watched connection, as each host on its way sees it. Empty as long as it is not known.

    It is the one with which the ends were armed. Where a proxy has a connection of its own with
    either end, both must be known. Where a host translates addresses, and the server has not told
    from which port the connection comes, that is the client's: translation keeps it
    (`harness.lab.nat_rules`). A translation that gives it another port later changes neither
    sequence numbers nor lengths: the segments show the new one.

    `later`: also each connection that is begun once either end has shown that it detected the end
    of the watched one, as its SYN shows.
    """
    armed = {
        event.data["side"]: _ends(event.data["local"], event.data["remote"])
        for event in events
        if event.kind == "subject.armed" and event.data.get("local") and event.data.get("remote")
    }
    if "client" not in armed or (layout.proxy is not None and "server" not in armed):
        return frozenset()
    found = {*armed.values()}
    if "server" not in armed:
        found |= _translated(layout, armed["client"])
    if any(host.translates for host in layout.hosts):
        found |= _under_other_ports(events, armed["client"])
    if later:
        found |= _begun_later(events)
    return frozenset(found)


def _ends(one: Sequence[object], two: Sequence[object]) -> Connection:
    return frozenset({(str(host), int(str(port))) for host, port in (one, two)})


def _translated(layout: Layout, connection: Connection) -> set[Connection]:
    """The connection as it is behind each host that translates the client's address."""
    client = layout.address("client")
    outside = (host.facing("server").address for host in layout.hosts if host.translates)
    return {
        frozenset({(address if host == client else host, port) for host, port in connection})
        for address in outside
        if address is not None
    }


def _under_other_ports(events: Sequence[Event], watched: Connection) -> set[Connection]:
    """The connections by which segments that left the client on the watched one came to the
    server: those with the same sequence numbers, flags and length.
    """
    sent: set[tuple[object, ...]] = set()
    came: list[tuple[Connection, tuple[object, ...]]] = []
    for event in events:
        data = event.data
        if (event.kind, event.source, data.get("way")) not in _SEGMENTS or not data.get("flags"):
            continue
        segment = tuple(data[key] for key in ("seq", "ack", "flags", "length"))
        ends = _ends((data["src"], data["sport"]), (data["dst"], data["dport"]))
        if event.source == "server":
            came.append((ends, segment))
        elif ends == watched:
            sent.add(segment)
    return {ends for ends, segment in came if segment in sent}


def _begun_later(events: Sequence[Event]) -> set[Connection]:
    """The connections whose first SYN left the client, or came to the server, after an end detected
    that of the watched one.
    """
    ended_ns = [event.t_ns for event in events if event.kind in (*ENDS, "subject.sign")]
    if not ended_ns:
        return set()
    begun_ns: dict[Connection, int] = {}
    for event in events:
        data = event.data
        if event.kind != "segment" or (event.source, data["way"]) not in _SENT:
            continue
        if data["role"] == "syn":
            ends = _ends((data["src"], data["sport"]), (data["dst"], data["dport"]))
            begun_ns[ends] = min(event.t_ns, begun_ns.get(ends, event.t_ns))
    return {ends for ends, at_ns in begun_ns.items() if at_ns >= min(ended_ns)}
