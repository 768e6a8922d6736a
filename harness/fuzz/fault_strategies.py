"""Which faults a random scenario has, where, and when."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import msgspec
from hypothesis import strategies as st

from harness import faults
from harness.faults import AnyFault
from harness.faults.blackhole import Direction
from harness.faults.icmp import Code
from harness.faults.route import Becomes
from harness.faults.tcp_segment import Place
from harness.fuzz.moments import Case, lengths, milliseconds, onsets
from harness.model.firewall_presets import PRESETS, Pickup, Then
from harness.model.topology import SIDES, Family, Interface, Layout
from harness.scenario.schema import Keepalive

DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
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


def _host(case: Case, *, routes: bool = False) -> str:
    """Any host; or one that has IP addresses."""
    return case.chance.choice(
        tuple(host.name for host in case.where.hosts if not (routes and host.bridges))
    )


def _toward(case: Case, host: str) -> str | None:
    interfaces: tuple[Interface, ...] = case.where.host(host).interfaces
    return case.chance.choice(interfaces).toward if len(interfaces) > 1 else None


def blackhole(case: Case) -> AnyFault:
    """A loss of all packets, somewhere on the path."""
    on = case.chance.choice((None, None, *case.where.middle))
    return faults.Blackhole(direction=case.chance.choice(DIRECTIONS), on=on)


def _loss(case: Case) -> AnyFault:
    return faults.Loss(percent=100, direction=case.chance.choice(DIRECTIONS))


def _icmp(case: Case) -> AnyFault:
    code = case.chance.choice(_CODES[case.where.family])
    if case.chance.random() < 0.25:
        return faults.IcmpReject(
            code=code, on=case.peer, direction="to-server" if case.peer == "server" else "to-client"
        )
    return faults.IcmpReject(code=code, direction=case.chance.choice(DIRECTIONS))


def link(case: Case) -> AnyFault:
    """A link that is down at any host."""
    on = _host(case)
    return faults.LinkDown(on=on, toward=_toward(case, on))


def _carrier(case: Case) -> AnyFault:
    on = _host(case)
    return faults.CarrierLoss(on=on, toward=_toward(case, on))


def _neighbour(case: Case) -> AnyFault:
    on = _host(case, routes=True)
    return faults.NeighbourDeath(on=on, toward=_toward(case, on))


def _address(case: Case) -> AnyFault:
    return faults.AddressRemoved(on=case.chance.choice(SIDES))


def route(case: Case) -> AnyFault:
    """A change of a route at any host that has some."""
    on = _host(case, routes=True)
    to = None if on in SIDES else case.chance.choice((case.peer, case.peer, case.observer))
    return faults.Route(on=on, becomes=case.chance.choice(get_args(Becomes)), to=to)


def reboot(case: Case) -> AnyFault:
    """A reboot of the peer's host."""
    return faults.PeerReboot(on=case.peer)


def _failover(case: Case) -> AnyFault:
    return faults.Failover(on=case.peer, announced=case.chance.random() < 0.5)


def _suspend(case: Case) -> AnyFault:
    return faults.HostSuspend(on=case.peer)


def _kill(case: Case) -> AnyFault:
    return faults.ProcessKill(on=case.peer)


def freeze(case: Case) -> AnyFault:
    """A stop of the peer's program (SIGSTOP)."""
    return faults.ProcessFreeze(on=case.peer)


def _rst(case: Case) -> AnyFault:
    return faults.RstInjected(
        toward=case.chance.choice(SIDES), sequence=case.chance.choice(("exact", *get_args(Place)))
    )


def _forwarding(case: Case) -> str:
    return case.chance.choice(tuple(host.name for host in case.where.hosts if host.forwards))


def _firewall(case: Case) -> AnyFault:
    """Its timeout is near what keepalive allows it to wait; or as it is delivered."""
    on = _forwarding(case)
    if case.chance.random() < 0.17:
        complete = tuple(
            name for name, preset in PRESETS.items() if preset.then or preset.pickup == "loose"
        )
        return faults.FirewallIdle(preset=case.chance.choice(complete), on=on)
    near = case.alive.idle_s if isinstance(case.alive, Keepalive) else 20
    timeout = case.chance.choice(
        (near + case.chance.randint(-5, 5), case.chance.randint(1, 2 * near))
    )
    pickup: Pickup = case.chance.choice(("strict", "strict", "outbound", "loose"))
    then: Then | None = case.chance.choice(get_args(Then))
    if pickup != "strict" and then == "reset-both":
        then = "reset"
    return faults.FirewallIdle(
        timeout_s=max(1, timeout), then=None if pickup == "loose" else then, pickup=pickup, on=on
    )


def _flush(case: Case) -> AnyFault:
    on = case.chance.choice(tuple(host.name for host in case.where.hosts if host.tracks))
    if case.chance.random() < 0.25:
        return faults.FirewallFlush(pickup="loose", on=on)
    return faults.FirewallFlush(then=case.chance.choice(("drop", "reset")), on=on)


def _rebinding(case: Case) -> AnyFault:
    return faults.NatRebinding(then=case.chance.choice(("drop", "reset")))


Make = Callable[[Case], AnyFault]


def makes(where: Layout) -> tuple[Make, ...]:
    """What can be drawn in a place, with weight on what cuts the path."""
    makes = [blackhole] * 4 + [link, _carrier, _address, route, route, _neighbour]
    makes += [reboot, _failover, _suspend, _kill, freeze, _icmp]
    if where.middle:
        makes += [_loss, _rst]
    if any(host.forwards for host in where.hosts):
        makes += [_firewall, _firewall, _icmp, _icmp, route]
    if any(host.tracks for host in where.hosts):
        makes += [_flush, _flush]
    if any(host.translates for host in where.hosts):
        makes += [_rebinding, _rebinding]
    return tuple(makes)


@st.composite
def any_fault(draw: st.DrawFn, case: Case) -> AnyFault:
    """A fault that is possible in this place, with its times."""
    possible = tuple(make for make in makes(case.where) if not (case.shuts and make is _firewall))
    fault = case.chance.choice(possible)(case)
    if fault.standing:
        return fault
    at_s = draw(onsets(case))
    if fault.is_final:
        return msgspec.structs.replace(fault, at_s=at_s)
    for_s = draw(lengths(case, at_s))
    if for_s is not None and case.chance.random() < 0.25:
        every_s = round(for_s + draw(milliseconds(6, 30_000)), 3)
        return msgspec.structs.replace(
            fault, at_s=at_s, for_s=for_s, every_s=every_s, times=draw(st.integers(2, 4))
        )
    return msgspec.structs.replace(fault, at_s=at_s, for_s=for_s)
