"""What differential testing draws from: scenarios over states, settings, faults and their times, for virtual time.

Hypothesis draws numbers, of which it likes the extreme ones. What is one of a few is chosen evenly, by a generator
whose seed it draws: it is less even, and repeats itself. Times lie mostly where something is decided: near a probe, a
write, a retransmission. Every scenario asks for the exact window, at a phase of the timer wheel that is drawn too.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple, get_args

import msgspec
from hypothesis import strategies as st

from harness import faults
from harness.faults import AnyFault
from harness.faults.blackhole import Direction
from harness.faults.host import NewHost
from harness.faults.icmp import Code
from harness.faults.route import Becomes
from harness.faults.tcp_segment import Place
from harness.model.firewall_presets import PRESETS, Pickup, Then
from harness.model.topology import SIDES, Family, Interface, Kind, Layout, Side, Topology, layout, other
from harness.scenario.schema import Endpoint, Expect, Keepalive, Scenario

PHASES_NS = 1 << 38
"""The period of the wheel's buckets of two hours is 262 s at HZ=1000."""
LATEST = 1.13
"""A timer of more than 63 jiffies fires at most an eighth of its time late: 8**level of 63 * 8**(level - 1)."""
RETRANSMISSIONS = 12
"""Times near one of so many, the last of them some 800 s after the write."""
SHUTS = 0.1
"""The share of observers that only shut their writing direction, where no middlebox tracks flows: 6 % of all."""
Alive = Keepalive | bool
"""Keepalive's settings, or that it is off."""

_DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
_FAMILIES: tuple[Family, ...] = get_args(Family)
_KINDS: tuple[Kind, ...] = ("routed", "routed", "switched", "direct", "nat", "firewalls")
_CODES: dict[Family, tuple[Code, ...]] = {
    "ipv4": (
        "net-unreachable",
        "host-unreachable",
        "prot-unreachable",
        "port-unreachable",
        "net-prohibited",
        "host-prohibited",
        "admin-prohibited",
    ),
    "ipv6": (
        "no-route",
        "admin-prohibited",
        "addr-unreachable",
        "port-unreachable",
        "policy-fail",
        "reject-route",
    ),
}


class _Case(NamedTuple):
    """What a fault's strategy has to know. `writes_s`: of both sides, in the order of time, and the shutdown.

    `shuts`: the observer shuts its writing direction.
    """

    chance: Random
    where: Layout
    observer: Side
    alive: Alive
    writes_s: tuple[float, ...]
    shuts: bool = False

    @property
    def peer(self) -> Side:
        return other(self.observer)


def _milliseconds(least: float, most: float) -> st.SearchStrategy[float]:
    first = max(0, round(least))
    return st.integers(first, max(first, round(most))).map(lambda ms: ms / 1000)


# --- settings ----------------------------------------------------------------------------------------


@st.composite
def _keepalives(draw: st.DrawFn) -> Keepalive:
    """Small settings more often than large ones."""
    idle = draw(st.integers(1, 12) | st.integers(1, 120) | st.integers(1, 7200))
    interval = draw(st.integers(1, 6) | st.integers(1, 75))
    return Keepalive(idle_s=idle, interval_s=interval, count=draw(st.integers(1, 9)))


@st.composite
def _user_timeouts(draw: st.DrawFn, alive: Alive) -> float:
    if draw(st.integers(0, 2)):
        return 0.0
    nominal_s = alive.idle_s + alive.interval_s * alive.count if isinstance(alive, Keepalive) else 30
    return draw(_milliseconds(1, 5000) | _milliseconds(1, 2000 * nominal_s))


# --- moments -----------------------------------------------------------------------------------------


@st.composite
def _near_probes(draw: st.DrawFn, alive: Keepalive) -> float:
    """Seconds after arming, before or at one of an idle connection's probes, or the abort."""
    near_s = alive.idle_s + draw(st.integers(0, alive.count)) * alive.interval_s
    return draw(_milliseconds(0, 1000 * near_s) | _milliseconds(1000 * (near_s - 1), 1000 * LATEST * near_s))


def _moments(alive: Alive) -> st.SearchStrategy[float]:
    """Of something written, or of the shutdown, seconds after arming."""
    moment = _milliseconds(0, 20_000) | _milliseconds(0, 400_000)
    return moment | _near_probes(alive) if isinstance(alive, Keepalive) else moment


