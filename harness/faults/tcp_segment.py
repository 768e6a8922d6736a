"""Single segments: one that a third party forges, and ones that a third party swallows.

A forged RST ends a connection only where its sequence number is the next one expected (RFC 5961
section 3.2, net/ipv4/tcp_input.c:tcp_validate_incoming); elsewhere in the window it is answered by
a challenge ACK, outside it is dropped. Its number is known from the capture on the host that it
goes to. Swallowed FINs, SYNs and SYN-ACKs are dropped on arrival where a blackhole would be; every
other segment passes. Evidence: what was captured where the RST arrives, and the counters of the
dropping rules.
"""

from __future__ import annotations

import functools
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from harness.errors import FaultError
from harness.faults.base import Evidence, Fault, besides
from harness.faults.blackhole import Blackhole, Direction, on_arrival
from harness.lab.watched import OTHERS, is_watched
from harness.model.topology import FAMILIES, Family, Layout, Side
from harness.model.values import Problem, count
from harness.oracle.effects import Effect
from harness.probes.capture import Capture
from harness.probes.packets import Segment, Stream, parse
from harness.system.internet_checksum import internet_checksum

if TYPE_CHECKING:
    from harness.lab.host import Lab

Place = Literal["exact", "in-window", "below-window", "beyond-window"]
_OFFSETS: dict[Place, int] = {
    "exact": 0,
    "in-window": 1,
    "below-window": -1000,
    "beyond-window": (1 << 30) + 1,
}
"""From the next sequence number expected; no window is larger than 1 GiB (RFC 7323 section 2.3).

Not -1: in CLOSE_WAIT an RST there is accepted (tcp_input.c:tcp_reset_check).
"""
_WORDS: dict[Place, str] = {
    "exact": "it expects",
    "in-window": "after the one it expects",
    "below-window": "of something long received",
    "beyond-window": "of something beyond its window",
}
_FIN, _SYN, _RST, _ACK = 0x01, 0x02, 0x04, 0x10
_ETHER_TYPES: dict[Family, int] = {"ipv4": 0x0800, "ipv6": 0x86DD}
_TTL = 64


class RstInjected(Fault, frozen=True, kw_only=True, tag="rst-injected"):
    """The host next to `toward` sends it an RST in the other end's name.

    `sequence`: where its number lies.

    In the watched connection or, where none is, in the one that began last. Raises FaultError where
    data toward that side is not yet acknowledged: the number that it expects is then not known.
    """

    toward: Side = "client"
    sequence: Place = "exact"

    summary: ClassVar[str] = "a third party forges an RST"
    lasting: ClassVar[bool] = True

    def misplaced(self, layout: Layout) -> Iterator[Problem]:
        if self.for_s is not None:
            yield Problem(
                "for_s", self.for_s, "no such key: a segment that was sent cannot be taken back"
            )
        if not layout.middle or not layout.is_whole:
            yield Problem(
                "kind", self.kind, "a topology with a third party: a switch, router or firewall"
            )

    def hosts(self, layout: Layout) -> frozenset[str]:
        return frozenset({self.toward, layout.host(self.toward).interfaces[0].toward})

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        if self.sequence == "exact":
            mechanism: Literal["peer-reset", "peer-forgot"] = (
                "peer-reset" if observer == self.toward else "peer-forgot"
            )
            return (Effect(mechanism=mechanism, from_s=self.at_s),)
        if self.sequence != "in-window":
            return ()
        if observer == self.toward:
            return (Effect(mechanism="challenged", from_s=self.at_s),)
        return (
            Effect(
                mechanism="impaired",
                from_s=self.at_s,
                unknown="a challenge ACK arrives, which is activity",
            ),
        )

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        target = lab.host(self.toward)
        stream = _expected(lab, self.toward)
        number = (stream.following + _OFFSETS[self.sequence]) % 2**32
        near = target.spec.interfaces[0]
        third = lab.host(near.toward)
        wire = third.spec.facing(self.toward)
        with target.entered():
            capture = Capture(target.name)
        with ExitStack() as stack:
            stack.callback(capture.close)
            try:
                third.transmit(
                    wire.name,
                    _ethernet(near.mac, wire.mac, lab.layout.family, forged(stream, number)),
                )
            except OSError as error:
                raise FaultError(
                    f"expected {third.name} to send an RST to {target.name}, found {error}"
                ) from error
            seen: list[Segment] = []

            def evidence() -> Evidence:
                seen.extend(
                    s for frame in capture.read() if isinstance(s := parse(frame.data), Segment)
                )
                return self._judged(seen, stream, number)

            yield evidence

    def _judged(self, seen: list[Segment], stream: Stream, number: int) -> Evidence:
        """Whether the RST was seen where it goes and, in the window, a challenge ACK as the very
        next segment.
        """
        ours = [s for s in seen if {s.sport, s.dport} == {stream.sport, stream.dport}]
        at = next((i for i, s in enumerate(ours) if s.flags == "R" and s.seq == number), None)
        if at is None:
            return Evidence(level="none", found=f"no RST reached the {self.toward}")
        found = f"an RST with the number {_WORDS[self.sequence]} reached the {self.toward}"
        if self.sequence != "in-window":
            return Evidence(level="bit", found=found)
        reply = ours[at + 1] if at + 1 < len(ours) else None
        if (
            reply is None
            or reply.src != stream.dst
            or (reply.flags, reply.ack) != ("A", stream.following)
        ):
            return Evidence(level="in-place", found=f"{found}, no challenge ACK left it")
        return Evidence(level="bit", found=f"{found}, a challenge ACK left it")


