from __future__ import annotations

import socket
import struct
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.probes.packets import FlowTracker, Icmp, Role, Segment, parse

CLIENT, SERVER = ("10.77.1.1", 40000), ("10.77.2.2", 7)
FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32, "E": 64, "C": 128}


def tcp(
    flags: str = "A", *, seq: int = 0, ack: int = 0, payload: bytes = b"", options: bytes = b""
) -> bytes:
    """A segment from CLIENT's port to SERVER's."""
    offset = (20 + len(options)) // 4 << 4
    bits = sum(FLAGS[flag] for flag in flags)
    return (
        struct.pack("!HHIIBBHHH", 40000, 7, seq, ack, offset, bits, 502, 0, 0) + options + payload
    )


def ipv4(payload: bytes, *, protocol: int = 6, options: bytes = b"", fragment: int = 0) -> bytes:
    """A packet from CLIENT to SERVER."""
    header = 20 + len(options)
    words = (0x40 + header // 4, 0, header + len(payload), 1, fragment, 64, protocol, 0)
    ends = socket.inet_aton(CLIENT[0]) + socket.inet_aton(SERVER[0])
    return struct.pack("!BBHHHBBH", *words) + ends + options + payload


def ipv6(payload: bytes, *, following: int = 6) -> bytes:
    """A packet from fd77::1 to fd77::2."""
    ends = b"".join(socket.inet_pton(socket.AF_INET6, f"fd77::{end}") for end in (1, 2))
    return struct.pack("!IHBB", 6 << 28, len(payload), following, 64) + ends + payload


def ethernet(packet: bytes) -> bytes:
    """A frame around a packet."""
    ethertype = b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00"
    return bytes(12) + ethertype + packet


def test_ipv4_with_options() -> None:
    """IP and TCP options are skipped, and padding at the end is no payload."""
    segment = tcp("PA", seq=2**32 - 1, ack=5, payload=b"hello", options=bytes(12))
    frame = ethernet(ipv4(segment, options=bytes(8))) + bytes(6)
    expected = Segment(*CLIENT, *SERVER, 2**32 - 1, 5, "PA", length=5, window=502)
    assert parse(frame) == expected


@pytest.mark.parametrize("extension", [0, 43, 60])
def test_ipv6_extension_headers(extension: int) -> None:
    """An IPv6 segment is found behind headers of the common layout, and without any."""
    expected = Segment("fd77::1", 40000, "fd77::2", 7, 1, 0, "S", length=2, window=502)
    segment = tcp("S", seq=1, payload=b"ab")
    assert parse(ethernet(ipv6(segment))) == expected
    behind = bytes([6, 1]) + bytes(14) + segment
    assert parse(ethernet(ipv6(behind, following=extension))) == expected


@pytest.mark.parametrize("flags", ["SA", "R", "RA", "FA", "A", "PA", "FPA", "SEC", ""])
def test_flags_order(flags: str) -> None:
    """Flags read as they are usually written: what the segment does before what it acknowledges."""
    segment = parse(ethernet(ipv4(tcp(flags))))
    assert isinstance(segment, Segment)
    assert segment.flags == flags


def test_cut_short() -> None:
    """The payload's length comes from the IP header, so a frame may end anywhere behind TCP's."""
    frame = ethernet(ipv4(tcp("PA", payload=bytes(1000))))
    whole = parse(frame)
    assert isinstance(whole, Segment)
    assert whole.length == 1000
    assert parse(frame[:192]) == parse(frame[:54]) == whole
    assert all(parse(frame[:end]) is None for end in range(54))


@pytest.mark.parametrize(
    ("packet", "kind"),
    [
        pytest.param(ipv4(b"\x03\x01" + bytes(6) + ipv4(tcp(seq=9)), protocol=1), 3, id="ipv4"),
        pytest.param(ipv6(b"\x01\x00" + bytes(6) + ipv6(tcp(seq=9)), following=58), 1, id="ipv6"),
    ],
)
def test_icmp_error_quotes_the_segment(packet: bytes, kind: int) -> None:
    """An ICMP error names the segment that it is about."""
    error = parse(ethernet(packet))
    assert isinstance(error, Icmp)
    assert error.type == kind
    assert error.about is not None
    assert (error.about.seq, error.about.flags, error.about.length) == (9, "A", 0)


def test_icmp_error_with_eight_octets() -> None:
    """An ICMP error that quotes only eight octets of TCP still tells ports and sequence number."""
    quoted = ipv4(tcp("PA", seq=9, ack=4, payload=b"abc"))[:28]
    error = parse(ethernet(ipv4(b"\x03\x03" + bytes(6) + quoted, protocol=1)))
    about = Segment(*CLIENT, *SERVER, 9, 0, "", length=3, window=0)
    assert error == Icmp(CLIENT[0], SERVER[0], 3, 3, about)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(bytes(12) + b"\x08\x06" + bytes(28), id="arp"),
        pytest.param(ethernet(ipv4(bytes(8), protocol=17)), id="udp"),
        pytest.param(ethernet(ipv4(b"\x08\x00" + bytes(6), protocol=1)), id="echo"),
        pytest.param(ethernet(ipv6(bytes([135]) + bytes(23), following=58)), id="neighbour"),
        pytest.param(ethernet(ipv4(tcp(), fragment=100)), id="later fragment"),
        pytest.param(bytes(12) + b"\x86\xdd" + ipv4(tcp()), id="wrong version"),
        pytest.param(ethernet(ipv4(tcp()[:12] + b"\x40" + tcp()[13:])), id="short offset"),
        pytest.param(ethernet(ipv4(tcp()[:12] + b"\xf0" + tcp()[13:])), id="long offset"),
    ],
)
def test_other_frames(frame: bytes) -> None:
    """What is neither TCP nor an ICMP error, or contradicts itself, is None."""
    assert parse(frame) is None


