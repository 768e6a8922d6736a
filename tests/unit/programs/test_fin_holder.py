"""The program that holds FINs back: which frames go when, and what is in them."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest

from harness.probes.packets import Segment, parse
from harness.programs import fin_holder
from harness.programs.fin_holder import Holder
from harness.system.internet_checksum import internet_checksum

MAC = b"\x02cccc\x81"
CLIENT, SERVER = ("10.77.1.1", 40_000), ("10.77.2.2", 7000)
ACK, PSH_ACK, FIN, RST = 0x10, 0x18, 0x11, 0x04


def frame(
    source: tuple[str, int],
    target: tuple[str, int],
    flags: int,
    *,
    seq: int = 1,
    ack: int = 1,
    data: bytes = b"",
) -> bytes:
    """An Ethernet frame with a TCP segment, without checksums, with 12 octets of options."""
    ends = [ip_address(address).packed for address, _ in (source, target)]
    numbers = (seq % 2**32, ack % 2**32)
    tcp = struct.pack("!HHIIBBHHH", source[1], target[1], *numbers, 0x80, flags, 500, 99, 0)
    tcp += bytes(12) + data
    if len(ends[0]) == 4:
        kind = 0x0800
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0)
    else:
        kind, ip = 0x86DD, struct.pack("!IHBB", 6 << 28, len(tcp), 6, 64)
    return b"\x02tttt\x01" + b"\x02ssss\x02" + struct.pack("!H", kind) + ip + b"".join(ends) + tcp


def leaves(holder: Holder, flags: int, **keys: int | bytes) -> list[str]:
    """The flags of what goes once the server's kernel has sent a segment."""
    holder.see(frame(SERVER, CLIENT, flags, **keys), outgoing=True)  # type: ignore[arg-type]
    return went(holder)


def comes(holder: Holder, flags: int, **keys: int | bytes) -> list[str]:
    """The same once a segment has come to it."""
    holder.see(frame(CLIENT, SERVER, flags, **keys), outgoing=False)  # type: ignore[arg-type]
    return went(holder)


def went(holder: Holder) -> list[str]:
    """The flags of the frames that are to go, which are gone then."""
    segments = [parse(each) for each in holder.sent]
    holder.sent.clear()
    assert all(isinstance(each, Segment) for each in segments)
    return [each.flags for each in segments if isinstance(each, Segment)]


@pytest.fixture
def holder() -> Holder:
    """Of the server, which has sent an acknowledgement of all that it expects next."""
    made = Holder(MAC)
    assert leaves(made, ACK, ack=1) == []
    return made


def test_a_fin_goes_when_data_has_come_and_rst_behind_it(holder: Holder) -> None:
    """However often it is sent until then; from then on nothing is held."""
    assert leaves(holder, FIN, ack=1) == []
    assert leaves(holder, FIN, ack=1) == []
    assert comes(holder, ACK, seq=1) == []
    assert holder.crossed == []
    assert comes(holder, PSH_ACK, seq=1, data=b"GET") == ["FA"]
    assert holder.crossed == [[40_000, 7000]]
    assert leaves(holder, RST) == ["R"]
    assert leaves(holder, FIN) == ["FA"]


def test_an_rst_waits_behind_the_fin_that_is_held(holder: Holder) -> None:
    """And never goes before it; one without a FIN does not wait."""
    assert leaves(holder, RST) == ["R"]
    assert leaves(holder, FIN, ack=1) == []
    assert leaves(holder, RST) == []
    assert comes(holder, PSH_ACK, seq=1, data=b"GET") == ["FA", "R"]


@pytest.mark.parametrize("top", [1000, 3, 2**32 - 1])
def test_data_that_is_sent_again_has_crossed_nothing(top: int) -> None:
    """And what a held FIN acknowledges goes at once: the other end would send again."""
    holder = Holder(MAC)
    assert leaves(holder, FIN, ack=top) == ["A"]
    assert leaves(holder, FIN, ack=top) == []
    assert comes(holder, PSH_ACK, seq=top - 12, data=bytes(12)) == []
    assert comes(holder, PSH_ACK, seq=top, data=b"x") == ["FA"]


def test_a_fin_with_data_does_not_wait(holder: Holder) -> None:
    """It is the answer that somebody waits for."""
    assert leaves(holder, FIN, data=b"answer") == ["FA"]
    assert leaves(holder, FIN) == ["FA"]


def test_a_long_packet_is_none_that_the_next_hop_drops(holder: Holder) -> None:
    """So it must not go twice."""
    assert leaves(holder, FIN, data=bytes(fin_holder.MOST_OCTETS)) == []
    assert leaves(holder, FIN, data=bytes(fin_holder.MOST_OCTETS - 52)) == ["FA"]


def test_what_is_let_go_goes_at_once(holder: Holder) -> None:
    """All that is held, and all that comes later. Nothing has crossed it."""
    assert leaves(holder, FIN, ack=1) == []
    holder.release()
    assert went(holder) == ["FA"]
    assert leaves(holder, RST) == ["R"]
    assert comes(holder, PSH_ACK, seq=1, data=b"GET") == []
    assert holder.crossed == []


def test_connections_are_told_apart(holder: Holder) -> None:
    """By both ends."""
    other = ("10.77.1.1", 40_001)
    assert leaves(holder, FIN, ack=1) == []
    holder.see(frame(other, SERVER, PSH_ACK, seq=1, data=b"GET"), outgoing=False)
    assert went(holder) == []
    assert comes(holder, PSH_ACK, seq=1, data=b"GET") == ["FA"]


def test_what_it_sends_itself_and_what_is_no_tcp_is_passed_over(holder: Holder) -> None:
    """It sees both on the wire."""
    own = frame(SERVER, CLIENT, FIN)
    holder.see(own[:6] + MAC + own[12:], outgoing=True)
    holder.see(b"\xff" * 60, outgoing=True)
    assert comes(holder, PSH_ACK, data=b"GET") == []


@pytest.mark.parametrize("ends", [(SERVER, CLIENT), (("fd77::2", 7000), ("fd77::1", 40_000))])
@pytest.mark.parametrize("data", [b"", b"odd"])
def test_a_frame_goes_from_another_address_with_a_checksum(
    ends: tuple[tuple[str, int], tuple[str, int]], data: bytes
) -> None:
    """It is otherwise the same, without what lies behind its packet."""
    holder = Holder(MAC)
    holder.release()
    given = frame(*ends, FIN, data=data)
    holder.see(given + b"trailer", outgoing=True)
    (sent,) = holder.sent
    assert sent[6:12] == MAC
    assert len(sent) == len(given)
    before, after = parse(given), parse(sent)
    assert before == after
    tcp = sent[-(32 + len(data)) :]
    packed = b"".join(ip_address(address).packed for address, _ in ends)
    pseudo = packed + struct.pack("!II", len(tcp), 6)
    assert internet_checksum(pseudo + tcp + b"\0" * (len(tcp) % 2)) == 0
