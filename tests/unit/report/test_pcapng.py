from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.model.topology import SIDES, Side
from harness.report.pcapng import FILES, write
from harness.timeline import Event

REALTIME = 1_700_000_000_123_456_789
OPENED = Event(0, "opened", "harness", {"monotonic_ns": 5, "realtime_ns": REALTIME})
SECTION, INTERFACE, PACKET = 0x0A0D0D0A, 1, 6


class Block(NamedTuple):
    """A block, read by the format's description alone: its fixed part and its options."""

    kind: int
    body: bytes
    options: list[tuple[int, bytes]]

    def option(self, code: int) -> list[bytes]:
        """All values of an option."""
        return [value for found, value in self.options if found == code]


def read(content: bytes) -> list[Block]:
    """All blocks of a file, whose framing is checked."""
    blocks = []
    while content:
        kind, total = struct.unpack_from("<II", content)
        assert total % 4 == 0
        assert struct.unpack_from("<I", content, total - 4) == (total,)
        body = content[8 : total - 4]
        fixed = {SECTION: 16, INTERFACE: 8, PACKET: 20}[kind]
        if kind == PACKET:
            fixed += (struct.unpack_from("<I", body, 12)[0] + 3) // 4 * 4
        blocks.append(Block(kind, body[:fixed], read_options(body[fixed:])))
        content = content[total:]
    return blocks


def read_options(content: bytes) -> list[tuple[int, bytes]]:
    """Options as (code, value), up to the one that ends them."""
    options: list[tuple[int, bytes]] = []
    while True:
        code, length = struct.unpack_from("<HH", content)
        if code == 0:
            assert content == bytes(4)
            return options
        options.append((code, content[4 : 4 + length]))
        content = content[4 + (length + 3) // 4 * 4 :]


def segment(t_ns: int, host: str = "client", way: str = "out", **data: Any) -> Event:
    """A captured frame."""
    given_data = {"host": host, "device": "eth0", "way": way, "frame": "00" * 54, **data}
    return Event(t_ns, "segment", host, given_data)


def written(path: Path, *events: Event, side: Side = "client") -> list[Block]:
    """The blocks of an end's file, made from these events."""
    write(path, events)
    return read((path / FILES[side]).read_bytes())


def test_each_end_has_a_file_of_its_own(tmp_path: Path) -> None:
    """A segment that both ends saw is once in each file, so that no reader takes it for a
    retransmission.
    """
    assert write(tmp_path, [OPENED, segment(1), segment(2, "server", "in"), segment(3)]) == {
        "client": 2,
        "server": 1,
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["client.pcapng", "server.pcapng"]
    for side, packets in (("client", 2), ("server", 1)):
        blocks = read((tmp_path / f"{side}.pcapng").read_bytes())
        assert [block.kind for block in blocks] == [SECTION, INTERFACE] + [PACKET] * packets
        assert blocks[1].option(2) == [f"{side}/eth0".encode()]


def test_a_link_in_a_files_place_is_not_followed(tmp_path: Path) -> None:
    """A program under test may write in the run's folder, and must not choose what else is
    written.
    """
    (tmp_path / "kept").write_bytes(b"kept")
    (tmp_path / FILES["client"]).symlink_to(tmp_path / "kept")
    with pytest.raises(OSError, match="symbolic links"):
        write(tmp_path, [OPENED])
    assert (tmp_path / "kept").read_bytes() == b"kept"


def test_interfaces(tmp_path: Path) -> None:
    """Each device of an end is one interface, named after both, with times in nanoseconds."""
    blocks = written(tmp_path, OPENED, segment(1), segment(3), segment(4, device="eth1"))
    assert [block.kind for block in blocks] == [SECTION] + [INTERFACE] * 2 + [PACKET] * 3
    section, *interfaces = blocks[:3]
    assert struct.unpack("<IHHq", section.body) == (0x1A2B3C4D, 1, 0, -1)
    names = [interface.option(2)[0] for interface in interfaces]
    assert names == [b"client/eth0", b"client/eth1"]
    for interface in interfaces:
        assert struct.unpack_from("<H", interface.body) == (1,)
        assert interface.option(9) == [b"\x09"]
    assert [struct.unpack_from("<I", block.body)[0] for block in blocks[3:]] == [0, 0, 1]


def test_packet(tmp_path: Path) -> None:
    """A frame has the wall clock's time to the nanosecond, its direction and both its lengths."""
    frame = bytes(range(55))
    (out, back) = written(
        tmp_path,
        OPENED,
        segment(987_654_321, frame=frame.hex(), wire_length=1514),
        segment(2_000_000_000, way="in"),
    )[2:]
    _, high, low, captured, length = struct.unpack_from("<IIIII", out.body)
    assert high << 32 | low == REALTIME + 987_654_321
    assert (captured, length) == (55, 1514)
    assert out.body[20:75] == frame
    assert out.option(2) == [b"\x02\x00\x00\x00"]
    assert back.option(2) == [b"\x01\x00\x00\x00"]


def test_comments(tmp_path: Path) -> None:
    """Fault, healing and detection are comments on the nearest frame, with how far away that is."""
    events = [
        OPENED,
        Event(1_000_000_000, "subject.armed", "server", {"side": "server"}),
        segment(2_100_000_000),
        segment(1_000_000_000),
        Event(1_100_000_000, "subject.armed", "client", {"side": "client"}),
        Event(
            1_500_000_000,
            "fault.injected",
            "fault",
            {"index": 0, "fault": "blackhole", "took_ns": 5},
        ),
        Event(1_550_000_000, "lab.ready", "harness"),
        Event(
            2_100_000_000, "subject.detected", "client", {"side": "client", "errno": "ETIMEDOUT"}
        ),
        Event(
            2_350_000_000, "fault.healed", "fault", {"index": 0, "fault": "blackhole", "took_ns": 5}
        ),
    ]
    packets = written(tmp_path, *events)[2:]
    assert [[text.decode() for text in packet.option(1)] for packet in packets] == [
        [
            "subject.armed server side=server, 0.100000 s before arming (with this frame)",
            (
                "subject.armed client side=client, 0.000000 s after arming (0.100000 s after "
                "this frame)"
            ),
            "fault 0 (blackhole) injected, 0.400000 s after arming (0.500000 s after this frame)",
        ],
        [
            "client detected: ETIMEDOUT, 1.000000 s after arming (with this frame)",
            "fault 0 (blackhole) healed, 1.250000 s after arming (0.250000 s after this frame)",
        ],
    ]
    (near,) = written(tmp_path, OPENED, segment(2_000_000_000), events[5])[2:]
    expected = (
        b"fault 0 (blackhole) injected, 1.500000 s after the run began (0.500000 s before this "
        b"frame)"
    )
    assert near.option(1) == [expected]


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        (
            "fault.evidence",
            {"index": 1, "fault": "nat", "level": "bit", "found": "2 dropped"},
            "fault 1 (nat) evidence: bit, 2 dropped",
        ),
        ("subject.eof", {"side": "server"}, "server detected: end of file"),
        (
            "subject.noticed",
            {"side": "server", "how": "exit", "found": "status 3"},
            "server detected: exit, status 3",
        ),
        ("run.ended", {"reason": "noticed"}, "run.ended server reason=noticed"),
    ],
)
def test_words_of_comments(tmp_path: Path, kind: str, data: dict[str, Any], words: str) -> None:
    """A comment says what happened before it says when."""
    (frame,) = written(tmp_path, OPENED, segment(5), Event(5, kind, "server", data))[2:]
    assert frame.option(1)[0].decode().startswith(f"{words}, ")


