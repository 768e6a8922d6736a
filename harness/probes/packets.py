"""Frames as values, and what each TCP segment does in its connection. Pure: bytes in, values out.

`parse` reads an Ethernet frame, whole or cut short behind the headers; what it cannot read is None,
never an error. `FlowTracker` gives every segment its role as one point on the path sees it: a
keepalive probe looks like any pure ACK and differs only by its sequence number, so telling it takes
the memory of the connection.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from socket import AF_INET, AF_INET6, inet_ntop
from typing import Literal, NamedTuple

import msgspec

Role = Literal["syn", "syn-ack", "data", "retransmit", "ack", "probe", "answer", "fin", "rst"]

_ETHERNET = 14
_VERSIONS = {0x0800: 4, 0x86DD: 6}
_TCP, _ICMP, _ICMP6 = 6, 1, 58
_EXTENSIONS = frozenset({0, 43, 60})
"""IPv6 headers of one layout (RFC 8200, 4.3): hop-by-hop options, routing, destination options."""
_ERRORS = {_ICMP: frozenset({3, 4, 11, 12}), _ICMP6: frozenset(range(1, 128))}
"""Types that report on a packet: RFC 792, and RFC 4443, 2.1 (those without the high bit)."""
_FLAGS = (
    (0x02, "S"),
    (0x01, "F"),
    (0x04, "R"),
    (0x08, "P"),
    (0x20, "U"),
    (0x10, "A"),
    (0x40, "E"),
    (0x80, "C"),
)
_FLAG_TEXT = tuple("".join(name for bit, name in _FLAGS if octet & bit) for octet in range(256))


class Segment(msgspec.Struct, frozen=True):
    """A TCP segment. `flags`: initials in the order SFRPUAEC; `length`: octets of payload, by IP.

    One quoted by an ICMP error may end after its sequence number: `ack` and `window` are then 0 and
    `flags` is empty. `window` is as sent: not scaled.
    """

    src: str
    sport: int
    dst: str
    dport: int
    seq: int
    ack: int
    flags: str
    length: int
    window: int


class Icmp(msgspec.Struct, frozen=True):
    """An ICMP or ICMPv6 error; `about` is the TCP segment it quotes, None where it quotes none."""

    src: str
    dst: str
    type: int
    code: int
    about: Segment | None


class _Packet(NamedTuple):
    """An IP packet; `length` is its payload by its header: `payload` may be shorter, or padded."""

    src: str
    dst: str
    protocol: int
    payload: bytes
    length: int


def parse(frame: bytes) -> Segment | Icmp | None:
    """Read an Ethernet frame; None for what is neither TCP nor an ICMP error, or makes no sense."""
    if len(frame) <= _ETHERNET:
        return None
    version = _VERSIONS.get(frame[12] << 8 | frame[13])
    if version != frame[_ETHERNET] >> 4:
        return None
    packet = _packet(frame[_ETHERNET:])
    if packet is None:
        return None
    if packet.protocol == _TCP:
        return _segment(packet)
    return _icmp(packet)


def _packet(data: bytes) -> _Packet | None:
    version = data[0] >> 4 if data else 0
    if version == 4:
        return _ipv4(data)
    return _ipv6(data) if version == 6 else None


def _ipv4(data: bytes) -> _Packet | None:
    if len(data) < 20:
        return None
    header = (data[0] & 15) * 4
    total, fragment = data[2] << 8 | data[3], (data[6] << 8 | data[7]) & 0x1FFF
    if header < 20 or total < header or fragment:
        return None
    src, dst = inet_ntop(AF_INET, data[12:16]), inet_ntop(AF_INET, data[16:20])
    return _Packet(src, dst, data[9], data[header:], total - header)


def _ipv6(data: bytes) -> _Packet | None:
    if len(data) < 40:
        return None
    following, at, end = data[6], 40, 40 + (data[4] << 8 | data[5])
    while following in _EXTENSIONS:
        if len(data) < at + 2:
            return None
        following, at = data[at], at + 8 * (data[at + 1] + 1)
    if at > end:
        return None
    src, dst = inet_ntop(AF_INET6, data[8:24]), inet_ntop(AF_INET6, data[24:40])
    return _Packet(src, dst, following, data[at:], end - at)


def _segment(packet: _Packet) -> Segment | None:
    payload = packet.payload
    if len(payload) < 20:
        return None
    sport, dport, seq, ack, offset, flags, window = struct.unpack_from("!HHIIBBH", payload)
    header = (offset >> 4) * 4
    if header < 20 or header > packet.length:
        return None
    length = packet.length - header
    return Segment(
        packet.src, sport, packet.dst, dport, seq, ack, _FLAG_TEXT[flags], length, window
    )


def _icmp(packet: _Packet) -> Icmp | None:
    payload = packet.payload
    if len(payload) < 8 or payload[0] not in _ERRORS.get(packet.protocol, ()):
        return None
    return Icmp(packet.src, packet.dst, payload[0], payload[1], _quoted(payload[8:]))


def _quoted(data: bytes) -> Segment | None:
    """The segment in an ICMP error: 8 octets of TCP are sure (RFC 792), more are usual."""
    packet = _packet(data)
    if packet is None or packet.protocol != _TCP or len(packet.payload) < 8:
        return None
    whole = _segment(packet)
    if whole is not None:
        return whole
    sport, dport, seq = struct.unpack_from("!HHI", packet.payload)
    return Segment(packet.src, sport, packet.dst, dport, seq, 0, "", max(packet.length - 20, 0), 0)


class _Half:
    """One direction of a connection, as far as it was seen; None where it was not.

    `syn`: the sequence number of the last SYN; `following`: the one after everything sent; `acked`:
    the highest acknowledgement from the other side; `probe`: the sequence number of the last probe,
    while nothing has answered it.
    """

    __slots__ = ("acked", "following", "probe", "syn")

    def __init__(self) -> None:
        self.syn: int | None = None
        self.forget()

    def forget(self) -> None:
        """A new connection takes over the ports."""
        self.following: int | None = None
        self.acked: int | None = None
        self.probe: int | None = None


class Stream(msgspec.Struct, frozen=True):
    """One direction of a connection.

    `following`: the sequence number after everything sent; `acked`: the first one that the receiver
    lacks.
    """

    src: str
    sport: int
    dst: str
    dport: int
    following: int
    acked: int


class FlowTracker:
    """Gives segments their roles, in the order of one host's capture, connection by connection.

    syn, syn-ack   by their flags, whether new or repeated; so are fin and rst
    data           payload with something new in it
    retransmit     payload that was all seen before
    probe          an ACK whose sequence number is one below the first unacknowledged one (RFC 9293,
                   3.8.4), with no payload, or with one octet, as some systems send it; a
                   zero-window probe has the same form
    answer         the pure ACK that meets a probe; it settles all probes before it, as it resets
                   the kernel's count, so that where the delay exceeds the interval between probes
                   only the first of several answers is one
    ack            any other pure ACK

    A capture that begins within a connection knows probes once the other side has sent an ACK.
    Forged segments (an RST, a SYN, an acknowledgement of what was never sent) do not confuse it.
    """

    def __init__(self) -> None:
        self._halves: dict[tuple[str, str, int, str, int], _Half] = {}

    def classify(self, segment: Segment, point: str = "") -> Role:
        """The segment's role; remembers it. `point`: the device (a router sees segments on two)."""
        s = segment
        sender = self._half((point, s.src, s.sport, s.dst, s.dport))
        receiver = self._half((point, s.dst, s.dport, s.src, s.sport))
        role = _role(s, sender, receiver)
        if role in ("syn", "syn-ack"):
            _learn_syn(s, sender, receiver)
        elif role != "rst":
            _learn(s, sender, receiver)
        if role == "probe":
            sender.probe = s.seq
        elif role == "answer":
            receiver.probe = None
        return role

    def newest(
        self, dst: str, counts: Callable[[frozenset[tuple[str, int]]], bool] = lambda _: True
    ) -> Stream | None:
        """The direction toward an address, of the connection that began last.

        `counts`: whether a connection with these two ends does. None where there is none to be
        seen.
        """
        for (_, src, sport, to, dport), half in reversed(self._halves.items()):
            if to != dst or half.following is None or half.acked is None:
                continue
            if counts(frozenset({(src, sport), (dst, dport)})):
                return Stream(src, sport, dst, dport, half.following, half.acked)
        return None

    def _half(self, key: tuple[str, str, int, str, int]) -> _Half:
        half = self._halves.get(key)
        if half is None:
            half = self._halves[key] = _Half()
        return half