@given(
    st.one_of(
        st.binary(max_size=200),
        st.builds(lambda rest: bytes(12) + b"\x08\x00\x45" + rest, st.binary(max_size=120)),
        st.builds(lambda rest: bytes(12) + b"\x86\xdd\x60" + rest, st.binary(max_size=120)),
        st.builds(lambda rest: ethernet(ipv4(b"\x03" + rest, protocol=1)), st.binary(max_size=80)),
        st.builds(lambda rest: ethernet(ipv6(rest, following=0)), st.binary(max_size=80)),
    )
)
def test_parse_never_raises(frame: bytes) -> None:
    """No frame makes the parser fail, and nothing that it reads is negative."""
    seen = parse(frame)
    about = seen.about if isinstance(seen, Icmp) else seen
    assert about is None or about.length >= 0


class Talk:
    """A conversation: sequence numbers count from where each side begins, modulo 2**32."""

    def __init__(self, client: int = 1000, server: int = 5000) -> None:
        self.tracker = FlowTracker()
        self.begins = (client, server)

    def client(self, flags: str, seq: int, ack: int = 0, length: int = 0) -> Role:
        """What the client's segment is."""
        return self._say(flags, seq, ack, length, back=False)

    def server(self, flags: str, seq: int, ack: int = 0, length: int = 0) -> Role:
        """What the server's segment is."""
        return self._say(flags, seq, ack, length, back=True)

    def handshake(self) -> list[Role]:
        """The roles of its three segments."""
        return [self.client("S", 0), self.server("SA", 0, 1), self.client("A", 1, 1)]

    def _say(self, flags: str, seq: int, ack: int, length: int, *, back: bool) -> Role:
        ends = (*SERVER, *CLIENT) if back else (*CLIENT, *SERVER)
        mine, other = reversed(self.begins) if back else self.begins
        acked = (other + ack) % 2**32 if "A" in flags else 0
        return self.tracker.classify(
            Segment(*ends, (mine + seq) % 2**32, acked, flags, length, window=502)
        )


