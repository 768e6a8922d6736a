"""A run's captured frames as a pcapng file, for Wireshark, tshark or tcpdump.

Each device of each host is an interface of the file, "host/device"; times are those of the wall clock,
in nanoseconds. What else happened (faults, detections) is a comment on the first frame after it.
Format: draft-ietf-opsawg-pcapng, whose option and block numbers are used here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.errors import UsageError
from harness.timeline import Event

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_BYTE_ORDER = 0x1A2B3C4D
_LINKTYPE_ETHERNET = 1
_COMMENT, _APPLICATION, _NAME, _FLAGS, _RESOLUTION = 1, 4, 2, 2, 9
_WAYS = {"in": 1, "out": 2}
_COMMENTED = ("fault.", "subject.", "run.")

_Option = tuple[int, bytes]


def write(path: Path, events: Iterable[Event]) -> int:
    """Write the timeline's "segment" events to `path`; return how many frames that made.

    Frames are sorted by time, as a timeline lists them in the order in which they were read. Raises
    UsageError if the timeline lacks the "opened" event, which relates its times to the wall clock.
    """
    ordered = sorted(events, key=lambda event: event.t_ns)
    opened = next((event for event in ordered if event.kind == "opened"), None)
    if opened is None:
        raise UsageError(f'{path}: expected a timeline with an "opened" event, found none')
    origin = int(opened.data["realtime_ns"])
    frames = list(_commented(ordered))
    if not frames:
        remarks = [_remark(event) for event in ordered if _is_commented(event)]
        path.write_bytes(_section(remarks))
        return 0
    interfaces: dict[str, int] = {}
    for frame, _ in frames:
        interfaces.setdefault(_interface_name(frame), len(interfaces))
    with path.open("wb") as file:
        file.write(_section([]))
        file.writelines(map(_interface, interfaces))
        for frame, remarks in frames:
            number = interfaces[_interface_name(frame)]
            file.write(_packet(frame, number, origin + frame.t_ns, remarks))
    return len(frames)


def _commented(ordered: list[Event]) -> Iterator[tuple[Event, list[str]]]:
    """Each frame with the remarks on it; what happened after the last frame is remarked there."""
    last = max((at for at, event in enumerate(ordered) if event.kind == "segment"), default=-1)
    remarks: list[str] = []
    for event in ordered[:last]:
        if event.kind == "segment":
            yield event, remarks
            remarks = []
        elif _is_commented(event):
            remarks.append(_remark(event))
    if last >= 0:
        remarks.extend(_remark(event) for event in ordered[last:] if _is_commented(event))
        yield ordered[last], remarks


def _is_commented(event: Event) -> bool:
    return event.kind.startswith(_COMMENTED)


def _remark(event: Event) -> str:
    """An event as text; its time is in seconds since the timeline was opened."""
    details = "".join(f" {key}={value}" for key, value in event.data.items())
    return f"{event.t_ns / 1e9:.6f} s: {event.kind} {event.source}{details}"


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