def _expected(lab: Lab, toward: Side) -> Stream:
    """What goes toward a side, in the watched connection or else in the one that began last.

    Raises FaultError.
    """
    target, address = lab.host(toward), lab.layout.address(toward)
    if target.flow_tracker is None:
        raise FaultError(
            f"expected a capture on {target.name}, to learn sequence numbers from, found none"
        )
    stream = target.flow_tracker().newest(address, functools.partial(is_watched, lab))
    if stream is None:
        raise FaultError(f"expected a connection to {target.name}, found none")
    if stream.following != stream.acked:
        waiting = (stream.following - stream.acked) % 2**32
        found = f"found {waiting} octets that are not"
        raise FaultError(f"expected all data toward {target.name} to be acknowledged, {found}")
    return stream


def forged(stream: Stream, number: int) -> bytes:
    """An RST of that sequence number as an IP packet (RFC 791, RFC 8200, RFC 9293 section 3.1)."""
    family = socket.AF_INET6 if ":" in stream.src else socket.AF_INET
    src, dst = socket.inet_pton(family, stream.src), socket.inet_pton(family, stream.dst)
    fields = (stream.sport, stream.dport, number, 0, 5 << 4, _RST, 0)
    size = struct.calcsize("!HHIIBBHHH")
    pseudo = src + dst + struct.pack("!II", size, socket.IPPROTO_TCP)
    bare = struct.pack("!HHIIBBHHH", *fields, 0, 0)
    segment = struct.pack("!HHIIBBHHH", *fields, internet_checksum(pseudo + bare), 0)
    if family == socket.AF_INET6:
        return struct.pack("!IHBB", 6 << 28, size, socket.IPPROTO_TCP, _TTL) + src + dst + segment
    head = (4 << 4 | 5, 0, 20 + size, 0, 0, _TTL, socket.IPPROTO_TCP)
    total = internet_checksum(struct.pack("!BBHHHBBH", *head, 0) + src + dst)
    return struct.pack("!BBHHHBBH", *head, total) + src + dst + segment


def _ethernet(to_mac: str, from_mac: str, family: Family, packet: bytes) -> bytes:
    macs = bytes.fromhex((to_mac + from_mac).replace(":", ""))
    return macs + struct.pack("!H", _ETHER_TYPES[family]) + packet


class _Swallowed(Fault, frozen=True, kw_only=True):
    """Segments with some flags vanish."""

    mask: ClassVar[int]
    flags: ClassVar[int]
    noun: ClassVar[str]

    def places(self, layout: Layout) -> tuple[tuple[str, str], ...]:
        """(host, device) pairs whose ingress drops."""
        return Blackhole(direction=self._way()).places(layout)

    def _way(self) -> Direction:
        return "both"

    def hosts(self, layout: Layout) -> frozenset[str]:
        return frozenset(host for host, _ in self.places(layout))

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        rule = [_flags(self.mask, self.flags), {"counter": None}, {"drop": None}]
        with on_arrival(lab, self.places(lab.layout), {"drop": [rule]}) as counted:
            yield lambda: self._evidence(lab, counted)

    def _evidence(self, lab: Lab, counted: Callable[[], dict[str, int]]) -> Evidence:
        counts = counted()
        number, others = counts["drop"], counts[OTHERS]
        found = besides(f"{count(number, self.noun)} dropped", others)
        return Evidence(level="bit" if number else "in-place", found=found, others=others)


