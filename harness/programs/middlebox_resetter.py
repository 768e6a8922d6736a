"""A middlebox's RST to both ends of an idle connection, `timeout_s` after the last packet that it
passed on.

A program of its own on a host that forwards: `python -I -S resetter.py ROOT JSON`, with ROOT the
folder of the package and JSON {"timeout_s": S}. It loads the standard library and two small modules
of the package, `harness.system.timerfd` and `harness.system.internet_checksum`. It prints "ready",
then a line of JSON for each connection reset.

A packet is passed on when it leaves the host. Time counts from when the program has seen that, on
CLOCK_MONOTONIC, and an RST has the very sequence number that its receiver expects next, the one it
acknowledged last (RFC 9293, 3.10.7.4; RFC 5961, 3.2). A connection is told by the first sequence
number of its client, which address translation leaves as it is, so each end gets addresses and
ports as it knows them. After a FIN, or an RST with the number that its receiver expects, a
connection is left alone; any other RST is a forgery that ends nothing.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time
from typing import NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])  # run by itself, the program finds the package there

from harness.system.internet_checksum import internet_checksum

SNAP = 192
_ETH_P_ALL = 0x0003
_OUTGOING = 4
_ETHERNET, _IPV4, _IPV6 = 14, 0x0800, 0x86DD
_FIN, _SYN, _RST, _ACK = 0x01, 0x02, 0x04, 0x10
_HOPS = 64


class FramedSegment(NamedTuple):
    """A TCP segment in its frame: addresses as octets, numbers as sent."""

    macs: tuple[bytes, bytes]
    ends: tuple[tuple[bytes, int], tuple[bytes, int]]
    seq: int
    ack: int
    flags: int


class Flow:
    """One connection: by device the last segment that its end there sent, and when a packet was
    last passed on.
    """

    def __init__(self, isn: int) -> None:
        self.isn = isn
        self.seen: dict[str, FramedSegment] = {}
        self.passed_ns: int | None = None


class Flows:
    """Connections by where they were seen.

    `see` every frame in order; `expired` says which to reset.
    """

    def __init__(self, timeout_ns: int) -> None:
        self.timeout_ns = timeout_ns
        self._by_place: dict[tuple[str, frozenset[tuple[bytes, int]]], Flow] = {}
        self._by_isn: dict[int, Flow] = {}

    def see(self, device: str, segment: FramedSegment, now_ns: int, *, outgoing: bool) -> None:
        """Remember a segment that came in on a device, or left by it."""
        place = (device, frozenset(segment.ends))
        if segment.flags & (_SYN | _ACK) == _SYN:
            self._by_place[place] = self._by_isn.setdefault(segment.seq, Flow(segment.seq))
        flow = self._by_place.get(place)
        if flow is None:
            return
        if not outgoing:
            if segment.flags & _ACK:
                flow.seen[device] = segment
        elif segment.flags & _RST:
            receiver = flow.seen.get(device)
            if receiver is None or segment.seq == receiver.ack:
                self._leave(flow)
        elif segment.flags & _FIN:
            self._leave(flow)
        else:
            flow.passed_ns = now_ns

    @property
    def due_ns(self) -> int | None:
        """When the next connection expires, in CLOCK_MONOTONIC ns."""
        passed = [flow.passed_ns for flow in self._by_isn.values() if flow.passed_ns is not None]
        return min(passed) + self.timeout_ns if passed else None

    def expired(self, now_ns: int) -> list[Flow]:
        """Connections that have been idle for long enough; they are left alone from then on."""
        idle = [
            f
            for f in self._by_isn.values()
            if f.passed_ns is not None and now_ns - f.passed_ns >= self.timeout_ns
        ]
        for flow in idle:
            self._leave(flow)
        return idle

    def _leave(self, flow: Flow) -> None:
        self._by_isn.pop(flow.isn, None)
        self._by_place = {
            place: known for place, known in self._by_place.items() if known is not flow
        }


def parse(frame: bytes) -> FramedSegment | None:
    """The TCP segment in an Ethernet frame, or None; IPv6 without extension headers."""
    if len(frame) < _ETHERNET + 40:
        return None
    kind = int.from_bytes(frame[12:14], "big")
    if kind == _IPV4 and frame[23] == socket.IPPROTO_TCP:
        addresses, at = (frame[26:30], frame[30:34]), _ETHERNET + (frame[14] & 15) * 4
    elif kind == _IPV6 and frame[20] == socket.IPPROTO_TCP:
        addresses, at = (frame[22:38], frame[38:54]), _ETHERNET + 40
    else:
        return None
    if len(frame) < at + 20:
        return None
    sport, dport, seq, ack, _, flags = struct.unpack_from("!HHIIBB", frame, at)
    ends = ((addresses[0], sport), (addresses[1], dport))
    return FramedSegment((frame[6:12], frame[:6]), ends, seq, ack, flags)


def reset(seen: FramedSegment) -> bytes:
    """The frame that ends the connection at the sender of `seen`, as if it came from the other
    end.
    """
    (target, port), (source, from_port) = seen.ends
    tcp = struct.pack("!HHIIBBHHH", from_port, port, seen.ack, 0, 5 << 4, _RST, 0, 0, 0)
    pseudo = source + target + struct.pack("!II", len(tcp), socket.IPPROTO_TCP)
    tcp = tcp[:16] + internet_checksum(pseudo + tcp).to_bytes(2, "big") + tcp[18:]
    if len(target) == 4:
        kind = _IPV4
        ip = (
            struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, _HOPS, socket.IPPROTO_TCP, 0)
            + source
            + target
        )
        ip = ip[:10] + internet_checksum(ip).to_bytes(2, "big") + ip[12:]
    else:
        kind = _IPV6
        ip = struct.pack("!IHBB", 6 << 28, len(tcp), socket.IPPROTO_TCP, _HOPS) + source + target
    return seen.macs[0] + seen.macs[1] + kind.to_bytes(2, "big") + ip + tcp


def main(timeout_s: float) -> None:
    """Watch and reset until killed."""
    from harness.system.timerfd import Alarm  # loads ctypes, which a module of faults does not need

    flows, alarm, poller = Flows(round(timeout_s * 1e9)), Alarm(), select.poll()
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    wire.settimeout(0)
    for watched in (alarm, wire):
        poller.register(watched.fileno(), select.POLLIN)
    _say("ready")
    while True:
        due_ns = flows.due_ns
        alarm.set(due_ns if due_ns is not None else 1 << 62)
        poller.poll()
        _read(wire, flows)
        for flow in flows.expired(time.monotonic_ns()):
            if len(flow.seen) == 2:  # else it never came about
                for device, seen in flow.seen.items():
                    wire.sendto(reset(seen), (device, 0))
                ports = [port for _, port in next(iter(flow.seen.values())).ends]
                _say(json.dumps({"at_ns": time.monotonic_ns(), "ports": ports}))


def _read(wire: socket.socket, flows: Flows) -> None:
    while True:
        try:
            frame, (device, _, kind, *_) = wire.recvfrom(SNAP)
        except BlockingIOError:
            return
        segment = parse(frame)
        if segment is not None:
            flows.see(device, segment, time.monotonic_ns(), outgoing=kind == _OUTGOING)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(**json.loads(sys.argv[2]))
