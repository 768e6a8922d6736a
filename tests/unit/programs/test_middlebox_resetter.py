"""The program that resets idle connections: whom, when, and with which sequence number."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest

from harness.probes.packets import Segment, parse
from harness.programs import middlebox_resetter
from harness.system.internet_checksum import internet_checksum

S, NAT_PORT = 1_000_000_000, 20_001
CLIENT, SERVER, ROUTER = ("10.77.1.1", 40_000), ("10.77.2.2", 7000), ("10.77.2.254", NAT_PORT)
SYN, SYNACK, ACK, FIN, RST = 0x02, 0x12, 0x10, 0x11, 0x04


def frame(
    source: tuple[str, int], target: tuple[str, int], seq: int, ack: int, flags: int
) -> bytes:
    """An Ethernet frame with a TCP segment, without checksums."""
    ends = [ip_address(address).packed for address, _ in (source, target)]
    tcp = struct.pack("!HHIIBBHHH", source[1], target[1], seq, ack, 0x50, flags, 500, 0, 0)
    if len(ends[0]) == 4:
        kind, ip = 0x0800, struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, 6, 0)
    else:
        kind, ip = 0x86DD, struct.pack("!IHBB", 6 << 28, 20, 6, 64)
    return b"\x02dddd\x01" + b"\x02ssss\x02" + struct.pack("!H", kind) + ip + b"".join(ends) + tcp


class Wire:
    """A router as the program sees it: what comes in on one device leaves by the other, translated
    or not.
    """

    def __init__(self, outside: tuple[str, int] = CLIENT) -> None:
        self.flows = middlebox_resetter.Flows(9 * S)
        self.outside = outside

    def see(
        self,
        way: tuple[str, str],
        ends: tuple[tuple[str, int], ...],
        numbers: tuple[int, int, int],
        t: int,
    ) -> None:
        """A segment on one device, `way` being ("a", "in") and the like."""
        device, outgoing = way
        segment = middlebox_resetter.parse(frame(ends[0], ends[1], *numbers))
        assert segment is not None
        self.flows.see(device, segment, t, outgoing=outgoing == "out")

    def to_server(self, numbers: tuple[int, int, int], t: int) -> None:
        """The client's segment passes."""
        self.see(("a", "in"), (CLIENT, SERVER), numbers, t)
        self.see(("b", "out"), (self.outside, SERVER), numbers, t)

    def to_client(self, numbers: tuple[int, int, int], t: int) -> None:
        """The server's segment passes."""
        self.see(("b", "in"), (SERVER, self.outside), numbers, t)
        self.see(("a", "out"), (SERVER, CLIENT), numbers, t)

    def connect(self) -> None:
        """A handshake at 0 s."""
        self.to_server((100, 0, SYN), 0)
        self.to_client((500, 101, SYNACK), 0)
        self.to_server((101, 501, ACK), 0)


@pytest.mark.parametrize("outside", [CLIENT, ROUTER], ids=["routed", "nat"])
def test_both_ends_get_what_they_expect_next(outside: tuple[str, int]) -> None:
    """From the address and port that each knows as its peer."""
    wire = Wire(outside)
    wire.connect()
    assert wire.flows.due_ns == 9 * S
    assert wire.flows.expired(9 * S - 1) == []
    (flow,) = wire.flows.expired(9 * S)
    sent = {device: parse(middlebox_resetter.reset(seen)) for device, seen in flow.seen.items()}
    assert sent == {
        "a": Segment(*SERVER, *CLIENT, 501, 0, "R", 0, 0),
        "b": Segment(*outside, *SERVER, 101, 0, "R", 0, 0),
    }
    assert wire.flows.due_ns is None


def test_what_passes_counts_and_what_only_comes_in_does_not() -> None:
    """A packet that was dropped on the way in keeps nothing open."""
    wire = Wire()
    wire.connect()
    wire.see(("a", "in"), (CLIENT, SERVER), (100, 501, ACK), 5 * S)
    assert wire.flows.due_ns == 9 * S
    wire.to_client((500, 101, ACK), 6 * S)
    assert wire.flows.due_ns == 15 * S


@pytest.mark.parametrize("flags", [FIN, RST], ids=["fin", "rst"])
def test_a_connection_that_ends_is_left_alone(flags: int) -> None:
    """It needs no reset."""
    wire = Wire()
    wire.connect()
    wire.to_client((501, 101, flags), S)
    assert wire.flows.due_ns is None
    assert wire.flows.expired(99 * S) == []


@pytest.mark.parametrize("seq", [500, 502, 501 + (1 << 30)], ids=["below", "in-window", "beyond"])
def test_a_forged_rst_ends_nothing(seq: int) -> None:
    """Its receiver answers or ignores it, and the connection goes on.

    So it does not count as a packet either.
    """
    wire = Wire()
    wire.connect()
    wire.to_client((seq, 101, RST), S)
    assert wire.flows.due_ns == 9 * S
    assert len(wire.flows.expired(9 * S)) == 1


def test_a_connection_that_began_earlier_is_not_touched() -> None:
    """Its ends are not known."""
    wire = Wire()
    wire.to_server((101, 501, ACK), 0)
    assert wire.flows.due_ns is None


def test_checksums_are_right() -> None:
    """Of the IP header, and of TCP with its pseudo header: with the checksum in, the sum is all
    ones.
    """
    for ends in ((CLIENT, SERVER), (("fd77::1", 4), ("fd77::2", 5))):
        seen = middlebox_resetter.parse(frame(*ends, 1, 2**32 - 1, ACK))
        assert seen is not None
        made = middlebox_resetter.reset(seen)
        assert made[:6] == b"\x02ssss\x02"
        assert made[6:12] == b"\x02dddd\x01"
        tcp, addresses = made[-20:], made[26:34] if len(made) == 54 else made[22:54]
        assert internet_checksum(addresses + struct.pack("!II", 20, 6) + tcp) == 0
        if len(made) == 54:
            assert internet_checksum(made[14:34]) == 0


@pytest.mark.parametrize("length", range(0, 54, 3))
def test_frames_cut_short_are_none(length: int) -> None:
    """Never an error."""
    assert middlebox_resetter.parse(frame(CLIENT, SERVER, 1, 2, ACK)[:length]) is None
