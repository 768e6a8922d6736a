"""Rules of nftables that count by connection: by both addresses and both ports of a segment of TCP.

Each label of a ruleset has a set of the connections that its rules have met, with a counter each.
The kernel adds to it as packets come (libnftables-json(5): SET; the kernel's nft_dynset.c).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from harness.lab.nftables import Rules
    from harness.model.topology import Family

COUNTER: Mapping[str, Any] = {"counter": None}
"""The expression that counts packets."""
Connection = frozenset[tuple[str, int]]
"""Both ends of a TCP connection: an IP address and a port each."""
_ADDRESSES: Mapping[Family, tuple[str, str]] = {
    "ipv4": ("ip", "ipv4_addr"),
    "ipv6": ("ip6", "ipv6_addr"),
}
_MOST = 65535
"""How many connections a set holds, either way of one for itself."""
_TIDIED_S = 4_000_000
"""How often the kernel looks for expired elements, of which there are none: about the longest that
there is. Once a second, as it does otherwise, would wake a guest that has nothing else to do.
"""


class Tally(NamedTuple):
    """How many packets the rules of a label have met, and of which connections the segments of TCP
    among them were.
    """

    packets: int
    by_connection: Mapping[Connection, int]


def connection_set(where: Mapping[str, Any], label: str, family: Family) -> dict[str, Any]:
    """The command that adds a label's set to a table.

    `where`: the table's family and name.
    """
    _, address = _ADDRESSES[family]
    key = [address, "inet_service", address, "inet_service"]
    wanted = {"name": label, "type": key, "size": _MOST, "flags": ["timeout"]}
    return {"add": {"set": {**where, **wanted, "gc-interval": _TIDIED_S}}}


def by_connection(rules: Rules, family: Family) -> Rules:
    """The rules, each that counts so that it also counts in its label's set.

    It matches segments of TCP alone then, and none where the set is full. So a rule that decides
    what becomes of a packet is there once more as it was, for all else that it matches. Not so one
    that draws lots: a second draw would be one more chance.
    """
    found: dict[str, list[Sequence[Mapping[str, Any]]]] = {}
    for label, group in rules.items():
        found[label] = []
        for rule in group:
            if COUNTER in rule:
                found[label].append(_noting(rule, label, family))
            if COUNTER not in rule or (rule[-1] != COUNTER and not _draws_lots(rule)):
                found[label].append(rule)
    return found


def read(listing: Iterable[Mapping[str, Any]], labels: Iterable[str]) -> dict[str, Tally]:
    """The counters in a listed table, by label."""
    packets = dict.fromkeys(labels, 0)
    connections: dict[str, dict[Connection, int]] = {label: {} for label in packets}
    for item in listing:
        if "rule" in item:
            rule = item["rule"]
            packets[rule["comment"]] += sum(
                each["counter"]["packets"] for each in rule["expr"] if "counter" in each
            )
        elif "set" in item:
            known = connections[item["set"]["name"]]
            for element in item["set"].get("elem", ()):
                source, sport, target, dport = element["elem"]["val"]["concat"]
                ends = frozenset({(source, sport), (target, dport)})
                known[ends] = known.get(ends, 0) + element["elem"]["counter"]["packets"]
    return {label: Tally(packets[label], connections[label]) for label in packets}


def _noting(
    rule: Sequence[Mapping[str, Any]], label: str, family: Family
) -> list[Mapping[str, Any]]:
    protocol, _ = _ADDRESSES[family]
    fields = ((protocol, "saddr"), ("tcp", "sport"), (protocol, "daddr"), ("tcp", "dport"))
    key = {"concat": [{"payload": {"protocol": of, "field": field}} for of, field in fields]}
    notes = {"set": {"op": "update", "elem": key, "set": f"@{label}", "stmt": [COUNTER]}}
    at = rule.index(COUNTER)
    return [*rule[:at], notes, *rule[at:]]


def _draws_lots(rule: Iterable[Mapping[str, Any]]) -> bool:
    return any("numgen" in each["match"]["left"] for each in rule if "match" in each)
