"""Holds back the FIN of a host's connections until data of the other end has crossed it.

A program of its own on that host: `python -I -S fin_holder.py ROOT JSON`, with ROOT the folder of
the package and JSON {"device": NAME, "mac": "02:…"}. It loads the standard library and two small
modules of the package, `harness.programs.middlebox_resetter` and
`harness.system.internet_checksum`.

The next hop drops each FIN and RST of the host, but not those from the Ethernet address `mac`. The
program sees them leave all the same (packet(7) is in front of the wire) and sends them again from
there: a FIN once data has come that was sent without knowing of it, and the RST with which the
host's kernel answers that data right behind it. Whatever need not be held goes again at once: an
RST before any FIN, and a FIN that carries data itself. What a FIN acknowledges that is held goes at
once, without the FIN: otherwise the other end would send its data again.

It prints "ready", then a line of JSON for each FIN that data has crossed. `release` on its standard
input lets go of all that it holds, from then on too, and is answered by "released".
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
from typing import NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])  # run by itself, the program finds the package there

from harness.programs.middlebox_resetter import FramedSegment, parse
from harness.system.internet_checksum import internet_checksum

MOST_OCTETS = 200
"""Of an IP packet that the next hop drops. A FIN behind more data passes: it must not wait."""
RELEASE, RELEASED = "release", "released"
_ETH_P_ALL = 0x0003
_OUTGOING = 4
_ETHERNET, _IPV4, _IPV6_HEAD = 14, 0x0800, 40
_FIN, _RST = 0x01, 0x04
_FLAGS_AT, _CHECKSUM_AT = 13, 16
Flow = frozenset[tuple[bytes, int]]
"""Both ends of a connection: address and port."""


class Bounds(NamedTuple):
    """Where in a frame its TCP header, its data and its end are, in octets."""

    tcp: int
    data: int
    end: int


def bounds(frame: bytes) -> Bounds:
    """Of a frame that `parse` can read."""
    if int.from_bytes(frame[12:14], "big") == _IPV4:
        tcp = _ETHERNET + (frame[14] & 15) * 4
        end = _ETHERNET + int.from_bytes(frame[16:18], "big")
    else:
        tcp = _ETHERNET + _IPV6_HEAD
        end = tcp + int.from_bytes(frame[18:20], "big")
    return Bounds(tcp, tcp + (frame[tcp + 12] >> 4) * 4, end)


def again(frame: bytes, segment: FramedSegment, mac: bytes, *, ends: bool = True) -> bytes:
    """The same frame from another Ethernet address. `ends` False: without FIN.

    Its TCP checksum is made here: what a kernel hands to a virtual link may have none yet.
    """
    where = bounds(frame)
    (source, _), (target, _) = segment.ends
    tcp = bytearray(frame[where.tcp : where.end])
    if not ends:
        tcp[_FLAGS_AT] &= ~_FIN
    tcp[_CHECKSUM_AT : _CHECKSUM_AT + 2] = b"\0\0"
    length = len(tcp).to_bytes(4, "big") + socket.IPPROTO_TCP.to_bytes(4, "big")
    padded = source + target + length + tcp + b"\0" * (len(tcp) % 2)
    tcp[_CHECKSUM_AT : _CHECKSUM_AT + 2] = internet_checksum(padded).to_bytes(2, "big")
    return frame[:6] + mac + frame[12 : where.tcp] + bytes(tcp)


class Holder:
    """What is held, by connection. `sent`: frames that are to go now, in order."""

    def __init__(self, mac: bytes) -> None:
        self.mac = mac
        self.sent: list[bytes] = []
        self.crossed: list[list[int]] = []
        """The ports of each connection whose FIN data has crossed, in order."""
        self._held: dict[Flow, list[bytes]] = {}
        self._read: dict[Flow, int] = {}
        """The number that the host expected next, when its FIN was held back."""
        self._acked: dict[Flow, int] = {}
        """The number that it acknowledged last."""
        self._free: set[Flow] = set()
        self._holds = True

    def see(self, frame: bytes, *, outgoing: bool) -> None:
        """Take a frame that leaves or has come."""
        segment = parse(frame)
        if segment is None or segment.macs[0] == self.mac:
            return
        flow, where = frozenset(segment.ends), bounds(frame)
        octets = where.end - where.data
        if not outgoing:
            # What was sent again for want of an acknowledgement has crossed nothing.
            beyond = (segment.seq + octets - self._read.get(flow, 0)) % 2**32
            if octets and flow in self._held and 0 < beyond < 2**31:
                self.crossed.append([port for _, port in segment.ends])
                self._let_go(flow)
        elif segment.flags & (_FIN | _RST) and where.end - _ETHERNET <= MOST_OCTETS:
            self._leaves(flow, frame, segment, carries=octets > 0)
        else:
            self._acked[flow] = segment.ack

    def _leaves(self, flow: Flow, frame: bytes, segment: FramedSegment, *, carries: bool) -> None:
        whole = again(frame, segment, self.mac)
        if flow in self._held:
            if segment.flags & _RST:
                self._held[flow].append(whole)  # a FIN that is sent again is the same
        elif not self._holds or flow in self._free or segment.flags & _RST:
            self.sent.append(whole)
        elif carries:
            self.sent.append(whole)
            self._free.add(flow)
        else:
            self._held[flow], self._read[flow] = [whole], segment.ack
            if self._acked.get(flow) != segment.ack:  # else the other end would send again
                self.sent.append(again(frame, segment, self.mac, ends=False))

    def _let_go(self, flow: Flow) -> None:
        self.sent += self._held.pop(flow)
        self._free.add(flow)

    def release(self) -> None:
        """Let go of everything, and hold nothing any more."""
        self._holds = False
        for flow in list(self._held):
            self._let_go(flow)


def main(device: str, mac: str) -> None:
    """Hold until standard input ends."""
    holder = Holder(bytes.fromhex(mac.replace(":", "")))
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    wire.bind((device, 0))
    wire.settimeout(0)
    poller = select.poll()
    for descriptor in (wire.fileno(), sys.stdin.fileno()):
        poller.register(descriptor, select.POLLIN)
    _say("ready")
    while True:
        ready = dict(poller.poll())
        _read(wire, holder)
        order = os.read(sys.stdin.fileno(), 4096) if sys.stdin.fileno() in ready else None
        if order:
            holder.release()
        while holder.sent:
            wire.sendto(holder.sent.pop(0), (device, 0))
        while holder.crossed:
            _say(json.dumps({"ports": holder.crossed.pop(0)}))
        if order:
            _say(RELEASED)
        elif order is not None:
            return


def _read(wire: socket.socket, holder: Holder) -> None:
    while True:
        try:
            frame, (_, _, kind, *_) = wire.recvfrom(65536)
        except BlockingIOError:
            return
        holder.see(frame, outgoing=kind == _OUTGOING)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(**json.loads(sys.argv[2]))