@given(client=st.integers(0, 2**32 - 1), server=st.integers(0, 2**32 - 1))
@example(client=2**32 - 2, server=2**32 - 1)
@example(client=2**32 - 4, server=0)
@example(client=2**31 - 1, server=2**31)
def test_a_whole_connection(client: int, server: int) -> None:
    """Roles are right from the handshake to the end, wherever sequence numbers begin and wrap."""
    talk = Talk(client, server)
    assert talk.handshake() == ["syn", "syn-ack", "ack"]
    assert talk.client("A", 0, 1) == "probe"
    assert talk.server("A", 1, 1) == "answer"
    assert talk.client("PA", 1, 1, length=3) == "data"
    assert talk.client("PA", 1, 1, length=3) == "retransmit"
    assert talk.server("A", 1, 4) == "ack"
    assert talk.server("PA", 1, 4, length=10) == "data"
    assert talk.client("A", 4, 11) == "ack"
    assert talk.server("A", 10, 4) == "probe"
    assert talk.client("A", 4, 11) == "answer"
    assert talk.client("A", 3, 11) == "probe"
    assert talk.client("A", 3, 11) == "probe"
    assert talk.server("FA", 11, 4) == "fin"
    assert talk.client("RA", 4, 11) == "rst"


def test_both_sides_probe() -> None:
    """Probes that cross are both probes, and each gets its own answer."""
    talk = Talk()
    talk.handshake()
    assert talk.client("A", 0, 1) == "probe"
    assert talk.server("A", 0, 1) == "probe"
    assert talk.server("A", 1, 1) == "answer"
    assert talk.client("A", 1, 1) == "answer"
    assert talk.client("A", 1, 1) == "ack"


def test_one_answer_settles_all_probes_before_it() -> None:
    """After lost probes, one pure ACK is the answer; the next is an ACK like any other."""
    talk = Talk()
    talk.handshake()
    assert [talk.client("A", 0, 1) for _ in range(3)] == ["probe"] * 3
    assert talk.server("A", 1, 1) == "answer"
    assert talk.server("A", 1, 1) == "ack"


def test_data_that_crosses_a_probe_is_not_its_answer() -> None:
    """Data on its way when a probe is sent stays data; the ACK behind it is the answer."""
    talk = Talk()
    talk.handshake()
    assert talk.client("A", 0, 1) == "probe"
    assert talk.server("PA", 1, 1, length=5) == "data"
    assert talk.server("A", 6, 1) == "answer"


def test_probe_with_one_octet() -> None:
    """A probe that repeats the last octet is one; pushed data of one octet sent again is not."""
    talk = Talk()
    talk.handshake()
    assert talk.client("PA", 1, 1, length=1) == "data"
    assert talk.server("A", 1, 2) == "ack"
    assert talk.client("PA", 1, 1, length=1) == "retransmit"
    assert talk.client("A", 1, 1, length=1) == "probe"
    assert talk.server("A", 1, 2) == "answer"


def test_zero_window_probe_counts_as_probe() -> None:
    """With unsent data behind a closed window the probe has the same form, and the same role."""
    talk = Talk()
    talk.handshake()
    assert talk.client("A", 1, 1, length=1000) == "data"
    assert talk.server("A", 1, 1001) == "ack"
    assert talk.client("A", 1000, 1) == "probe"
    assert talk.server("A", 1, 1001) == "answer"


def test_data_in_flight_is_not_probed() -> None:
    """With data unacknowledged, an ACK at its end is an ACK, and a probe counts from its
    beginning.
    """
    talk = Talk()
    talk.handshake()
    assert talk.client("A", 1, 1, length=1000) == "data"
    assert talk.client("A", 1001, 1) == "ack"
    assert talk.client("A", 1000, 1) == "ack"
    assert talk.client("A", 0, 1) == "probe"