def _writes(alive: Alive) -> st.SearchStrategy[tuple[float, ...]]:
    """Moments of writing, seconds after arming."""
    return st.lists(_moments(alive), min_size=1, max_size=3, unique=True).map(lambda found: tuple(sorted(found)))


@st.composite
def _onsets(draw: st.DrawFn, case: _Case) -> float:
    """Seconds after arming: before something is sent, so that the fault meets it."""
    choices = [_milliseconds(0, 5000)]
    if isinstance(case.alive, Keepalive):
        choices += [_near_probes(case.alive), _milliseconds(0, 1000 * case.alive.idle_s)]
    for write_s in case.writes_s:
        choices += [_milliseconds(1000 * write_s - 300, 1000 * write_s - 6)] * 2
        choices.append(_near_retransmissions(write_s))
    return draw(st.one_of(choices))


@st.composite
def _near_retransmissions(draw: st.DrawFn, write_s: float) -> float:
    """The timeout doubles, from 0.2 s on, and the wheel makes it longer by some."""
    after_s = 0.2 * (2 ** draw(st.integers(1, RETRANSMISSIONS)) - 1)
    return draw(_milliseconds(1000 * (write_s + 0.9 * after_s), 1000 * (write_s + LATEST * after_s + 0.5)))


@st.composite
def _lengths(draw: st.DrawFn, case: _Case, at_s: float) -> float | None:
    """How long an outage lasts: mostly until near something that is sent again, or for ever."""
    if case.chance.random() < 0.5:
        return None
    ends = [_milliseconds(1, 300_000).map(lambda s: at_s + s)]
    if isinstance(case.alive, Keepalive):
        ends += [_near_probes(case.alive)] * 2
    ends += [_near_retransmissions(write_s) for write_s in case.writes_s]
    until_s = draw(st.one_of(ends))
    return round(until_s - at_s, 3) if until_s > at_s + 0.001 else None


# --- faults ------------------------------------------------------------------------------------------


def _host(case: _Case, *, routes: bool = False) -> str:
    """Any host; or one that has IP addresses."""
    return case.chance.choice(tuple(host.name for host in case.where.hosts if not (routes and host.bridges)))


def _toward(case: _Case, host: str) -> str | None:
    interfaces: tuple[Interface, ...] = case.where.host(host).interfaces
    return case.chance.choice(interfaces).toward if len(interfaces) > 1 else None


def _blackhole(case: _Case) -> AnyFault:
    on = case.chance.choice((None, None, *case.where.middle))
    return faults.Blackhole(direction=case.chance.choice(_DIRECTIONS), on=on)


def _loss(case: _Case) -> AnyFault:
    return faults.Loss(percent=100, direction=case.chance.choice(_DIRECTIONS))


def _icmp(case: _Case) -> AnyFault:
    code = case.chance.choice(_CODES[case.where.family])
    if case.chance.random() < 0.25:
        return faults.IcmpReject(
            code=code, on=case.peer, direction="to-server" if case.peer == "server" else "to-client"
        )
    return faults.IcmpReject(code=code, direction=case.chance.choice(_DIRECTIONS))


def _link(case: _Case) -> AnyFault:
    on = _host(case)
    return faults.LinkDown(on=on, toward=_toward(case, on))


def _carrier(case: _Case) -> AnyFault:
    on = _host(case)
    return faults.CarrierLoss(on=on, toward=_toward(case, on))


def _neighbour(case: _Case) -> AnyFault:
    on = _host(case, routes=True)
    return faults.NeighbourDeath(on=on, toward=_toward(case, on))


def _address(case: _Case) -> AnyFault:
    return faults.AddressRemoved(on=case.chance.choice(SIDES))


def _route(case: _Case) -> AnyFault:
    on = _host(case, routes=True)
    to = None if on in SIDES else case.chance.choice((case.peer, case.peer, case.observer))
    return faults.Route(on=on, becomes=case.chance.choice(get_args(Becomes)), to=to)


def _reboot(case: _Case) -> AnyFault:
    return faults.PeerReboot(on=case.peer)


def _failover(case: _Case) -> AnyFault:
    return faults.Failover(on=case.peer, announced=case.chance.random() < 0.5)


def _suspend(case: _Case) -> AnyFault:
    return faults.HostSuspend(on=case.peer)


def _kill(case: _Case) -> AnyFault:
    return faults.ProcessKill(on=case.peer)


