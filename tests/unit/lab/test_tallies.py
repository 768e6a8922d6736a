"""Rules that count by connection, and what is read of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.lab import tallies
from harness.lab.tallies import Tally

COUNT: dict[str, Any] = {"counter": None}
DROP: dict[str, Any] = {"drop": None}
TCP: dict[str, Any] = {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}}
LOTS: dict[str, Any] = {"match": {"op": "<", "left": {"numgen": {"mode": "random"}}, "right": 3}}


def fields(rule: Sequence[Any]) -> list[tuple[str, str]]:
    """What a rule notes of a segment, by protocol and field."""
    (notes,) = [expression["set"] for expression in rule if "set" in expression]
    assert (notes["set"], notes["stmt"]) == ("@drop", [COUNT])
    payloads = [each["payload"] for each in notes["elem"]["concat"]]
    return [(each["protocol"], each["field"]) for each in payloads]


def test_a_rule_notes_the_connection_before_it_decides() -> None:
    """And is there once more, for what is no segment of TCP; a rule that counts nothing stays."""
    passes: list[dict[str, Any]] = [{"accept": None}]
    rules = tallies.by_connection({"drop": [passes, [TCP, COUNT, DROP]]}, "ipv6")
    first, noting, rest = rules["drop"]
    assert first == passes
    assert rest == [TCP, COUNT, DROP]
    assert [noting[0], *noting[2:]] == rest
    ends = [("ip6", "saddr"), ("tcp", "sport"), ("ip6", "daddr"), ("tcp", "dport")]
    assert fields(noting) == ends


def test_no_packet_is_counted_or_tried_twice() -> None:
    """What is let through behind a counter, or struck by chance, meets a rule once."""
    for rule in ([TCP, COUNT], [TCP, LOTS, COUNT, DROP]):
        (noting,) = tallies.by_connection({"drop": [rule]}, "ipv4")["drop"]
        assert fields(noting)[0] == ("ip", "saddr")


def test_both_ways_of_a_connection_are_one() -> None:
    """A label has the sum of its rules' counters, and of each connection that of either way."""
    element = {"counter": {"packets": 2, "bytes": 120}}
    ends = [["10.0.0.1", 41000, "10.0.0.2", 7000], ["10.0.0.2", 7000, "10.0.0.1", 41000]]
    listing: list[dict[str, Any]] = [
        {"metainfo": {}},
        {"table": {"name": "harness_1"}},
        {
            "set": {
                "name": "drop",
                "elem": [{"elem": {"val": {"concat": each}, **element}} for each in ends],
            }
        },
        {"set": {"name": "seen"}},
        {"rule": {"comment": "drop", "expr": [TCP, {"set": {}}, {"counter": {"packets": 4}}]}},
        {"rule": {"comment": "drop", "expr": [{"counter": {"packets": 3}}, DROP]}},
    ]
    assert tallies.read(listing, ("drop", "seen")) == {
        "drop": Tally(7, {frozenset({("10.0.0.1", 41000), ("10.0.0.2", 7000)}): 4}),
        "seen": Tally(0, {}),
    }
