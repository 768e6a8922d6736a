from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.probes.capture import PROGRAM, SNAP, assemble
from harness.probes.packets import parse

HOST, OUTGOING = 0, 4
PKTTYPE, IFINDEX = 2**32 - 0x1000 + 4, 2**32 - 0x1000 + 8
SIZES = {0x20: 4, 0x28: 2, 0x30: 1}


def run(frame: bytes, *, ifindex: int = 2, pkttype: int = HOST) -> int:
    """Interpret the assembled program as net/core/filter.c does: octets to keep, 0 to drop."""
    program = list(struct.iter_unpack("@HBBI", assemble()))
    at, accumulator = 0, 0
    while True:
        code, equal, differs, operand = program[at]
        at += 1
        if code == 0x06:
            return int(operand)
        if code == 0x15:
            at += equal if accumulator == operand else differs
        elif operand in (PKTTYPE, IFINDEX):
            accumulator = pkttype if operand == PKTTYPE else ifindex
        else:
            octets = frame[operand : operand + SIZES[code]]
            if len(octets) < SIZES[code]:
                return 0
            accumulator = int.from_bytes(octets, "big")


def ipv4(protocol: int) -> bytes:
    """A packet, as far as the filter reads it."""
    return bytes(12) + b"\x08\x00\x45" + bytes(8) + bytes([protocol]) + bytes(30)


def ipv6(*headers: int) -> bytes:
    """A packet with a chain of headers."""
    chain = b"".join(bytes([header]) + bytes(7) for header in headers[1:])
    return (
        bytes(12) + b"\x86\xdd\x60" + bytes(5) + bytes([headers[0]]) + bytes(33) + chain + bytes(20)
    )


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(bytes(12) + b"\x08\x06" + bytes(28), id="arp"),
        pytest.param(ipv4(6), id="tcp"),
        pytest.param(ipv4(1), id="icmp"),
        pytest.param(ipv6(6), id="tcp over ipv6"),
        pytest.param(ipv6(58), id="icmpv6"),
        pytest.param(ipv6(0, 58), id="icmpv6 behind hop-by-hop options"),
        pytest.param(ipv6(43, 6), id="tcp behind routing"),
        pytest.param(ipv6(60, 6), id="tcp behind destination options"),
    ],
)
def test_kept(frame: bytes) -> None:
    """ARP, TCP, ICMP and ICMPv6 pass, cut to the snap length, in both directions."""
    assert run(frame) == SNAP
    assert run(frame, pkttype=OUTGOING) == SNAP


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(ipv4(17), id="udp"),
        pytest.param(ipv6(17), id="udp over ipv6"),
        pytest.param(ipv6(0, 17), id="udp behind hop-by-hop options"),
        pytest.param(bytes(12) + b"\x88\xcc" + bytes(60), id="lldp"),
        pytest.param(b"", id="empty"),
        pytest.param(ipv4(6)[:23], id="cut before the protocol"),
    ],
)
def test_dropped(frame: bytes) -> None:
    """Everything else is left out."""
    assert run(frame) == 0


def test_loopback_once() -> None:
    """Of the two appearances of a frame on the loopback interface, the received one is kept."""
    assert run(ipv4(6), ifindex=1, pkttype=OUTGOING) == 0
    assert run(ipv4(6), ifindex=1, pkttype=HOST) == SNAP


def test_jumps_go_forward() -> None:
    """The program ends: every jump goes forward and stays inside, as the kernel demands."""
    for at, (code, _, equal, differs) in enumerate(PROGRAM):
        if code == 0x15:
            assert at < equal < len(PROGRAM)
            assert at < differs < len(PROGRAM)


@given(st.sampled_from([b"\x08\x00\x45", b"\x86\xdd\x60"]), st.binary(min_size=60, max_size=90))
def test_filter_and_parser_agree(head: bytes, rest: bytes) -> None:
    """Whatever the parser can read with one extension header at most, the filter lets through."""
    frame = bytes(12) + head + rest
    chained = head[0] == 0x86 and frame[20] in (0, 43, 60) and frame[54] in (0, 43, 60)
    assert chained or parse(frame) is None or run(frame) == SNAP
