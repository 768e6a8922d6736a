"""Which captured segments are the same segment, sent by one end and received by the other. Pure.

What identifies a segment is all of its header that nothing on the way changes: not its addresses
and ports, which a NAT translates, nor its checksum. Keepalive probes are alike but for their
timestamps (RFC 7323) and the identification of their IPv4 header. Segments that are alike in all of
this are matched in the order of time.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from harness.model.topology import SIDES, Layout, Side, other
from harness.timeline import Event

_ETHERNET, _IPV6_HEADER = 14, 40


class Captured(msgspec.Struct, frozen=True):
    """A segment, or an ICMP error, as one end's host captured it.

    `place`: in the timeline. `peer`: the host at its other end, by its address.
    """

    place: int
    t_ns: int
    host: Side
    way: str
    role: str
    peer: str
    data: dict[str, Any]

    @property
    def length(self) -> int:
        """Octets of payload."""
        return int(self.data.get("length", 0))

    @property
    def ports(self) -> frozenset[int]:
        """Both ports, by which connections are told apart."""
        return frozenset((int(self.data.get("sport", 0)), int(self.data.get("dport", 0))))


class Crossing(msgspec.Struct, frozen=True):
    """A segment on its way between the ends.

    `sent`: at its sender, None where something in the middle made it; `received`: at its receiver,
    None where it never came. `again`: a copy of one that came before. `unknown`: it cannot be told
    whether it arrived, or when it was sent, as its other end is a host without a capture: a proxy,
    or a second server.
    """

    sent: Captured | None
    received: Captured | None
    again: bool = False
    unknown: bool = False

    @property
    def seen(self) -> Captured:
        """The first capture of it."""
        found = self.sent or self.received
        assert found is not None
        return found

    @property
    def t_ns(self) -> int:
        """When it was first captured."""
        return self.seen.t_ns

    @property
    def toward(self) -> Side:
        """The end that it is meant for."""
        return other(self.sent.host) if self.sent else self._received.host

    @property
    def _received(self) -> Captured:
        assert self.received is not None
        return self.received

    @property
    def lost(self) -> bool:
        """Whether it never arrived."""
        return self.received is None and not self.unknown


def captured(events: Sequence[Event], until_place: int | None, where: Layout) -> list[Captured]:
    """All segments of both ends in the order of time, without those of the loopback device.

    `until_place`: the event that ends the run; what was sent in its moment and read after it, or
    later, belongs to the tear-down.
    """
    last = (math.inf, 0) if until_place is None else (events[until_place].t_ns, until_place)
    hosts = {i.address: host.name for host in where.hosts for i in host.interfaces if i.address}
    found = []
    for place, event in enumerate(events):
        if event.kind != "segment" or event.source not in SIDES:
            continue
        if (event.t_ns, place) > last:
            continue
        data = event.data
        if data.get("device") == "lo" and data.get("role") != "icmp":
            continue
        host: Side = "client" if event.source == "client" else "server"
        role, way = str(data.get("role", "")), str(data.get("way", ""))
        peer = hosts.get(str(data.get("dst" if way == "out" else "src"))) or where.proxy
        if peer is None or peer == host or (host == "server" and where.host(peer).translates):
            peer = other(host)
        found.append(Captured(place, event.t_ns, host, way, role, peer, data))
    return sorted(found, key=lambda each: (each.t_ns, each.place))


def matched(captures: Sequence[Captured]) -> list[Crossing]:
    """Each segment once, in the order of time."""
    extra: list[Crossing] = [
        Crossing(each, None, unknown=True)
        if each.way == "out"
        else Crossing(None, each, unknown=True)
        for each in captures
        if each.peer not in SIDES and each.role != "icmp"
    ]
    apart = {each.seen.place for each in extra}
    segments = [each for each in captures if each.place not in apart]
    arrivals: dict[int, Captured] = {}
    for side in SIDES:
        sent = [each for each in segments if each.host == side and each.way == "out"]
        came = [each for each in segments if each.host == other(side) and each.way == "in"]
        found, copies = _matched_one_way(sent, came)
        arrivals |= found
        extra += copies
    crossings = [Crossing(each, arrivals.get(each.place)) for each in segments if each.way == "out"]
    return sorted(crossings + extra, key=lambda each: (each.t_ns, each.seen.place))


def _matched_one_way(
    sent: Sequence[Captured], came: Sequence[Captured]
) -> tuple[dict[int, Captured], list[Crossing]]:
    """The arrival of each sent segment by its place, and what came without having been sent."""
    waiting: dict[object, deque[Captured]] = defaultdict(deque)
    for each in sent:
        waiting[_identity(each)].append(each)
    arrivals: dict[int, Captured] = {}
    latest: dict[object, Captured] = {}
    strangers = []
    for each in came:
        key = _identity(each)
        queue = waiting.get(key)
        if queue and queue[0].t_ns <= each.t_ns:
            latest[key] = queue.popleft()
            arrivals[latest[key].place] = each
        elif key in latest:
            strangers.append(Crossing(latest[key], each, again=True))
        else:
            strangers.append(Crossing(None, each))
    left = [each for queue in waiting.values() for each in queue]
    return arrivals, [*_pieces(left, strangers, arrivals)]


def _pieces(
    left: Iterable[Captured], strangers: Iterable[Crossing], arrivals: dict[int, Captured]
) -> Iterator[Crossing]:
    """What is in no sent segment, after the pieces of large ones: a device may cut or join them."""
    cut = [each for each in left if each.length]
    for stranger in strangers:
        piece = stranger.received
        whole = None
        if piece is not None and piece.length and stranger.sent is None:
            whole = next((each for each in cut if _holds(each, piece)), None)
        if whole is None or piece is None:
            yield stranger
        else:
            arrivals.setdefault(whole.place, piece)


def _holds(whole: Captured, piece: Captured) -> bool:
    """Whether the first octet of one is in the other, or the other way about."""
    offset = (int(piece.data["seq"]) - int(whole.data["seq"])) % 2**32
    back = (int(whole.data["seq"]) - int(piece.data["seq"])) % 2**32
    return whole.t_ns <= piece.t_ns and (offset < whole.length or back < piece.length)


def _identity(segment: Captured) -> object:
    """What is the same at both ends; of segments alone, as an ICMP error is new at each host."""
    data = segment.data
    fields = tuple(data.get(key) for key in ("role", "seq", "ack", "flags", "length"))
    if segment.role == "icmp":
        return (fields, data.get("type"), data.get("code"), str(data.get("about")))
    return (*fields[1:], _unchanged(bytes.fromhex(str(data.get("frame", "")))))


def _unchanged(frame: bytes) -> bytes:
    """Of a frame, what no router and no NAT changes: the IPv4 identification, window, options."""
    if len(frame) <= _ETHERNET:
        return b""
    ipv4 = frame[_ETHERNET] >> 4 == 4
    header = (frame[_ETHERNET] & 15) * 4 if ipv4 else _IPV6_HEADER
    segment = frame[_ETHERNET + header :]
    if len(segment) < 20:
        return b""
    identification = frame[_ETHERNET + 4 : _ETHERNET + 6] if ipv4 else b""
    options = segment[20 : (segment[12] >> 4) * 4]
    return identification + segment[14:16] + options