def test_no_frames(tmp_path: Path) -> None:
    """An end that captured nothing has a valid file, which still tells what happened."""
    ended = Event(10, "run.ended", "harness", {"reason": "detected"})
    (section,) = written(tmp_path, OPENED, ended, segment(5), side="server")
    assert section.option(1) == [
        b"run.ended harness reason=detected, 0.000000 s after the run began"
    ]


def test_without_the_origin(tmp_path: Path) -> None:
    """A timeline that does not say when it was opened is refused, with what is missing."""
    with pytest.raises(UsageError, match='expected a timeline with an "opened" event'):
        write(tmp_path, [segment(1)])


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**13),
            st.sampled_from(["segment", "fault.healed", "run.ended"]),
            st.binary(max_size=192),
            st.sampled_from(SIDES),
            st.text(max_size=8),
        )
    )
)
def test_structure(
    tmp_path_factory: pytest.TempPathFactory, found: list[tuple[int, str, bytes, Side, str]]
) -> None:
    """Whatever was captured, every frame is once in its end's file, in order of time, with every
    comment in both.
    """
    events = [OPENED]
    for t_ns, kind, octets, side, text in found:
        data = {"host": side, "device": text, "way": "in", "frame": octets.hex()}
        events.append(Event(t_ns, kind, text, data if kind == "segment" else {"text": text}))
    folder = tmp_path_factory.getbasetemp()
    counts = write(folder, events)
    for side in SIDES:
        blocks = read((folder / FILES[side]).read_bytes())
        packets = [block for block in blocks if block.kind == PACKET]
        times = [struct.unpack_from("<xxxxII", packet.body) for packet in packets]
        assert (
            len(packets)
            == counts[side]
            == sum((each[1], each[3]) == ("segment", side) for each in found)
        )
        assert times == sorted(times)
        assert sum(len(block.option(1)) for block in blocks) == sum(
            each[1] != "segment" for each in found
        )
