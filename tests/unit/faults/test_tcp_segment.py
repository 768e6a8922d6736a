"""Forged and swallowed segments: what is put on the wire, and what it means to either side."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.faults.tcp_segment import FinSwallowed, Place, RstInjected, SynackDrop, SynDrop, forged
from harness.model.topology import SIDES, Side, Topology, layout
from harness.oracle.effects import Effect
from harness.probes.packets import FlowTracker, Segment, Stream, parse

NUMBERS = st.integers(0, 2**32 - 1)
PORTS = st.integers(1, 65535)
ENDS = st.sampled_from([("10.77.1.1", "10.77.2.2"), ("fd77:0:0:1::1", "fd77:0:0:2::2")])
ROUTED = layout(Topology(kind="routed"))


def ones_complement_sum(octets: bytes) -> int:
    """RFC 1071: 0xffff of anything that carries its own checksum."""
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    return total % 0xFFFF or 0xFFFF


@given(ends=ENDS, sport=PORTS, dport=PORTS, number=NUMBERS)
def test_a_forged_rst_is_one(ends: tuple[str, str], sport: int, dport: int, number: int) -> None:
    """It reads back as what was meant, and its checksums are right."""
    stream = Stream(ends[0], sport, ends[1], dport, following=1, acked=1)
    packet = forged(stream, number)
    version = packet[0] >> 4
    frame = bytes(12) + (b"\x86\xdd" if version == 6 else b"\x08\x00") + packet
    assert parse(frame) == Segment(ends[0], sport, ends[1], dport, number, 0, "R", 0, 0)
    header, addresses = (20, packet[12:20]) if version == 4 else (40, packet[8:40])
    assert ones_complement_sum(addresses + struct.pack("!II", 20, 6) + packet[header:]) == 0xFFFF
    if version == 4:
        assert ones_complement_sum(packet[:20]) == 0xFFFF


def tracked(*segments: tuple[str, str, int, int, int]) -> FlowTracker:
    """A tracker that has seen segments of "c" and "s": (sender, flags, seq, ack, length)."""
    tracker = FlowTracker()
    for sender, flags, seq, ack, length in segments:
        ends = ("c", 1, "s", 2) if sender == "c" else ("s", 2, "c", 1)
        tracker.classify(Segment(*ends, seq, ack, flags, length, 100), "eth0")
    return tracker


SHAKEN = (("c", "S", 99, 0, 0), ("s", "SA", 499, 100, 0), ("c", "A", 100, 500, 0))


def test_an_idle_connection_has_a_number() -> None:
    """In either direction the next one is the one that is acknowledged; a probe changes nothing."""
    tracker = tracked(*SHAKEN, ("s", "A", 499, 100, 0), ("c", "A", 100, 500, 0))
    assert tracker.newest("c") == Stream("s", 2, "c", 1, following=500, acked=500)
    assert tracker.newest("s") == Stream("c", 1, "s", 2, following=100, acked=100)


def test_data_on_its_way_shows() -> None:
    """Until it is acknowledged."""
    sent = (*SHAKEN, ("s", "PA", 500, 100, 7))
    assert tracked(*sent).newest("c") == Stream("s", 2, "c", 1, following=507, acked=500)
    assert tracked(*sent, ("c", "A", 100, 507, 0)).newest("c") == Stream(
        "s", 2, "c", 1, following=507, acked=507
    )


def test_nothing_seen_is_nothing_known() -> None:
    """Neither of nobody nor of a connection that is not yet accepted."""
    assert tracked().newest("c") is None
    assert tracked(SHAKEN[0]).newest("c") is None
    assert tracked(SHAKEN[0]).newest("s") is None


def test_the_newest_connection_counts() -> None:
    """Not one from earlier between the same hosts."""
    tracker = tracked(*SHAKEN)
    for src, sport, dst, dport, seq, ack, flags in (
        ("c", 3, "s", 2, 9, 0, "S"),
        ("s", 2, "c", 3, 19, 10, "SA"),
        ("c", 3, "s", 2, 10, 20, "A"),
    ):
        tracker.classify(Segment(src, sport, dst, dport, seq, ack, flags, 0, 100), "eth0")
    tracker.classify(Segment("c", 1, "s", 2, 100, 500, "A", 0, 100), "eth0")
    assert tracker.newest("c") == Stream("s", 2, "c", 3, following=20, acked=20)


@pytest.mark.parametrize(
    ("sequence", "observer", "mechanisms"),
    [
        ("exact", "client", ["peer-reset"]),
        ("exact", "server", ["peer-forgot"]),
        ("in-window", "client", ["challenged"]),
        ("in-window", "server", ["impaired"]),
        ("below-window", "client", []),
        ("below-window", "server", []),
        ("beyond-window", "client", []),
        ("beyond-window", "server", []),
    ],
)
def test_what_an_rst_to_the_client_means(
    sequence: Place, observer: Side, mechanisms: list[str]
) -> None:
    """Its number decides, and a challenge ACK is heard by the other side."""
    effects = RstInjected(sequence=sequence, at_s=3).effects(ROUTED, observer)
    assert [effect.mechanism for effect in effects] == mechanisms
    assert all(effect.from_s == 3 for effect in effects)


@pytest.mark.parametrize("kind", ["direct", "switched", "routed", "nat", "firewalls"])
def test_a_third_party_is_needed(kind: str) -> None:
    """Where the endpoints are wired directly there is none."""
    where = layout(Topology(kind=kind))  # type: ignore[arg-type]
    assert [problem.key for problem in RstInjected().misplaced(where)] == (
        ["kind"] if kind == "direct" else []
    )
    assert not list(FinSwallowed().misplaced(where))


def test_an_rst_cannot_be_taken_back() -> None:
    """It has no end."""
    assert [problem.key for problem in RstInjected(for_s=1).misplaced(ROUTED)] == ["for_s"]


def test_who_misses_a_fin() -> None:
    """The side that it goes to; a FIN of one's own is not sent while one watches."""
    effect = Effect(
        mechanism="impaired",
        from_s=2,
        until_s=5,
        unknown="the peer's FIN is lost: its retransmission decides",
    )
    for direction, missing in (
        ("both", SIDES),
        ("to-client", ("client",)),
        ("to-server", ("server",)),
    ):
        fault = FinSwallowed(direction=direction, at_s=2, for_s=3)  # type: ignore[arg-type]
        for side in SIDES:
            assert fault.effects(ROUTED, side) == ((effect,) if side in missing else ())


@pytest.mark.parametrize("fault", [SynDrop(), SynackDrop()])
def test_connections_that_stand_are_not_concerned(fault: SynDrop | SynackDrop) -> None:
    """By handshakes that fail."""
    assert all(
        effect.mechanism == "syn-lost" for side in SIDES for effect in fault.effects(ROUTED, side)
    )
