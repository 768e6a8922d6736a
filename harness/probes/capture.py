"""Captured frames: TCP, ICMP and ARP in one network namespace, with the kernel's own timestamps.

One packet socket sees all interfaces of the namespace, both ways; it takes CAP_NET_RAW and no
program beside this one. It sits outside of the packet filter: it sees inbound frames that the
filter then drops, and outbound ones only if the filter and the queueing discipline let them pass.
"""

from __future__ import annotations

import _thread
import functools
import os
import socket
import struct
import time
from array import array
from typing import Any, Literal

import msgspec

from harness.errors import CapabilityError
from harness.probes.packets import FlowTracker, Icmp, Role, Segment, parse
from harness.system import wall_clock
from harness.system.file_descriptors import raised_socket

SNAP = 192
"""Octets kept of a frame: all headers, and the headers that an ICMP error quotes."""

RECEIVE_BUFFER = 8 << 20
"""Octets of kernel memory that may wait to be read: some thousands of frames."""

# From include/uapi: linux/if_packet.h, linux/if_ether.h, asm-generic/socket.h.
_ETH_P_ALL = 0x0003
_SOL_PACKET, _PACKET_STATISTICS, _PACKET_AUXDATA = 263, 6, 8
_PACKET_OUTGOING = 4
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 26, 33, 35
_TIMESPEC = struct.Struct("@ll")
_AUXDATA = struct.Struct("@IIIHHHH")
_STATISTICS = struct.Struct("@II")
_ANCILLARY = socket.CMSG_SPACE(_TIMESPEC.size) + socket.CMSG_SPACE(_AUXDATA.size)

_WORD, _HALF, _BYTE, _EQUAL, _RETURN = 0x20, 0x28, 0x30, 0x15, 0x06  # linux/bpf_common.h
_PKTTYPE, _IFINDEX = (
    0xFFFFF004,
    0xFFFFF008,
)  # linux/filter.h: SKF_AD_OFF + SKF_AD_PKTTYPE, SKF_AD_IFINDEX
_KEEP, _DROP = 18, 19

PROGRAM = (
    (_WORD, _IFINDEX, 0, 0),  # 0: the loopback interface is number 1 in every namespace
    (_EQUAL, 1, 2, 4),
    (_WORD, _PKTTYPE, 0, 0),  # 2: and shows each frame twice; keep the one received
    (_EQUAL, _PACKET_OUTGOING, _DROP, 4),
    (_HALF, 12, 0, 0),  # 4: EtherType
    (_EQUAL, 0x0806, _KEEP, 6),  # ARP
    (_EQUAL, 0x0800, 7, 10),
    (_BYTE, 23, 0, 0),  # 7: IPv4, protocol
    (_EQUAL, 6, _KEEP, 9),  # TCP
    (_EQUAL, 1, _KEEP, _DROP),  # ICMP
    (_EQUAL, 0x86DD, 11, _DROP),  # 10
    (_BYTE, 20, 0, 0),  # 11: IPv6, next header
    (_EQUAL, 0, 15, 13),  # hop-by-hop options
    (_EQUAL, 43, 15, 14),  # routing
    (_EQUAL, 60, 15, 16),  # destination options
    (_BYTE, 54, 0, 0),  # 15: the header after the first of these
    (_EQUAL, 6, _KEEP, 17),  # TCP
    (_EQUAL, 58, _KEEP, _DROP),  # ICMPv6
    (_RETURN, SNAP, 0, 0),  # 18: keep
    (_RETURN, 0, 0, 0),  # 19: drop
)
"""The filter in classic BPF: (code, operand, next instruction if equal, next if not)."""


class Frame(msgspec.Struct, frozen=True):
    """One frame. `t_ns`: when the kernel had it, CLOCK_MONOTONIC; `length`: octets on the wire.

    `device`: the interface's name in its namespace, "?" if it was gone when the frame was read.
    `data`: the first octets, SNAP at most. `stamped` False: the kernel noted no time, so `t_ns` is
    when the frame was read; it came before that.
    """

    host: str
    device: str
    way: Literal["in", "out"]
    t_ns: int
    data: bytes
    length: int
    stamped: bool = True


