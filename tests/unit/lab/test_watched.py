"""Which packets are of the watched connection: what tells them from others."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from harness.lab.tallies import Tally
from harness.lab.watched import (
    OTHERS,
    Watched,
    between_ends,
    counting,
    is_watched,
    of_quoting,
    unread,
)
from harness.model.topology import Kind, Topology, layout
from tests.unit.fake_clock import FakeClock
from tests.unit.fake_lab import FakeLab

COUNT: dict[str, Any] = {"counter": None}
DROP: dict[str, Any] = {"drop": None}
CLIENT, SERVER, ROUTER = ("10.0.0.1", 41000), ("10.0.0.2", 7000), ("10.0.0.3", 42000)
OTHER_PORT = ("10.0.0.1", 41001)
ENDS = frozenset({CLIENT, SERVER})


def lab(watched: Watched | None, topology: Topology = Topology(kind="routed")) -> Any:  # noqa: B008 - frozen
    """As much of a lab as the rules depend on."""
    return SimpleNamespace(layout=layout(topology), watched=watched)


def conditions(rule: list[Any]) -> list[tuple[Any, Any]]:
    """What a rule compares, as pairs of a field and a value."""
    found = [expression["match"] for expression in rule if "match" in expression]
    return [(match["left"].get("payload", match["left"]), match["right"]) for match in found]


def test_a_connection_has_the_addresses_of_both_ends() -> None:
    """Where they are translated, or a proxy is between, also those on the other side."""
    routed = layout(Topology(kind="routed"))
    assert set(between_ends(routed, 7000).addresses) == {
        routed.address("client"),
        routed.address("server"),
    }
    kinds: tuple[Kind, ...] = ("nat", "proxied")
    for kind in kinds:
        where = layout(Topology(kind=kind))
        middle = {interface.address for interface in where.hosts[1].interfaces}
        ends = {where.address("client"), where.address("server")}
        assert set(between_ends(where, 7000).addresses) == ends | middle


def test_before_it_is_known_any_connection_from_or_to_the_port_counts() -> None:
    """Between the addresses that its ends have; where heartbeats have one of their own, at any
    port.
    """
    watched = Watched(("10.0.0.1", "10.0.0.2"), 7000)
    assert watched.is_one(ENDS)
    assert watched.is_one(frozenset({OTHER_PORT, SERVER}))
    assert not watched.is_one(frozenset({CLIENT, ("10.0.0.2", 7001)}))
    assert not watched.is_one(frozenset({ROUTER, SERVER}))
    assert Watched(watched.addresses).is_one(frozenset({CLIENT, ("10.0.0.2", 7001)}))


def test_once_it_is_known_its_own_ports_tell_it() -> None:
    """Another connection of the same client to the same port is another one, on every link."""
    watched = Watched(
        ("10.0.0.1", "10.0.0.2", "10.0.0.3"), 7000, frozenset({ENDS, frozenset({ROUTER, SERVER})})
    )
    assert watched.is_one(ENDS)
    assert watched.is_one(frozenset({ROUTER, SERVER}))
    assert not watched.is_one(frozenset({OTHER_PORT, SERVER}))
    assert not watched.is_one(frozenset({(ROUTER[0], CLIENT[1]), SERVER}))
    assert watched.is_at((7000, 41000))
    assert watched.is_at((41000, 7000, 42000))
    assert not watched.is_at((7000, 41001))


def test_all_counts_where_nothing_is_watched() -> None:
    """As when a fault is injected into containers that somebody else runs."""
    assert is_watched(lab(None), frozenset({OTHER_PORT, SERVER}))
    assert of_quoting(lab(None), [COUNT, DROP]) == [[COUNT, DROP]]
    fake = FakeLab(Topology(), FakeClock())
    with counting(fake, fake.host("router"), "forward", {"drop": [[COUNT, DROP]]}) as counted:
        assert counted() == {"drop": 1, OTHERS: 0}


def test_what_is_watched_when_the_counters_are_read_counts() -> None:
    """The connection may become known after the fault; all else, of TCP or not, is counted
    apart.
    """
    tallies = {"drop": Tally(9, {ENDS: 2, frozenset({OTHER_PORT, SERVER}): 3})}
    host: Any = SimpleNamespace(
        ruleset_by_connection=lambda *_: nullcontext(lambda: tallies),
    )
    bench = lab(Watched(("10.0.0.1", "10.0.0.2"), 7000))
    with counting(bench, host, "forward", {"drop": [[COUNT, DROP]]}) as counted:
        assert counted() == {"drop": 5, OTHERS: 4}
        bench.watched = Watched((), 7000, frozenset({ENDS}))
        assert counted() == {"drop": 2, OTHERS: 7}


def test_octets_of_the_watched_connection_alone_are_unread() -> None:
    """By the ports of a socket; where none is watched, those of any."""
    host: Any = SimpleNamespace(
        unread=lambda counts: [
            counts is None or counts(ports) for ports in ((7000, 41000), (7000, 41001))
        ]
    )
    found: Any = unread(lab(None), host)
    assert found == [True, True]
    found = unread(lab(Watched((), 7000, frozenset({ENDS}))), host)
    assert found == [True, False]


@pytest.mark.parametrize(
    ("family", "protocol_bit", "port_bits"), [("ipv4", 136, (224, 240)), ("ipv6", 112, (384, 400))]
)
def test_an_icmp_error_is_told_by_the_segment_that_it_quotes(
    family: Any, protocol_bit: int, port_bits: tuple[int, int]
) -> None:
    """Behind its own eight octets: the protocol at octet 9 of 20 or 6 of 40, then the ports."""
    topology = Topology(kind="routed", family=family)
    tcp = ({"base": "th", "offset": protocol_bit, "len": 8}, 6)
    source, target = ({"base": "th", "offset": bit, "len": 16} for bit in port_bits)
    rules = of_quoting(lab(Watched((), 7000), topology), [COUNT])
    assert [conditions(rule) for rule in rules] == [[tcp, (source, 7000)], [tcp, (target, 7000)]]
    rules = of_quoting(lab(Watched((), 7000, frozenset({ENDS})), topology), [COUNT])
    assert [conditions(rule) for rule in rules] == [
        [tcp, (source, 7000), (target, 41000)],
        [tcp, (source, 41000), (target, 7000)],
    ]
    assert [conditions(rule) for rule in of_quoting(lab(Watched(()), topology), [COUNT])] == [[tcp]]
