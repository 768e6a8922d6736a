"""The faults of an examination, in the order of its report. Frozen data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from harness.faults import (
    AnyFault,
    Blackhole,
    CarrierLoss,
    Delay,
    FirewallFlush,
    HostSuspend,
    LinkDown,
    Loss,
    PeerReboot,
    ProcessFreeze,
    ProcessKill,
    WallClock,
)
from harness.faults.blackhole import Direction
from harness.model.topology import SIDES, Kind, Side, Topology
from harness.scenario.schema import Scenario

FAULT_AT_S = 69.3
"""After arming: what happens after a connection was made, and never again, is over by then."""
RESTARTED_AFTER_S = 10.0
"""A killed program is started again so much later, as a supervisor would do."""
OUTAGE_S = 30.0
DAY_S = 86_400.0
FLAPS, FLAP_S, FLAP_EVERY_S = 6, 5.0, 15.0
AFTERWARDS_S = 300.0
"""How long to watch after a fault that ends, or that should make no difference."""

Course = Literal["lasts", "ends", "harmless"]
"""What is expected of a program under a fault.

lasts      the peer is gone for good: it should be detected
ends       the path or the peer comes back: data should pass again, on whatever connection
harmless   the peer is there all the time: nothing should be detected
"""


class GridFault(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the grid.

    `words`: what happens, as a sentence; `title`: the same as a noun. `struck`: the end that the
    fault acts on, whose own behaviour says nothing then. `after_s`: how long to watch after the
    fault; None: the bound of the examination.
    """

    name: str
    title: str
    words: str
    course: Course
    faults: tuple[AnyFault, ...]
    struck: Side | None = None
    topology: Kind | None = None
    relayed: bool = False
    after_s: float | None = None

    def placed(self, topology: Topology) -> Topology:
        """The network of a scenario, as this fault needs it."""
        if self.relayed:
            return msgspec.structs.replace(topology, kind="proxied", proxy="relay")
        if self.topology is None:
            return topology
        return msgspec.structs.replace(topology, kind=self.topology, proxy=None)


def grid(base: Scenario) -> tuple[GridFault, ...]:
    """All faults for two ends. A killed or rebooted end that is a command is started again."""
    return (
        *_paths(),
        *(fault for side in SIDES for fault in _of_end(base, side)),
        *(_link_down(side) for side in SIDES),
        *_middles(),
        *_endings(),
        *_harmless(),
    )


def _paths() -> Iterator[GridFault]:
    words: dict[Direction, str] = {
        "both": "all packets are discarded, both ways",
        "to-server": "packets to the server are discarded",
        "to-client": "packets to the client are discarded",
    }
    titles: dict[Direction, str] = {
        "both": "a blackhole",
        "to-server": "a blackhole toward the server",
        "to-client": "a blackhole toward the client",
    }
    for direction, what in words.items():
        name = "blackhole" if direction == "both" else f"blackhole-{direction}"
        fault = Blackhole(at_s=FAULT_AT_S, direction=direction)
        title = titles[direction]
        yield GridFault(name=name, title=title, words=what, course="lasts", faults=(fault,))


def _of_end(base: Scenario, side: Side) -> Iterator[GridFault]:
    """What befalls the program or the host of one end."""
    starts = side == "server" and base.server.command is not None
    freeze = ProcessFreeze(on=side, at_s=FAULT_AT_S)
    yield GridFault(
        name=f"{side}-frozen",
        title=f"a {side} that hangs",
        words=f"the {side}'s program hangs, its kernel answers",
        course="lasts",
        faults=(freeze,),
        struck=side,
    )
    yield GridFault(
        name=f"{side}-killed",
        title=f"a killed {side}",
        words=f"the {side}'s program is killed"
        + (f", and started again after {RESTARTED_AFTER_S:g} s" if starts else ""),
        course="ends" if starts else "lasts",
        faults=(
            ProcessKill(on=side, at_s=FAULT_AT_S, for_s=RESTARTED_AFTER_S if starts else None),
        ),
        struck=side,
        after_s=AFTERWARDS_S if starts else None,
    )
    yield GridFault(
        name=f"{side}-rebooted",
        title=f"a rebooted {side}",
        words=f"the {side}'s host reboots, without a FIN"
        + (", and its program is started again" if starts else ""),
        course="lasts",
        faults=(PeerReboot(on=side, at_s=FAULT_AT_S, starts_program=starts),),
        struck=side,
    )
    yield GridFault(
        name=f"{side}-suspended",
        title=f"a suspended {side}",
        words=f"the {side}'s host is suspended",
        course="lasts",
        faults=(HostSuspend(on=side, at_s=FAULT_AT_S),),
        struck=side,
    )


