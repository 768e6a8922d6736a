"""What differential testing draws from: scenarios over states, settings, faults and their times,
for virtual time.

Hypothesis draws numbers, of which it likes the extreme ones. What is one of a few is chosen evenly,
by a generator whose seed it draws: it is less even, and repeats itself. Times lie mostly where
something is decided: near a probe, a write, a retransmission. Every scenario asks for the exact
window, at a phase of the timer wheel that is drawn too.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple, get_args

import msgspec
from hypothesis import strategies as st

from harness import faults
from harness.faults import AnyFault
from harness.faults.host import NewHost
from harness.fuzz.fault_strategies import (
    DIRECTIONS,
    any_fault,
    blackhole,
    freeze,
    link,
    reboot,
    route,
)
from harness.fuzz.moments import Alive, Case, milliseconds, moments, writes_s
from harness.model.topology import SIDES, Family, Kind, Side, Topology, layout
from harness.scenario.schema import RETRIES, Endpoint, Expect, Keepalive, Scenario

PHASES_NS = 1 << 38
"""The period of the wheel's buckets of two hours is 262 s at HZ=1000."""
SHUTS = 0.1
"""The share of observers that only shut their writing direction, where no middlebox tracks flows: 6
% of all.
"""

_FAMILIES: tuple[Family, ...] = get_args(Family)
_KINDS: tuple[Kind, ...] = ("routed", "routed", "switched", "direct", "nat", "firewalls")


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
    nominal_s = (
        alive.idle_s + alive.interval_s * alive.count if isinstance(alive, Keepalive) else 30
    )
    return draw(milliseconds(1, 5000) | milliseconds(1, 2000 * nominal_s))


@st.composite
def _connecting(draw: st.DrawFn, chance: Random, topology: Topology) -> Scenario:
    cuts: tuple[AnyFault, ...] = tuple(
        faults.Blackhole(direction=direction) for direction in DIRECTIONS
    )
    fault = chance.choice((*cuts, faults.SynDrop(), faults.SynackDrop()))
    if chance.random() < 0.25:
        fault = msgspec.structs.replace(fault, for_s=draw(milliseconds(1, 150_000)))
    alive = draw(_keepalives()) if chance.random() < 0.5 else False
    client = Endpoint(keepalive=alive, user_timeout_s=draw(_user_timeouts(alive)))
    return Scenario(topology=topology, state="connecting", client=client, faults=(fault,))


@st.composite
def _established(draw: st.DrawFn, chance: Random, topology: Topology) -> Scenario:
    side: Side = chance.choice(SIDES)
    where = layout(topology)
    # Not drawn with a shutdown, as there is no model: middleboxes, which forget a flow sooner after
    # a FIN; and what a server that has shut reads, since it echoes that: EPIPE.
    shuts = chance.random() < SHUTS and not any(host.tracks for host in where.hosts)
    alive = draw(_keepalives()) if chance.random() < 0.85 else False
    shuts_s = draw(moments(alive)) if shuts else None
    # Without keepalive nothing is sent unless something is written.
    silent = shuts or (alive is not False and chance.random() >= 0.35)
    writes = () if silent else draw(writes_s(alive))
    peer_writes = (
        draw(writes_s(alive)) if chance.random() < 0.2 and not (shuts and side == "server") else ()
    )
    sent = {*writes, *peer_writes} if shuts_s is None else {shuts_s, *peer_writes}
    case = Case(chance, where, side, alive, tuple(sorted(sent)), shuts)
    observer = Endpoint(
        keepalive=alive,
        user_timeout_s=draw(_user_timeouts(alive)),
        settings_via="sysctl" if alive and chance.random() < 0.2 else "socket",
        retries2=draw(st.integers(1, 15)) if writes and chance.random() < 0.2 else RETRIES,
        writes_at_s=writes,
        write_bytes=draw(st.integers(1, 1000)) if writes else 12,
        shuts_at_s=shuts_s,
    )
    drawn = [draw(any_fault(case)) for _ in range(chance.choice((1, 1, 2)))]
    happening = tuple(sorted(drawn, key=lambda fault: fault.at_s))
    if any(isinstance(fault, NewHost) for fault in happening):
        happening = tuple(
            fault for fault in happening if not fault.processes()
        )  # the new host has no program
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
def _not_reading(draw: st.DrawFn, chance: Random, topology: Topology) -> Scenario:
    """A peer that never reads, and dies or does not."""
    side: Side = chance.choice(SIDES)
    alive = draw(_keepalives()) if chance.random() < 0.5 else False
    write_s = draw(
        milliseconds(0, 1000 * alive.idle_s - 1 if isinstance(alive, Keepalive) else 5000)
    )
    observer = Endpoint(
        keepalive=alive,
        user_timeout_s=draw(_user_timeouts(alive)) if chance.random() < 0.5 else 0.0,
        writes_at_s=(write_s,),
        write_bytes=1 << 20,
    )
    peer = Endpoint(reads=False, receive_buffer_bytes=chance.choice((2304, 4096, 8192, 16384)))
    case = Case(chance, layout(topology), side, alive, (write_s,))
    fault = chance.choice((blackhole, blackhole, reboot, route, link, freeze))(case)
    at_s = write_s + draw(milliseconds(500, 5000) | milliseconds(500, 4_000_000))
    return Scenario(
        topology=topology,
        client=observer if side == "client" else peer,
        server=peer if side == "client" else observer,
        faults=(msgspec.structs.replace(fault, at_s=round(at_s, 3)),),
        expect=Expect(side=side),
    )


class Drawn(NamedTuple):
    """A scenario.

    `choices`: the seed of what was chosen in it, as opposed to numbers: of one seed all are alike.
    """

    choices: int
    scenario: Scenario


@st.composite
def scenarios(draw: st.DrawFn) -> Drawn:
    """Any scenario of those kinds; not all are sound, or predictable."""
    seed = draw(st.integers(0, (1 << 64) - 1))
    chance = Random(seed)
    topology = Topology(kind=chance.choice(_KINDS), family=chance.choice(_FAMILIES))
    state = chance.random()
    of_a_state = _connecting if state < 0.08 else _not_reading if state < 0.16 else _established
    drawn = draw(of_a_state(chance, topology))
    phase_ns = chance.randint(0, PHASES_NS) if chance.random() < 0.8 else 0
    expect = msgspec.structs.replace(drawn.expect, window="exact", phase_ns=phase_ns)
    return Drawn(seed, msgspec.structs.replace(drawn, expect=expect))
