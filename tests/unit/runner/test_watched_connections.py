"""Which connections a run watches, by the events so far."""

from __future__ import annotations

from harness.lab.tallies import Connection
from harness.model.topology import Layout, Topology, layout
from harness.runner.watched_connections import known_connections
from harness.timeline import Event

ROUTED, NAT, PROXIED = (layout(Topology(kind=kind)) for kind in ("routed", "nat", "proxied"))
CLIENT, SERVER = (ROUTED.address("client"), 41000), (ROUTED.address("server"), 7000)


def armed(side: str, *ends: tuple[str, int]) -> Event:
    """One end is ready; `ends`: its own and the other one, or none where it has no connection."""
    named = dict(zip(("local", "remote"), map(list, ends), strict=False))
    return Event(0, "subject.armed", side, {"side": side, **named})


def syn(at_s: int, host: str, way: str, port: int) -> Event:
    """A SYN from a port of the client's address, as it is captured on a host."""
    ends = {"src": CLIENT[0], "sport": port, "dst": SERVER[0], "dport": 7000}
    return Event(at_s, "segment", host, {"way": way, "role": "syn", **ends})


def pair(one: tuple[str, int], two: tuple[str, int]) -> Connection:
    """A connection."""
    return frozenset({one, two})


def outside(where: Layout) -> str:
    """The address of the host in the middle, toward the server."""
    address = where.hosts[1].facing("server").address
    assert address is not None
    return address


def test_it_is_the_one_with_which_the_ends_were_armed() -> None:
    """Not known before the client has told its port; a server that has no connection yet tells
    none.
    """
    both = [armed("server", SERVER, CLIENT), armed("client", CLIENT, SERVER)]
    assert known_connections(ROUTED, both, later=False) == {pair(CLIENT, SERVER)}
    assert known_connections(ROUTED, both[:1], later=False) == frozenset()
    connecting = [armed("server"), armed("client", CLIENT, SERVER)]
    assert known_connections(ROUTED, connecting, later=False) == {pair(CLIENT, SERVER)}


def test_behind_a_nat_it_has_the_port_that_the_server_tells() -> None:
    """Or, as long as that tells none, the client's own."""
    client, translated = armed("client", CLIENT, SERVER), (outside(NAT), 52000)
    known = known_connections(NAT, [client, armed("server", SERVER, translated)], later=False)
    assert known == {pair(CLIENT, SERVER), pair(translated, SERVER)}
    known = known_connections(NAT, [client, armed("server")], later=False)
    assert known == {pair(CLIENT, SERVER), pair((outside(NAT), CLIENT[1]), SERVER)}


def test_a_nat_may_give_it_another_port_later() -> None:
    """The same segments come to the server by it; those of another connection do not count."""

    def segment(host: str, way: str, near: tuple[str, int], seq: int) -> Event:
        ends = {"src": near[0], "sport": near[1], "dst": SERVER[0], "dport": 7000}
        numbers = {"seq": seq, "ack": 9, "flags": "A", "length": 0}
        return Event(5, "segment", host, {"way": way, "role": "probe", **ends, **numbers})

    first, other = (outside(NAT), 52000), (outside(NAT), 52001)
    events = [armed("client", CLIENT, SERVER), armed("server", SERVER, (outside(NAT), 41000))]
    events += [segment("server", "in", first, 77), segment("server", "in", other, 78)]
    events += [segment("client", "out", CLIENT, 77)]
    known = known_connections(NAT, events, later=False)
    assert pair(first, SERVER) in known
    assert pair(other, SERVER) not in known


def test_a_proxy_has_one_with_either_end() -> None:
    """Neither is told from others before both are known."""
    entrance, leaves = (PROXIED.entrance, 7000), (outside(PROXIED), 52000)
    events = [armed("client", CLIENT, entrance), armed("server", SERVER, leaves)]
    assert known_connections(PROXIED, events[:1], later=False) == frozenset()
    known = known_connections(PROXIED, events, later=False)
    assert known == {pair(CLIENT, entrance), pair(SERVER, leaves)}


def test_a_later_connection_is_one_begun_after_the_end_was_detected() -> None:
    """Where the claim is about it. One that the client begins before, and that sends its SYN once
    more after it, is another one.
    """
    end = Event(5, "subject.noticed", "client", {"side": "client"})
    begun = [syn(4, "client", "out", 41001), syn(5, "client", "out", 41002)]
    begun.append(syn(5, "client", "out", 41001))
    answered = [syn(6, "server", "in", 41003), syn(6, "server", "out", 41004)]
    events = [armed("client", CLIENT, SERVER), begun[0], end, *begun[1:], *answered]
    first = pair(CLIENT, SERVER)
    assert known_connections(ROUTED, events, later=False) == {first}
    assert known_connections(ROUTED, events, later=True) == {
        first,
        pair((CLIENT[0], 41002), SERVER),
        pair((CLIENT[0], 41003), SERVER),
    }
    unended = [event for event in events if event is not end]
    assert known_connections(ROUTED, unended, later=True) == {first}