@functools.cache
def keep_stamping() -> int:
    """Have the kernel note when frames arrive, until this process ends.

    Returns the descriptor that does it.

    While no socket on the machine asks for timestamps the kernel notes none. When one does, it
    begins in the background (net/core/dev.c:net_enable_timestamp), measured as 0.3 ms later at the
    median, 0.4 ms at most. Frames before that are not `stamped`. So call it before a lab is built,
    which takes longer than that.
    """
    asking = raised_socket(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    asking.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    return asking.detach()


class Capture:
    """Captures in the network namespace that the calling thread is in; any thread may read it.

    Where `keep_stamping` was not called before, the first frames may not be `stamped`.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self._dropped = 0
        try:
            self._socket = socket.socket(
                socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL)
            )
        except PermissionError as error:
            raise CapabilityError(
                "capturing frames",
                f"no packet socket ({error.strerror})",
                "run as root or with CAP_NET_RAW",
            ) from error
        self._socket = raised_socket(self._socket)
        self._socket.settimeout(0)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        _widen(self._socket)
        _attach_filter(self._socket)
        # What came before the filter stood is neither filtered nor cut.
        while self._receive() is not None:
            pass
        self.dropped()
        self._dropped = 0

    def fileno(self) -> int:
        """The socket's descriptor, for a selector; readable when frames wait."""
        return self._socket.fileno()

    def read(self) -> list[Frame]:
        """All frames that have arrived when it is called, in their order; does not block.

        Timestamps become CLOCK_MONOTONIC by the clocks' difference now: if somebody sets the clock
        between a frame's arrival and its reading, the frame's time is off by as much.
        """
        offset, started = wall_clock.with_reading()
        frames: list[Frame] = []
        while True:
            # A later stamp than this is the time of reading, which net/socket.c:
            # __sock_recv_timestamp puts where none was noted.
            before = time.clock_gettime_ns(time.CLOCK_REALTIME)
            received = self._receive()
            if received is None:
                return frames
            data, length, stamp, device, outgoing = received
            stamped = 0 < stamp <= before
            frames.append(
                Frame(
                    host=self.host,
                    device=device or "?",
                    way="out" if outgoing else "in",
                    t_ns=(stamp or before) - offset,
                    data=data,
                    length=length,
                    stamped=stamped,
                )
            )
            if stamped and stamp > started:
                return frames  # on a busy wire, reading to the end would never end

    def dropped(self) -> int:
        """How many frames were lost since the capture began, because they were not read in time."""
        size = _STATISTICS.size
        _, drops = _STATISTICS.unpack(
            self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, size)
        )
        self._dropped += drops  # asking sets the kernel's counter back
        return self._dropped

    def close(self) -> None:
        """End the capture, at once for the caller; unread frames are lost.

        net/packet/af_packet.c:packet_release waits for an RCU grace period, measured as 16 ms at
        HZ=250; a thread does the waiting. The namespace and its devices live as long.
        """
        descriptor = self._socket.detach()
        if descriptor < 0:
            return
        try:
            # Not threading.Thread: its start() waits for the thread to run, up to a tick.
            _thread.start_new_thread(os.close, (descriptor,))
        except RuntimeError:  # the interpreter is ending and starts no more threads
            os.close(descriptor)

    def _receive(self) -> tuple[bytes, int, int, str, bool] | None:
        """Octets, length on the wire, CLOCK_REALTIME stamp (or 0), device, whether outgoing."""
        try:
            data, ancillary, _, address = self._socket.recvmsg(SNAP, _ANCILLARY)
        except BlockingIOError:
            return None
        length, stamp = len(data), 0
        for level, _, value in ancillary:
            if level == _SOL_PACKET:
                length = _AUXDATA.unpack(value)[1]
            else:
                seconds, nanoseconds = _TIMESPEC.unpack(value)
                stamp = seconds * 1_000_000_000 + nanoseconds
        return data, length, stamp, address[0], address[2] == _PACKET_OUTGOING


def describe(frame: Frame, tracker: FlowTracker) -> dict[str, Any] | None:
    """What a timeline keeps of a frame; None for what is neither TCP nor an ICMP error.

    Of a segment: role, flags, seq, ack, length, src, dst, sport, dport. Of an ICMP error: role
    "icmp", type, code, src, dst and the segment it is `about` (src, sport, dst, dport, seq), or
    None. Of both: frame (hexadecimal, the octets kept) and wire_length; `stamped`, false, is there
    only where the time is that of reading the frame.
    """
    seen = parse(frame.data)
    if seen is None:
        return None
    if isinstance(seen, Segment):
        data = _describe_segment(seen, tracker.classify(seen, frame.device))
    else:
        data = _describe_error(seen)
    data.update(frame=frame.data.hex(), wire_length=frame.length)
    if not frame.stamped:
        data["stamped"] = False
    return data


def _describe_segment(segment: Segment, role: Role) -> dict[str, Any]:
    s = segment
    return {
        "role": role,
        "flags": s.flags,
        "seq": s.seq,
        "ack": s.ack,
        "length": s.length,
        "src": s.src,
        "dst": s.dst,
        "sport": s.sport,
        "dport": s.dport,
    }


def _describe_error(error: Icmp) -> dict[str, Any]:
    about = error.about
    return {
        "role": "icmp",
        "type": error.type,
        "code": error.code,
        "src": error.src,
        "dst": error.dst,
        "about": about
        and {
            "src": about.src,
            "sport": about.sport,
            "dst": about.dst,
            "dport": about.dport,
            "seq": about.seq,
        },
    }


def _widen(capturing: socket.socket) -> None:
    try:
        capturing.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
    except (
        PermissionError
    ):  # no CAP_NET_ADMIN outside of a user namespace: as much as net.core.rmem_max gives
        capturing.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)


def _attach_filter(capturing: socket.socket) -> None:
    code = array("B", assemble())
    address, _ = code.buffer_info()  # the kernel copies the program
    capturing.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(PROGRAM), address)
    )


def assemble() -> bytes:
    """PROGRAM as an array of struct sock_filter, whose jumps are relative."""
    packed = []
    for at, (code, operand, equal, differs) in enumerate(PROGRAM):
        jumps = (equal - at - 1, differs - at - 1) if code == _EQUAL else (0, 0)
        packed.append(struct.pack("@HBBI", code, *jumps, operand))
    return b"".join(packed)
