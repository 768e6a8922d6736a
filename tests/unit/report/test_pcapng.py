from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.report.pcapng import write
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


def written(path: Path, *events: Event) -> list[Block]:
    """The blocks of a file made from these events."""
    write(path / "run.pcapng", events)
    return read((path / "run.pcapng").read_bytes())


def test_interfaces(tmp_path: Path) -> None:
    """Each device of each host is one interface, named after both, with times in nanoseconds."""
    blocks = written(tmp_path, OPENED, segment(1), segment(2, "server"), segment(3), segment(4, device="eth1"))
    assert [block.kind for block in blocks] == [SECTION] + [INTERFACE] * 3 + [PACKET] * 4
    section, *interfaces = blocks[:4]
    assert struct.unpack("<IHHq", section.body) == (0x1A2B3C4D, 1, 0, -1)
    names = [interface.option(2)[0] for interface in interfaces]
    assert names == [b"client/eth0", b"server/eth0", b"client/eth1"]
    for interface in interfaces:
        assert struct.unpack_from("<H", interface.body) == (1,)
        assert interface.option(9) == [b"\x09"]
    assert [struct.unpack_from("<I", block.body)[0] for block in blocks[4:]] == [0, 1, 0, 2]


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
    """What happened is a comment on the first frame at or after it, or on the last one."""
    fault = Event(1_500_000_000, "fault.injected", "router", {"kind": "blackhole"})
    noticed = Event(2_000_000_000, "subject.detected", "client", {"errno": "ETIMEDOUT"})
    packets = written(
        tmp_path,
        OPENED,
        segment(2_000_000_000),
        segment(1_000_000_000),
        fault,
        Event(1_600_000_000, "lab.ready", "harness"),
        segment(1_600_000_000),
        noticed,
    )[2:]
    assert [packet.option(1) for packet in packets] == [
        [],
        [b"1.500000 s: fault.injected router kind=blackhole"],
        [b"2.000000 s: subject.detected client errno=ETIMEDOUT"],
    ]


def test_no_frames(tmp_path: Path) -> None:
    """A run in which nothing was captured makes a valid file that still tells what happened."""
    ended = Event(10, "run.ended", "harness", {"reason": "detected"})
    (section,) = written(tmp_path, OPENED, ended)
    assert section.option(1) == [b"0.000000 s: run.ended harness reason=detected"]


def test_without_the_origin(tmp_path: Path) -> None:
    """A timeline that does not say when it was opened is refused, with what is missing."""
    with pytest.raises(UsageError, match='expected a timeline with an "opened" event'):
        write(tmp_path / "run.pcapng", [segment(1)])


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**13),
            st.sampled_from(["segment", "fault.healed", "run.ended"]),
            st.binary(max_size=192),
            st.text(max_size=8),
        )
    )
)
def test_structure(tmp_path_factory: pytest.TempPathFactory, found: list[tuple[int, str, bytes, str]]) -> None:
    """Whatever was captured, every frame is there once, in order of time, and no remark is lost."""
    events = [OPENED]
    for t_ns, kind, octets, text in found:
        data = {"host": text, "device": "eth0", "way": "in", "frame": octets.hex()}
        events.append(Event(t_ns, kind, text, data if kind == "segment" else {"text": text}))
    path = tmp_path_factory.getbasetemp() / "structure.pcapng"
    count = write(path, events)
    blocks = read(path.read_bytes())
    packets = [block for block in blocks if block.kind == PACKET]
    times = [struct.unpack_from("<xxxxII", packet.body) for packet in packets]
    assert len(packets) == count == sum(kind == "segment" for _, kind, _, _ in found)
    assert times == sorted(times)
    assert sum(len(block.option(1)) for block in blocks) == len(found) - count
