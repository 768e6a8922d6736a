"""Which packets are of the watched connection: the rules that tell them from others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.lab.watched import OTHERS, Watched, apart, between_ends, of_quoting, of_watched
from harness.model.topology import Kind, Topology, layout

COUNT: dict[str, Any] = {"counter": None}
DROP: dict[str, Any] = {"drop": None}


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


def test_all_counts_where_nothing_is_watched() -> None:
    """As when a fault is injected into containers that somebody else runs."""
    rules = {"drop": [[COUNT, DROP]]}
    assert apart(lab(None), rules) == {**rules, OTHERS: []}
    assert (
        of_quoting(lab(None), [COUNT, DROP])
        == of_watched(lab(None), [COUNT, DROP])
        == [[COUNT, DROP]]
    )


def test_each_rule_counts_the_connection_first_and_then_all_else() -> None:
    """Both ways of the connection, by its port at one end; a rule that counts nothing stays one."""
    passes: list[dict[str, Any]] = [{"accept": None}]
    rules = apart(lab(Watched(("10.0.0.1", "10.0.0.2"), 7000)), {"drop": [passes, [COUNT, DROP]]})
    assert list(rules) == ["drop", OTHERS]
    first, *ways = rules["drop"]
    assert first == passes
    ends = {"set": ["10.0.0.1", "10.0.0.2"]}
    between = [({"protocol": "ip", "field": field}, ends) for field in ("saddr", "daddr")]
    assert [conditions(list(way)) for way in ways] == [
        [*between, ({"protocol": "tcp", "field": field}, 7000)] for field in ("sport", "dport")
    ]
    assert all(list(way)[-2:] == [COUNT, DROP] for way in ways)
    assert rules[OTHERS] == [[COUNT, DROP]]


def test_without_a_port_all_tcp_between_the_ends_counts() -> None:
    """As where heartbeats have a connection of their own."""
    (rule,) = of_watched(
        lab(Watched(("fd00::1", "fd00::2")), Topology(kind="routed", family="ipv6")), [COUNT]
    )
    assert conditions(rule)[-1] == ({"meta": {"key": "l4proto"}}, "tcp")
    assert conditions(rule)[0][0] == {"protocol": "ip6", "field": "saddr"}


@pytest.mark.parametrize(
    ("family", "protocol_bit", "port_bits"), [("ipv4", 136, (224, 240)), ("ipv6", 112, (384, 400))]
)
def test_an_icmp_error_is_told_by_the_segment_that_it_quotes(
    family: Any, protocol_bit: int, port_bits: tuple[int, int]
) -> None:
    """Behind its own eight octets: the protocol at octet 9 of 20 or 6 of 40, then the ports."""
    rules = of_quoting(lab(Watched((), 7000), Topology(kind="routed", family=family)), [COUNT])
    assert [conditions(rule) for rule in rules] == [
        [
            ({"base": "th", "offset": protocol_bit, "len": 8}, 6),
            ({"base": "th", "offset": bit, "len": 16}, 7000),
        ]
        for bit in port_bits
    ]
