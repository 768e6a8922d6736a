"""Which captured segments belong to the connection that a run watches. Pure."""

from __future__ import annotations

from harness.judge.facts import (
    Armed,
    CapturedPacket,
    Ended,
    Fact,
    Noticed,
)
from harness.model.programs import Separate
from harness.plan.plan import Plan


def is_of_closing(segment: Fact[CapturedPacket], ended: Fact[Ended] | None) -> bool:
    """Whether it was sent in the moment of the end, but after it: in virtual time closing the
    sockets takes none.
    """
    return ended is not None and segment.t_ns == ended.t_ns and segment.place > ended.place


def is_watched(segment: CapturedPacket, armed: Fact[Armed] | None) -> bool:
    """Whether it belongs to the watched connection, as far as that is known.

    ICMP errors may be about it.
    """
    if armed is None or armed.what.local is None or not segment.sport:
        return True
    near, far = (
        (segment.sport, segment.dport) if segment.way == "out" else (segment.dport, segment.sport)
    )
    return near == armed.what.local[1] and (
        armed.what.remote is None or far == armed.what.remote[1]
    )


def may_be_watched(
    plan: Plan, segment: CapturedPacket, armed: Fact[Armed] | None, here: Fact[Armed] | None
) -> bool:
    """The same for a segment on the host of either end. `here`: that end; `armed`: the observer's.

    Where the other end has not told its ports, a segment there has the same port at the server, but
    behind a NAT or a proxy perhaps another one at the client. Where heartbeats have a connection of
    their own, either counts.
    """
    if (
        armed is None
        or armed.what.local is None
        or isinstance(plan.scenario.client.heartbeat, Separate)
    ):
        return True
    if here is not None and here.what.local is not None:
        return is_watched(segment, here)
    service = armed.what.local if armed.what.side == "server" else armed.what.remote
    if service is None or not segment.sport:
        return is_watched(segment, armed)
    return service[1] in (segment.sport, segment.dport)


def last_read_ns(captured: list[Fact[CapturedPacket]], end: Fact[Noticed] | None) -> int | None:
    """When the last data came, on whatever connection, before the end."""
    moments = [
        s.t_ns
        for s in captured
        if s.what.way == "in" and s.what.length and (not end or s.t_ns <= end.t_ns)
    ]
    return moments[-1] if moments else None


def is_from_living_peer(segment: CapturedPacket) -> bool:
    """Whether the peer sent it, and did not end the connection with it."""
    return segment.way == "in" and segment.role != "icmp" and not set("RF") & set(segment.flags)
