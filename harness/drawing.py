"""What differential testing draws from: scenarios over states, settings, faults and their times, for virtual time.

Hypothesis strategies. Times lie mostly where something is decided: near a probe, a retransmission, the end of an
outage. Every scenario asks for the exact window, at a phase of the timer wheel that is drawn too.
"""

from __future__ import annotations

from typing import Literal

from hypothesis import strategies as st

from harness.faults import AnyFault, Blackhole, FirewallIdle, IcmpReject, LinkDown, PeerReboot, ProcessKill
from harness.faults.base import other
from harness.faults.blackhole import Direction
from harness.faults.icmp import Code
from harness.lab.topology import Family, Kind, Side, Topology
from harness.scenario import Endpoint, Expect, Keepalive, Scenario

PHASES_NS = 1 << 38
"""The period of the wheel's buckets of two hours is 262 s at HZ=1000."""
Alive = Keepalive | Literal[False]
"""Keepalive's settings, or that it is off."""


_DIRECTIONS: tuple[Direction, ...] = ("both", "to-server", "to-client")
_FAMILIES: tuple[Family, ...] = ("ipv4", "ipv6")
_KINDS: tuple[Kind, ...] = ("routed", "routed", "switched", "direct")
_CODES: dict[Family, tuple[Code, ...]] = {
    "ipv4": ("net-unreachable", "host-unreachable", "port-unreachable", "admin-prohibited"),
    "ipv6": ("no-route", "addr-unreachable", "port-unreachable", "admin-prohibited"),
}


def _milliseconds(least: int, most: int) -> st.SearchStrategy[float]:
    return st.integers(least, max(least, most)).map(lambda ms: ms / 1000)


@st.composite
def _keepalives(draw: st.DrawFn) -> Alive:
    """Off now and then; small settings more often than large ones."""
    if draw(st.integers(0, 5)) == 0:
        return False
    idle = draw(st.integers(1, 12) | st.integers(1, 120) | st.integers(1, 7200))
    interval = draw(st.integers(1, 6) | st.integers(1, 75))
    return Keepalive(idle_s=idle, interval_s=interval, count=draw(st.integers(1, 9)))


@st.composite
def _user_timeouts(draw: st.DrawFn, alive: Alive) -> float:
    if draw(st.integers(0, 2)):
        return 0.0
    nominal_s = alive.idle_s + alive.interval_s * alive.count if isinstance(alive, Keepalive) else 30
    return draw(_milliseconds(1, 5000) | _milliseconds(1, 2000 * nominal_s))


@st.composite
def _moments(draw: st.DrawFn, alive: Alive) -> float:
    """Seconds after arming, mostly near a probe."""
    if not isinstance(alive, Keepalive):
        return draw(_milliseconds(0, 2_000_000) | _milliseconds(0, 20_000))
    near_s = alive.idle_s + draw(st.integers(0, alive.count + 1)) * alive.interval_s
    return draw(
        _milliseconds(0, 1000 * near_s)
        | _milliseconds(1000 * (near_s - 1), 1010 * (near_s + 1))
        | _milliseconds(0, 500_000)
    )


@st.composite
def _faults(draw: st.DrawFn, topology: Topology, observer: Side, alive: Alive) -> AnyFault:
    at_s = draw(_moments(alive))
    for_s = draw(st.none() | _milliseconds(1, 300_000) | _moments(alive).map(lambda s: s + 0.001))
    kinds = ["blackhole", "blackhole", "blackhole", "link", "reboot", "kill"]
    if topology.kind == "routed":
        kinds += ["firewall", "firewall", "icmp", "icmp"]
    kind = draw(st.sampled_from(kinds))
    if kind == "link":
        return LinkDown(on=draw(st.sampled_from(("client", "server"))), at_s=at_s, for_s=for_s)
    if kind == "reboot":
        return PeerReboot(on=other(observer), at_s=at_s)
    if kind == "kill":
        return ProcessKill(on=other(observer), at_s=at_s)
    if kind == "firewall":
        near = alive.idle_s if isinstance(alive, Keepalive) else 20
        timeout = draw(st.integers(max(1, near - 5), near + 5) | st.integers(1, 400))
        return FirewallIdle(timeout_s=timeout, then=draw(st.sampled_from(("drop", "reset"))))
    if kind == "icmp":
        return IcmpReject(code=draw(st.sampled_from(_CODES[topology.family])), at_s=at_s, for_s=for_s)
    return Blackhole(direction=draw(st.sampled_from(_DIRECTIONS)), at_s=at_s, for_s=for_s)


@st.composite
def _writes(draw: st.DrawFn, alive: Alive, most: int) -> tuple[float, ...]:
    return tuple(sorted(draw(st.lists(_moments(alive), max_size=most, unique=True))))


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """Any scenario of those kinds; not all are sound, or predictable."""
    side: Side = draw(st.sampled_from(("client", "server")))
    family: Family = draw(st.sampled_from(_FAMILIES))
    topology = Topology(kind=draw(st.sampled_from(_KINDS)), family=family)
    alive = draw(_keepalives())
    observer = Endpoint(
        keepalive=alive, user_timeout_s=draw(_user_timeouts(alive)), writes_at_s=draw(st.just(()) | _writes(alive, 3))
    )
    peer = Endpoint(writes_at_s=draw(st.just(()) | st.just(()) | _writes(alive, 2)))
    connecting = side == "client" and draw(st.integers(0, 9)) == 0
    if connecting:
        observer = Endpoint(user_timeout_s=observer.user_timeout_s)
        peer = Endpoint()
        faults: tuple[AnyFault, ...] = (Blackhole(direction=draw(st.sampled_from(_DIRECTIONS))),)
    else:
        faults = tuple(draw(st.lists(_faults(topology, side, alive), min_size=1, max_size=2)))
    return Scenario(
        topology=topology,
        state="connecting" if connecting else "established",
        client=observer if side == "client" else peer,
        server=peer if side == "client" else observer,
        faults=faults,
        expect=Expect(side=side, window="exact", phase_ns=draw(st.just(0) | st.integers(0, PHASES_NS))),
    )