def _freeze(case: _Case) -> AnyFault:
    return faults.ProcessFreeze(on=case.peer)


def _rst(case: _Case) -> AnyFault:
    return faults.RstInjected(
        toward=case.chance.choice(SIDES), sequence=case.chance.choice(("exact", *get_args(Place)))
    )


def _forwarding(case: _Case) -> str:
    return case.chance.choice(tuple(host.name for host in case.where.hosts if host.forwards))


def _firewall(case: _Case) -> AnyFault:
    """Its timeout is near what keepalive allows it to wait; or as it is delivered."""
    on = _forwarding(case)
    if case.chance.random() < 0.17:
        complete = tuple(name for name, preset in PRESETS.items() if preset.then or preset.pickup == "loose")
        return faults.FirewallIdle(preset=case.chance.choice(complete), on=on)
    near = case.alive.idle_s if isinstance(case.alive, Keepalive) else 20
    timeout = case.chance.choice((near + case.chance.randint(-5, 5), case.chance.randint(1, 2 * near)))
    pickup: Pickup = case.chance.choice(("strict", "strict", "outbound", "loose"))
    then: Then | None = case.chance.choice(get_args(Then))
    if pickup != "strict" and then == "reset-both":
        then = "reset"
    return faults.FirewallIdle(
        timeout_s=max(1, timeout), then=None if pickup == "loose" else then, pickup=pickup, on=on
    )


def _flush(case: _Case) -> AnyFault:
    on = case.chance.choice(tuple(host.name for host in case.where.hosts if host.tracks))
    if case.chance.random() < 0.25:
        return faults.FirewallFlush(pickup="loose", on=on)
    return faults.FirewallFlush(then=case.chance.choice(("drop", "reset")), on=on)


def _rebinding(case: _Case) -> AnyFault:
    return faults.NatRebinding(then=case.chance.choice(("drop", "reset")))


_Make = Callable[[_Case], AnyFault]


def _makes(where: Layout) -> tuple[_Make, ...]:
    """What can be drawn in a place, with weight on what cuts the path."""
    makes = [_blackhole] * 4 + [_link, _carrier, _address, _route, _route, _neighbour]
    makes += [_reboot, _failover, _suspend, _kill, _freeze, _icmp]
    if where.middle:
        makes += [_loss, _rst]
    if any(host.forwards for host in where.hosts):
        makes += [_firewall, _firewall, _icmp, _icmp, _route]
    if any(host.tracks for host in where.hosts):
        makes += [_flush, _flush]
    if any(host.translates for host in where.hosts):
        makes += [_rebinding, _rebinding]
    return tuple(makes)


@st.composite
def _faults(draw: st.DrawFn, case: _Case) -> AnyFault:
    makes = tuple(make for make in _makes(case.where) if not (case.shuts and make is _firewall))
    fault = case.chance.choice(makes)(case)
    if fault.standing:
        return fault
    at_s = draw(_onsets(case))
    if fault.is_final:
        return msgspec.structs.replace(fault, at_s=at_s)
    for_s = draw(_lengths(case, at_s))
    if for_s is not None and case.chance.random() < 0.25:
        every_s = round(for_s + draw(_milliseconds(6, 30_000)), 3)
        return msgspec.structs.replace(fault, at_s=at_s, for_s=for_s, every_s=every_s, times=draw(st.integers(2, 4)))
    return msgspec.structs.replace(fault, at_s=at_s, for_s=for_s)


# --- scenarios ---------------------------------------------------------------------------------------


@st.composite
def _connecting(draw: st.DrawFn, chance: Random, topology: Topology) -> Scenario:
    cuts: tuple[AnyFault, ...] = tuple(faults.Blackhole(direction=direction) for direction in _DIRECTIONS)
    fault = chance.choice((*cuts, faults.SynDrop(), faults.SynackDrop()))
    if chance.random() < 0.25:
        fault = msgspec.structs.replace(fault, for_s=draw(_milliseconds(1, 150_000)))
    alive = draw(_keepalives()) if chance.random() < 0.5 else False
    client = Endpoint(keepalive=alive, user_timeout_s=draw(_user_timeouts(alive)))
    return Scenario(topology=topology, state="connecting", client=client, faults=(fault,))


