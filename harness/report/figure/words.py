"""Segments, faults and durations in the words of figures. Pure."""

from __future__ import annotations

from harness.model.values import count
from harness.report.figure.contents import Contents, FaultSpan
from harness.report.figure.crossings import Captured, Crossing

ROLES = {
    "syn": "SYN",
    "syn-ack": "SYN, ACK",
    "data": "data",
    "retransmit": "retransmission",
    "ack": "ACK",
    "probe": "keepalive probe",
    "answer": "answer to a probe",
    "fin": "FIN",
    "rst": "RST",
    "icmp": "ICMP error",
}
"""What a segment is called, by its role."""
SIGNS = {"exit": "exits", "output": "prints", "close": "closes", "reconnect": "reconnects"}
"""What a command does that shows that it has detected something."""
_NOT_LOSING = frozenset({"process-freeze", "process-kill", "host-suspend"})


def role_of(segment: Captured) -> str:
    """What a segment is called."""
    return ROLES.get(segment.role, segment.role)


def spelled(segment: Captured) -> str:
    """A segment in words, with its payload's length."""
    name = role_of(segment)
    if segment.length and segment.role not in ("probe", "answer", "ack"):
        return f"{name}, {count(segment.length, 'octet')}"
    return name


def duration(length_ns: int) -> str:
    """About how long something takes, in two units at most."""
    seconds = length_ns / 1e9
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 120:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def way_of(crossing: Crossing, contents: Contents) -> tuple[str, ...]:
    """The hosts that a segment passes, from the one that sent it to the one that it is meant for.

    With a proxy or a second server, which ends the connection, from or to that.
    """
    hosts = contents.hosts if crossing.toward == "server" else contents.hosts[::-1]
    if crossing.unknown:
        at = hosts.index(crossing.seen.peer)
        return hosts[: at + 1] if crossing.sent is not None else hosts[at:]
    if crossing.sent is None:
        return hosts[hosts.index(origin_of(crossing, contents)) :]
    return hosts


def origin_of(crossing: Crossing, contents: Contents) -> str:
    """The host that made a segment which the other end never sent: a fault's, or the nearest."""
    hosts = contents.hosts if crossing.toward == "server" else contents.hosts[::-1]
    before = hosts[:-1]
    if crossing.seen.peer in before[1:]:  # an ICMP error has its sender's address
        return crossing.seen.peer
    faults = [fault for fault in contents.faults if fault.is_on(crossing.t_ns)]
    named = [host for fault in faults for host in fault.hosts if host in before]
    return named[0] if named else before[-1]


def dropped_at(crossing: Crossing, contents: Contents) -> tuple[str, FaultSpan] | None:
    """Where a lost segment met a fault that may have dropped it: the first on its way."""
    for host in way_of(crossing, contents):
        for fault in contents.faults:
            if host in fault.hosts and fault.is_on(crossing.t_ns) and fault.kind not in _NOT_LOSING:
                return host, fault
    return None


def told(crossing: Crossing, contents: Contents) -> str:
    """A segment's whole story in a sentence, for the tip of its mark."""
    seen = crossing.seen
    when = contents.seconds(crossing.t_ns)
    if crossing.sent is None:
        return f"{when} s: {spelled(seen)} arrives at the {seen.host}{_stranger(crossing)}"
    start = f"{when} s: the {seen.host} sends {spelled(seen)}"
    if crossing.unknown:
        return start
    if crossing.received is None:
        met = dropped_at(crossing, contents)
        return f"{start}; it never arrives" + (f" ({met[1].label})" if met else "")
    delay_ns = crossing.received.t_ns - seen.t_ns
    return f"{start}" + (f"; it arrives {duration(delay_ns)} later" if delay_ns >= 1000 else "")


def _stranger(crossing: Crossing) -> str:
    return "" if crossing.unknown else ", which the other end did not send"
