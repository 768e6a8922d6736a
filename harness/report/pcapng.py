"""A run's captured frames as pcapng files, one for each end, for Wireshark, tshark or tcpdump.

Both ends see the same segments. In one file Wireshark would take every second frame for a
retransmission, as it does not tell interfaces apart when it follows a connection. Within an end's
file each device is an interface, "host/device". Times are those of the wall clock, in nanoseconds.

What else happened (faults, healing, detection) is a comment on the frame that is nearest in time;
the comment says how far away the frame is. Wireshark lists them under Statistics > Capture File
Properties, and `frame.comment` filters. Format: draft-ietf-opsawg-pcapng, whose option and block
numbers are used here.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.errors import UsageError
from harness.model.topology import SIDES, Side
from harness.system import plain_files
from harness.timeline import Event

FILES = {side: f"{side}.pcapng" for side in SIDES}
"""The name of each end's file."""
_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_BYTE_ORDER = 0x1A2B3C4D
_LINKTYPE_ETHERNET = 1
_COMMENT, _APPLICATION, _NAME, _FLAGS, _RESOLUTION = 1, 4, 2, 2, 9
_WAYS = {"in": 1, "out": 2}
_COMMENTED = ("fault.", "subject.", "run.")
_DONE = {"fault.injected": "injected", "fault.healed": "healed"}

_Option = tuple[int, bytes]


def write(folder: Path, events: Iterable[Event], *, observer: Side = "client") -> dict[Side, int]:
    """Write each end's captured frames to its file in `folder`; return how many frames each has.

    Frames are sorted by time, as a timeline lists them in the order in which they were read. Times
    in comments count from the arming of `observer`. Raises UsageError if the timeline lacks the
    "opened" event, which relates its times to the wall clock.
    """
    ordered = sorted(events, key=lambda event: event.t_ns)
    opened = next((event for event in ordered if event.kind == "opened"), None)
    if opened is None:
        raise UsageError(f'{folder}: expected a timeline with an "opened" event, found none')
    realtime_ns = int(opened.data["realtime_ns"])
    happened = [event for event in ordered if event.kind.startswith(_COMMENTED)]
    armed = [
        e.t_ns for e in ordered if e.kind == "subject.armed" and e.data.get("side") == observer
    ]
    remarks = [(event.t_ns, _remark(event, armed[-1] if armed else None)) for event in happened]
    counts = {}
    for side, name in FILES.items():
        frames = [
            event for event in ordered if event.kind == "segment" and event.data["host"] == side
        ]
        plain_files.write(folder / name, b"".join(_blocks(frames, remarks, realtime_ns)))
        counts[side] = len(frames)
    return counts


def _blocks(
    frames: Sequence[Event], remarks: Sequence[tuple[int, str]], realtime_ns: int
) -> list[bytes]:
    """One end's file. Without a frame that could have them, the section has the comments."""
    if not frames:
        return [_section([remark for _, remark in remarks])]
    comments = _commented([frame.t_ns for frame in frames], remarks)
    numbers: dict[str, int] = {}
    for frame in frames:
        numbers.setdefault(_interface_name(frame), len(numbers))
    packets = [
        _packet(frame, numbers[_interface_name(frame)], realtime_ns + frame.t_ns, some)
        for frame, some in zip(frames, comments, strict=True)
    ]
    return [_section([]), *map(_interface, numbers), *packets]


def _commented(times_ns: Sequence[int], remarks: Sequence[tuple[int, str]]) -> list[list[str]]:
    """The comments of each frame: what happened nearer to it than to any other."""
    comments: list[list[str]] = [[] for _ in times_ns]
    for t_ns, remark in remarks:
        after = bisect_left(times_ns, t_ns)
        around = range(max(after - 1, 0), min(after + 1, len(times_ns)))
        nearest = min(around, key=lambda at: abs(times_ns[at] - t_ns))
        apart_ns = t_ns - times_ns[nearest]
        place = f"{abs(apart_ns) / 1e9:.6f} s {'before' if apart_ns < 0 else 'after'} this frame"
        comments[nearest].append(f"{remark} ({place if apart_ns else 'with this frame'})")
    return comments


def _remark(event: Event, armed_ns: int | None) -> str:
    """An event as text, with its time in seconds: after arming, or where nothing was armed since
    the run began.
    """
    since_ns, origin = (
        (event.t_ns, "the run began") if armed_ns is None else (event.t_ns - armed_ns, "arming")
    )
    when = f"{abs(since_ns) / 1e9:.6f} s {'before' if since_ns < 0 else 'after'} {origin}"
    return f"{_words(event)}, {when}"


def _words(event: Event) -> str:
    data = dict(event.data)
    if event.kind in _DONE:
        return f"fault {data.get('index')} ({data.get('fault')}) {_DONE[event.kind]}"
    if event.kind == "fault.evidence":
        return (
            f"fault {data.get('index')} ({data.get('fault')}) evidence: {data.get('level')}, "
            f"{data.get('found')}"
        )
    if event.kind == "subject.detected":
        return f"{event.source} detected: {data.get('errno')}"
    if event.kind == "subject.eof":
        return f"{event.source} detected: end of file"
    if event.kind == "subject.noticed":
        return f"{event.source} detected: {data.get('how')}, {data.get('found')}"
    details = "".join(f" {key}={value}" for key, value in data.items())
    return f"{event.kind} {event.source}{details}"


def _interface_name(frame: Event) -> str:
    return f"{frame.data['host']}/{frame.data['device']}"


def _section(remarks: list[str]) -> bytes:
    options = [_comment(remark) for remark in remarks]
    options.append((_APPLICATION, b"keepalive-harness"))
    # The section's length is not given: -1.
    return _block(_SECTION, struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1), options)


def _interface(name: str) -> bytes:
    # Snap length 0: no limit. Resolution 9: 10**-9 s.
    body = struct.pack("<HHI", _LINKTYPE_ETHERNET, 0, 0)
    return _block(_INTERFACE, body, [(_NAME, name.encode()), (_RESOLUTION, b"\x09")])


def _packet(frame: Event, interface: int, realtime_ns: int, remarks: list[str]) -> bytes:
    octets = bytes.fromhex(frame.data["frame"])
    high, low = divmod(realtime_ns, 2**32)
    captured = len(octets)
    original = int(frame.data.get("wire_length", captured))
    head = struct.pack("<IIIII", interface, high, low, captured, original)
    options = [_comment(remark) for remark in remarks]
    options.append((_FLAGS, struct.pack("<I", _WAYS[frame.data["way"]])))
    return _block(_PACKET, head + _padded(octets), options)


def _comment(text: str) -> _Option:
    return _COMMENT, text.encode()[:0xFFFF]


def _block(kind: int, body: bytes, options: list[_Option]) -> bytes:
    coded = [struct.pack("<HH", code, len(value)) + _padded(value) for code, value in options]
    content = body + b"".join(coded) + bytes(4)  # an empty option ends them
    total = struct.pack("<I", len(content) + 12)
    return struct.pack("<I", kind) + total + content + total


def _padded(octets: bytes) -> bytes:
    return octets + bytes(-len(octets) % 4)
