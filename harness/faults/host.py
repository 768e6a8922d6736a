"""Faults of a whole host: it reboots, another takes its place, or it stands still for a time.

They look alike from afar and end differently: a rebooted host answers the next probe with RST, and
so does one that has taken its place if its neighbours know of it; one that stood still knows its
connections again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from harness.errors import FaultError
from harness.faults.base import LOOK_S, Evidence, Fault, OfSideProgram, besides, unproxied
from harness.faults.blackhole import on_arrival
from harness.faults.link import CARRIER_SETTLES_S
from harness.lab.watched import OTHERS
from harness.model.topology import FAMILIES, Layout, ProgramHost, Side
from harness.model.values import Problem, count
from harness.oracle.effects import Effect, Mechanism

if TYPE_CHECKING:
    from harness.lab.host import Lab

ANNOUNCEMENT_WAIT_S = 2.0
_SECOND_MACHINE = 0x80
"""The last octet of the MAC address of a host that has taken over; those of a lab count from 0."""


class NewHost(Fault, frozen=True, kw_only=True):
    """What faults share after which the host is another one, which knows no connection.

    `on`: which host. `starts_program`: its program, which must be a command, is started again
    there.
    """

    on: ProgramHost = "server"
    starts_program: bool = False

    lasting: ClassVar[bool] = True

    @property
    def restored_s(self) -> float | None:
        return self.at_s if self.starts_program else None

    @property
    def starts(self) -> ProgramHost | None:
        return self.on if self.starts_program else None

    def hosts(self, layout: Layout) -> frozenset[str]:
        return frozenset({self.on})


class PeerReboot(NewHost, frozen=True, kw_only=True, tag="peer-reboot"):
    """The host comes back with the same addresses and no memory.

    Neither FIN nor RST leaves it as it goes.

    It is that of a side, or of the proxy. A fresh namespace takes over its links, with their MACs;
    the old one keeps the sockets and has no way out. `starts_program`: the host's program, which
    must be a command, is started again on the fresh host, and finds its scratch folder as it left
    it. Without that no program runs there. Evidence: the namespace's identity before and after.
    """

    summary: ClassVar[str] = "the host comes back without its connections; no FIN or RST is sent"
    also_called: ClassVar[tuple[str, ...]] = ("host-down", "host-crash", "host-reboot")

    def misplaced(self, layout: Layout) -> Iterator[Problem]:
        yield from unproxied(self.on, layout)
        if self.for_s is not None:
            yield Problem("for_s", self.for_s, "no such key: a reboot cannot be undone")

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        if self.on == observer:
            return ()
        return (Effect(mechanism="peer-forgot", from_s=self.at_s, unsettled_s=CARRIER_SETTLES_S),)

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        host = lab.host(self.on)
        before = host.identity
        program = host.program if self.starts_program else None
        lab.reboot(self.on)
        if program is not None:
            host.start_again(program)

        def evidence() -> Evidence:
            after = lab.host(self.on).identity
            return Evidence(
                level="none" if after == before else "bit",
                found=f"{self.on}'s network namespace was net:[{before}], is net:[{after}]",
            )

        yield evidence


class Failover(NewHost, frozen=True, kw_only=True, tag="failover"):
    """Another host takes over the address, with a MAC of its own and no memory.

    The old one is gone without a word.

    `announced`: by gratuitous ARP or an unsolicited neighbour advertisement, so that the neighbours
    send to it and it answers with RST. Without that they send to the old MAC address for as long as
    they believe in it: for ever in a lab, whose neighbours are pinned. `starts_program`: the same
    command runs on the new host, with an empty scratch folder. Evidence: the namespace's identity
    before and after, and where the neighbours send to.
    """

    on: Side = "server"
    announced: bool = True

    summary: ClassVar[str] = "another host takes over the address, with another MAC address"

    def misplaced(self, layout: Layout) -> Iterator[Problem]:
        if self.for_s is not None:
            yield Problem("for_s", self.for_s, "no such key: what has been taken over stays so")

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        if self.on == observer:
            return ()
        mechanism: Mechanism = "peer-forgot" if self.announced else "lost"
        return (Effect(mechanism=mechanism, from_s=self.at_s, unsettled_s=CARRIER_SETTLES_S),)

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        from harness.lab import gratuitous_arp

        layout, address = lab.layout, lab.layout.address(self.on)
        interface = layout.host(self.on).interfaces[0]
        mac = f"{interface.mac[:-2]}{_SECOND_MACHINE:02x}"
        before = lab.host(self.on).identity
        neighbours = [name for name, known, _ in layout.neighbours if known == address]
        program = lab.host(self.on).program if self.starts_program else None
        lab.reboot(self.on, mac)
        if self.announced:
            for name in neighbours:
                with lab.host(name).entered():
                    gratuitous_arp.unsettle(layout.family, _device(layout, name, self.on), address)
            lab.host(self.on).transmit(
                interface.name, gratuitous_arp.frame(layout.family, address, mac)
            )
            for name in neighbours:
                _await_belief(lab, name, self.on, mac)
        if program is not None:
            lab.host(self.on).start_again(program, keeps_scratch=False)

        def evidence() -> Evidence:
            after = lab.host(self.on).identity
            believed = {name: _believed(lab, name, self.on) for name in neighbours}
            wanted = mac if self.announced else interface.mac
            as_planned = after != before and all(found == wanted for found in believed.values())
            beliefs = ", ".join(
                f"{name} sends to {found or 'nobody'}" for name, found in believed.items()
            )
            return Evidence(
                level="bit" if as_planned else "none",
                found=(
                    f"{self.on}'s network namespace was net:[{before}], is net:[{after}] at "
                    f"{mac}; {beliefs}"
                ),
            )

        yield evidence


class HostSuspend(OfSideProgram, frozen=True, kw_only=True, tag="host-suspend"):
    """The host stands still and nothing reaches it or leaves it, as a paused virtual machine.

    Then it goes on.

    Its program is stopped and what is on its link is dropped where it arrives. Its sockets stay.
    Their timers, which stand still on a machine that is suspended, go on here: the side must have
    none of its own. Evidence: state T in /proc/PID/stat, and the counter of the TCP segments
    dropped.
    """

    summary: ClassVar[str] = "the whole host is suspended: its network sends and receives nothing"
    also_called: ClassVar[tuple[str, ...]] = ("host-down",)

    def touches(self, layout: Layout) -> frozenset[tuple[str, str]]:
        return super().touches(layout) | {(self.on, self.kind)}

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        if self.on == observer:
            return ()
        return (Effect(mechanism="lost", from_s=self.at_s, until_s=self.until_s),)

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        own = lab.layout.host(self.on).interfaces[0]
        far = _device(lab.layout, own.toward, self.on)
        program = lab.host(self.on).program
        places = ((self.on, own.name), (own.toward, far))
        rules = {"segment": [_TCP], "rest": [_REST]}
        with on_arrival(lab, places, rules) as counted, program.frozen():

            def evidence() -> Evidence:
                state, counts = program.state(), counted()
                dropped, others = counts["segment"], counts[OTHERS]
                level: Literal["none", "in-place", "bit"] = "in-place" if state == "T" else "none"
                if state == "T" and dropped:
                    level = "bit"
                found = (
                    f"process {program.name} is in state {state}, {count(dropped, 'segment')} "
                    "dropped"
                )
                return Evidence(level=level, found=besides(found, others), others=others)

            yield evidence


_TCP: list[dict[str, Any]] = [
    {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}},
    {"counter": None},
    {"drop": None},
]
_REST: list[dict[str, Any]] = [{"drop": None}]


def _device(layout: Layout, host: str, toward: str) -> str:
    """The interface of a host behind which an endpoint is."""
    interface = layout.host(host).interface_toward(toward)
    return (interface or layout.host(host).interfaces[0]).name


def _believed(lab: Lab, host: str, side: Side) -> str | None:
    """The MAC address to which a host sends what is for an endpoint."""
    from harness.lab import gratuitous_arp

    with lab.host(host).entered():
        return gratuitous_arp.known(_device(lab.layout, host, side), lab.layout.address(side))


def _await_belief(lab: Lab, host: str, side: Side, mac: str) -> None:
    """Wait until a neighbour has taken the announcement, and pin it again. Raises FaultError."""
    from harness.lab import rtnetlink

    deadline = time.monotonic() + ANNOUNCEMENT_WAIT_S
    while (found := _believed(lab, host, side)) != mac:
        if time.monotonic() > deadline:
            raise FaultError(
                f"expected {host} to take {side}'s announcement of {mac}, found it sending "
                f"to {found}"
            )
        time.sleep(LOOK_S)
    entry = (FAMILIES[lab.layout.family], lab.layout.address(side), mac)
    with lab.host(host).entered():
        rtnetlink.pin(_device(lab.layout, host, side), (entry,))