def test_partly_new_payload_is_data() -> None:
    """A segment that repeats old octets and adds new ones is data."""
    talk = Talk()
    talk.handshake()
    assert talk.client("PA", 1, 1, length=3) == "data"
    assert talk.client("PA", 1, 1, length=6) == "data"
    assert talk.client("PA", 4, 1, length=3) == "retransmit"


@given(st.integers(0, 2**32 - 1))
@example(2**32 - 100)
def test_a_start_in_the_middle(begin: int) -> None:
    """Without the handshake, the first probe may pass as an ACK.

    From its answer on, all are known.
    """
    talk = Talk(begin, (begin + 2**31) % 2**32)
    assert talk.client("A", 99, 1) == "ack"
    assert talk.server("A", 1, 100) == "ack"
    assert talk.client("A", 99, 1) == "probe"
    assert talk.server("A", 1, 100) == "answer"
    assert talk.server("A", 0, 100) == "probe"


def test_forged_segments_do_not_confuse() -> None:
    """After an RST, a SYN and impossible ACKs from outside, probes and answers are still known."""
    talk = Talk()
    talk.handshake()
    assert talk.server("RA", 90_000, 1) == "rst"
    assert talk.server("S", 3) == "syn"
    assert talk.client("A", 1, 1) == "ack"
    assert talk.server("A", 1, 70_000) == "ack"
    assert talk.server("FA", 1, 70_000) == "fin"
    assert talk.client("A", 0, 1) == "probe"
    assert talk.server("A", 1, 1) == "answer"


def test_ports_used_again() -> None:
    """A new connection on the same ports is followed from its own sequence numbers."""
    talk = Talk()
    talk.handshake()
    assert talk.client("PA", 1, 1, length=500) == "data"
    talk.begins = (999, 3_000_000_000)
    assert talk.handshake() == ["syn", "syn-ack", "ack"]
    assert talk.client("PA", 1, 1, length=5) == "data"
    assert talk.server("A", 1, 6) == "ack"
    assert talk.client("A", 5, 1) == "probe"
    assert talk.server("A", 1, 6) == "answer"


def test_handshake_sent_again() -> None:
    """A SYN-ACK that comes twice changes nothing."""
    talk = Talk()
    talk.handshake()
    assert talk.client("PA", 1, 1, length=5) == "data"
    assert talk.server("SA", 0, 1) == "syn-ack"
    assert talk.client("PA", 1, 1, length=5) == "retransmit"


def test_devices_are_told_apart() -> None:
    """A router sees each segment on two devices; being forwarded does not make it sent again."""
    talk = Talk()
    data = Segment(*CLIENT, *SERVER, 1001, 5001, "PA", 10, 502)
    answered = Segment(*SERVER, *CLIENT, 5001, 1011, "A", 0, 502)
    probe = Segment(*CLIENT, *SERVER, 1010, 5001, "A", 0, 502)
    roles = [
        talk.tracker.classify(segment, device)
        for segment in (data, answered, probe, answered)
        for device in ("to-client", "to-server")
    ]
    assert roles == list(_twice(["data", "ack", "probe", "answer"]))


def _twice(roles: Iterable[str]) -> Iterable[str]:
    return (role for role in roles for _ in range(2))


@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.sampled_from(["S", "SA", "A", "PA", "FA", "R", ""]),
            st.integers(-3, 3),
            st.integers(-3, 3),
            st.integers(0, 2),
        )
    )
)
def test_any_order_of_segments_has_roles(
    said: list[tuple[bool, str, int, int, int]],
) -> None:
    """No sequence of segments makes the tracker fail, and flags that decide a role decide it."""
    talk = Talk(0, 2**31)
    for back, flags, seq, ack, length in said:
        role = (talk.server if back else talk.client)(flags, seq, ack, length)
        assert (role == "rst") == ("R" in flags)
        assert (role in ("syn", "syn-ack")) == ("S" in flags)
        assert role not in ("probe", "answer") or length <= 1