class FinSwallowed(_Swallowed, frozen=True, kw_only=True, tag="fin-swallowed"):
    """FINs vanish: a side that closes, or whose program is killed, seems to be there still.

    `direction`: which way the FINs go.
    """

    direction: Direction = "both"

    summary: ClassVar[str] = "FINs are discarded"
    mask: ClassVar[int] = _FIN
    flags: ClassVar[int] = _FIN
    noun: ClassVar[str] = "FIN"
    on_one_container: ClassVar[bool] = True
    undrawn: ClassVar[str] = "the oracle has no model of a path that loses FINs alone"

    def _way(self) -> Direction:
        return self.direction

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        if self.direction not in ("both", f"to-{observer}"):
            return ()
        unknown = "the peer's FIN is lost: its retransmission decides"
        return (
            Effect(mechanism="impaired", from_s=self.at_s, until_s=self.until_s, unknown=unknown),
        )


class _Unconnectable(_Swallowed, frozen=True, kw_only=True):
    """No new connection is made; one that stands is not concerned.

    Where no segment was dropped until the evidence is gathered, an attempt of our own, from client
    to server, shows whether one would have been: whether the fault is in place.
    """

    shown_by_trial: ClassVar[bool] = True
    on_one_container: ClassVar[bool] = True
    undrawn: ClassVar[str] = (
        "concerns no connection that stands: drawn for those that are being made"
    )

    def misplaced(self, layout: Layout) -> Iterator[Problem]:
        if not layout.is_whole:
            yield Problem(
                "kind", self.kind, "a topology without a proxy, which connects in its own way"
            )

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        return (Effect(mechanism="syn-lost", from_s=self.at_s, until_s=self.until_s),)

    def _evidence(self, lab: Lab, counted: Callable[[], dict[str, int]]) -> Evidence:
        before, ours, tried = counted(), 0, False
        number, others = before["drop"], before[OTHERS]
        if not number:
            with suppress(FaultError):  # where the client is not ours to call from
                _attempt(lab)
                tried = True
            ours = sum(counted().values()) - others
        met = number if lab.watched is not None else number + ours
        found = besides(f"{count(number, self.noun)} dropped", others)
        if ours:
            found += f", then {count(ours, self.noun)} of an attempt of our own"
        level: Literal["bit", "in-place", "none"] = (
            "bit" if met else "in-place" if ours or not tried else "none"
        )
        return Evidence(level=level, found=found, others=others)


class SynDrop(_Unconnectable, frozen=True, kw_only=True, tag="syn-drop"):
    """SYNs vanish, as in a full accept queue or at a firewall that admits established connections
    only.
    """

    summary: ClassVar[str] = "SYNs are discarded: no connection can be made"
    mask: ClassVar[int] = _SYN | _ACK
    flags: ClassVar[int] = _SYN
    noun: ClassVar[str] = "SYN"


class SynackDrop(_Unconnectable, frozen=True, kw_only=True, tag="synack-drop"):
    """SYN-ACKs vanish, as where the way back is another and its firewall never saw the SYN."""

    summary: ClassVar[str] = "SYN-ACKs are discarded: no connection can be made"
    mask: ClassVar[int] = _SYN | _ACK
    flags: ClassVar[int] = _SYN | _ACK
    noun: ClassVar[str] = "SYN-ACK"


def _attempt(lab: Lab) -> None:
    """Send one SYN from client to server, to a listener of our own, and forget about it."""
    family = FAMILIES[lab.layout.family]
    address = lab.layout.address("server")
    with lab.host("server").socket(family) as listener, lab.host("client").socket(family) as caller:
        listener.bind((address, 0))
        listener.listen()
        caller.settimeout(0)
        with suppress(OSError):  # in progress; whether it gets anywhere is not waited for
            caller.connect((address, listener.getsockname()[1]))


def _flags(mask: int, flags: int) -> dict[str, Any]:
    field = {"payload": {"protocol": "tcp", "field": "flags"}}
    return {"match": {"op": "==", "left": {"&": [field, mask]}, "right": flags}}