@st.composite
def _established(draw: st.DrawFn, chance: Random, topology: Topology) -> Scenario:
    side: Side = chance.choice(SIDES)
    where = layout(topology)
    # Not drawn with a shutdown, as there is no model: middleboxes, which forget a flow sooner after a FIN; and what a
    # server that has shut reads, since it echoes that: EPIPE.
    shuts = chance.random() < SHUTS and not any(host.tracks for host in where.hosts)
    alive = draw(_keepalives()) if chance.random() < 0.85 else False
    shuts_s = draw(_moments(alive)) if shuts else None
    # Without keepalive nothing is sent unless something is written.
    silent = shuts or (alive is not False and chance.random() >= 0.35)
    writes = () if silent else draw(_writes(alive))
    peer_writes = draw(_writes(alive)) if chance.random() < 0.2 and not (shuts and side == "server") else ()
    sent = {*writes, *peer_writes} if shuts_s is None else {shuts_s, *peer_writes}
    case = _Case(chance, where, side, alive, tuple(sorted(sent)), shuts)
    observer = Endpoint(
        keepalive=alive,
        user_timeout_s=draw(_user_timeouts(alive)),
        settings_via="sysctl" if alive and chance.random() < 0.2 else "socket",
        writes_at_s=writes,
        write_bytes=draw(st.integers(1, 1000)) if writes else 12,
        shuts_at_s=shuts_s,
    )
    drawn = [draw(_faults(case)) for _ in range(chance.choice((1, 1, 2)))]
    happening = tuple(sorted(drawn, key=lambda fault: fault.at_s))
    if any(isinstance(fault, NewHost) for fault in happening):
        happening = tuple(fault for fault in happening if not fault.processes())  # the new host has no program
    stops_s = min((fault.at_s for fault in happening if fault.processes()), default=None)
    peer = Endpoint(
        keepalive=draw(_keepalives()) if chance.random() < 0.1 else False,
        writes_at_s=tuple(at_s for at_s in peer_writes if stops_s is None or at_s < stops_s),
    )
    return Scenario(
        topology=topology,
        client=observer if side == "client" else peer,
        server=peer if side == "client" else observer,
        faults=happening,
        expect=Expect(side=side),
    )


@st.composite
def _stalled(draw: st.DrawFn, chance: Random, topology: Topology) -> Scenario:
    """A peer that never reads, and dies or does not."""
    side: Side = chance.choice(SIDES)
    alive = draw(_keepalives()) if chance.random() < 0.5 else False
    write_s = draw(_milliseconds(0, 1000 * alive.idle_s - 1 if isinstance(alive, Keepalive) else 5000))
    observer = Endpoint(
        keepalive=alive,
        user_timeout_s=draw(_user_timeouts(alive)) if chance.random() < 0.5 else 0.0,
        writes_at_s=(write_s,),
        write_bytes=1 << 20,
    )
    peer = Endpoint(reads=False, receive_buffer_bytes=chance.choice((2304, 4096, 8192, 16384)))
    case = _Case(chance, layout(topology), side, alive, (write_s,))
    fault = chance.choice((_blackhole, _blackhole, _reboot, _route, _link, _freeze))(case)
    at_s = write_s + draw(_milliseconds(500, 5000) | _milliseconds(500, 4_000_000))
    return Scenario(
        topology=topology,
        client=observer if side == "client" else peer,
        server=peer if side == "client" else observer,
        faults=(msgspec.structs.replace(fault, at_s=round(at_s, 3)),),
        expect=Expect(side=side),
    )


class Drawn(NamedTuple):
    """A scenario. `choices`: the seed of what was chosen in it, as opposed to numbers: of one seed all are alike."""

    choices: int
    scenario: Scenario


@st.composite
def scenarios(draw: st.DrawFn) -> Drawn:
    """Any scenario of those kinds; not all are sound, or predictable."""
    seed = draw(st.integers(0, (1 << 64) - 1))
    chance = Random(seed)
    topology = Topology(kind=chance.choice(_KINDS), family=chance.choice(_FAMILIES))
    state = chance.random()
    of_a_state = _connecting if state < 0.08 else _stalled if state < 0.16 else _established
    drawn = draw(of_a_state(chance, topology))
    phase_ns = chance.randint(0, PHASES_NS) if chance.random() < 0.8 else 0
    expect = msgspec.structs.replace(drawn.expect, window="exact", phase_ns=phase_ns)
    return Drawn(seed, msgspec.structs.replace(drawn, expect=expect))