def _add(number: int, octets: int) -> int:
    return (number + octets) % 2**32


def _after(number: int, other: int) -> bool:
    """Whether `number` is later in sequence space: RFC 9293, 3.4, modulo 2**32."""
    return 0 < (number - other) % 2**32 < 2**31


def _role(s: Segment, sender: _Half, receiver: _Half) -> Role:
    if "R" in s.flags:
        return "rst"
    if "S" in s.flags:
        return "syn-ack" if "A" in s.flags else "syn"
    if "F" in s.flags:
        return "fin"
    if _is_probe(s, sender):
        return "probe"
    if s.length:
        old = sender.following
        return "data" if old is None or _after(_add(s.seq, s.length), old) else "retransmit"
    answers = receiver.probe is not None and s.ack == _add(receiver.probe, 1)
    return "answer" if answers else "ack"


def _is_probe(s: Segment, sender: _Half) -> bool:
    # net/ipv4/tcp_output.c:tcp_xmit_probe_skb uses snd_una - 1. With PSH, one octet there is data
    # sent again after its ACK was lost: systems that put an octet into probes do not push it.
    unacknowledged = sender.following if sender.acked is None else sender.acked
    if unacknowledged is None or s.seq != _add(unacknowledged, -1):
        return False
    return s.length == 0 or (s.length == 1 and "P" not in s.flags)


def _learn_syn(s: Segment, sender: _Half, receiver: _Half) -> None:
    """A SYN counts at once where no connection is known, else when a SYN-ACK has accepted it."""
    repeated = sender.syn == s.seq
    accepts = "A" in s.flags and receiver.syn is not None and s.ack == _add(receiver.syn, 1)
    if accepts and not repeated:
        sender.forget()
        receiver.forget()
    sender.syn = s.seq
    if sender.following is None:
        sender.following = _add(s.seq, 1 + s.length)
    if accepts and receiver.acked is None:
        receiver.following = receiver.acked = s.ack


def _learn(s: Segment, sender: _Half, receiver: _Half) -> None:
    size = s.length + ("F" in s.flags)
    end = _add(s.seq, size)
    if sender.following is None or (size and _after(end, sender.following)):
        sender.following = end
    if "A" not in s.flags:
        return
    if receiver.following is None or _after(s.ack, receiver.following):
        if receiver.syn is not None:
            return  # acknowledges what was never sent
        receiver.following = s.ack
    if receiver.acked is None or _after(s.ack, receiver.acked):
        receiver.acked = s.ack