def _clock(direction: str, step_s: float) -> GridFault:
    return GridFault(
        name=f"clock-{direction}",
        title=f"a wall clock that is set {direction}",
        words=f"the wall clock of both hosts is set {direction} by a day",
        course="harmless",
        faults=(WallClock(at_s=FAULT_AT_S, step_s=step_s),),
        after_s=AFTERWARDS_S,
    )


def _link_down(side: Side) -> GridFault:
    return GridFault(
        name=f"{side}-link-down",
        title=f"a {side} without network",
        words=f"the {side}'s network interface is set down",
        course="lasts",
        faults=(LinkDown(on=side, at_s=FAULT_AT_S),),
    )


def _middles() -> Iterator[GridFault]:
    drop = FirewallFlush(on="firewall-a", then="drop", at_s=FAULT_AT_S)
    reset = FirewallFlush(on="firewall-a", then="reset", at_s=FAULT_AT_S)
    yield GridFault(
        name="firewall-drops",
        title="a firewall that drops its state silently",
        words="a firewall drops its state, and discards what comes later",
        course="lasts",
        faults=(drop,),
        topology="firewalls",
    )
    yield GridFault(
        name="firewall-resets",
        title="a firewall that drops its state and answers with RST",
        words="a firewall drops its state, and answers what comes later with RST",
        course="lasts",
        faults=(reset,),
        topology="firewalls",
    )
    yield GridFault(
        name="proxied",
        title="a dead server behind a proxy",
        words="the server's link is down, behind a TCP proxy that stays up",
        course="lasts",
        faults=(LinkDown(on="server", at_s=FAULT_AT_S),),
        relayed=True,
    )


def _endings() -> Iterator[GridFault]:
    yield GridFault(
        name="outage",
        title=f"an outage of {OUTAGE_S:g} s",
        words=f"all packets are discarded for {OUTAGE_S:g} s",
        course="ends",
        faults=(Blackhole(at_s=FAULT_AT_S, for_s=OUTAGE_S),),
        after_s=OUTAGE_S + AFTERWARDS_S,
    )
    flaps = CarrierLoss(
        on="server", at_s=FAULT_AT_S, for_s=FLAP_S, every_s=FLAP_EVERY_S, times=FLAPS
    )
    yield GridFault(
        name="flapping",
        title="a flapping link",
        words=f"the server's cable is pulled {FLAPS} times, for {FLAP_S:g} s each",
        course="ends",
        faults=(flaps,),
        after_s=FLAPS * FLAP_EVERY_S + AFTERWARDS_S,
    )


def _harmless() -> Iterator[GridFault]:
    slow = Delay(at_s=FAULT_AT_S, delay_ms=400, jitter_ms=100, direction="to-client")
    lossy = Loss(at_s=FAULT_AT_S, percent=10, direction="to-server")
    yield GridFault(
        name="slow-lossy",
        title="a slow, lossy line",
        words="packets to the client take 0.3 to 0.5 s, 10 % of those to the server are lost",
        course="harmless",
        faults=(slow, lossy),
        after_s=AFTERWARDS_S,
    )
    yield _clock("forward", DAY_S)
    yield _clock("back", -DAY_S)
