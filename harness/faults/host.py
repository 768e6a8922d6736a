"""Faults of a host and of the program on it: reboot, kill, freeze.

They look alike from afar and end differently: a rebooted host answers the next probe with RST, a killed program's
kernel says FIN at once, a frozen program's kernel goes on answering probes for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from harness.faults.base import Evidence, Fault, Misplaced
from harness.faults.link import CARRIER_SETTLES_S
from harness.lab.topology import Layout, Side
from harness.oracle.effects import Effect

if TYPE_CHECKING:
    from harness.lab.host import Lab


class PeerReboot(Fault, frozen=True, kw_only=True, tag="peer-reboot"):
    """The host comes back with the same addresses and no memory; neither FIN nor RST leaves it as it goes.

    A fresh namespace takes over the interface, with its MAC; the old one keeps the sockets and has no way out.
    Evidence: the namespace's identity before and after.
    """

    on: Side = "server"

    lasting: ClassVar[bool] = True

    def misplaced(self, layout: Layout) -> Iterator[Misplaced]:
        if self.for_s is not None:
            yield Misplaced("for_s", self.for_s, "no such key: a reboot cannot be undone")

    def hosts(self, layout: Layout) -> frozenset[str]:
        return frozenset({self.on})

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        if self.on == observer:
            return ()
        return (Effect(mechanism="peer-forgot", from_s=self.at_s, unsettled_s=CARRIER_SETTLES_S),)

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        before = lab.host(self.on).identity
        lab.reboot(self.on)

        def evidence() -> Evidence:
            after = lab.host(self.on).identity
            return Evidence(
                level="none" if after == before else "bit",
                found=f"{self.on}'s network namespace was net:[{before}], is net:[{after}]",
            )

        yield evidence


class ProcessKill(Fault, frozen=True, kw_only=True, tag="process-kill"):
    """SIGKILL to the side's program; its kernel closes the connection. Evidence: the wait status."""

    on: Side = "server"

    lasting: ClassVar[bool] = True

    def misplaced(self, layout: Layout) -> Iterator[Misplaced]:
        if self.for_s is not None:
            yield Misplaced("for_s", self.for_s, "no such key: a killed process stays dead")

    def processes(self) -> frozenset[Side]:
        return frozenset({self.on})

    def hosts(self, layout: Layout) -> frozenset[str]:
        return frozenset({self.on})

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        return () if self.on == observer else (Effect(mechanism="peer-closed", from_s=self.at_s),)

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        program = lab.host(self.on).program
        program.kill()

        def evidence() -> Evidence:
            status = program.poll()
            return Evidence(
                level="bit" if status == -9 else "none",
                found=f"process {program.name} ended with status {status}",
            )

        yield evidence


class ProcessFreeze(Fault, frozen=True, kw_only=True, tag="process-freeze"):
    """SIGSTOP to the side's program, SIGCONT when it heals. Evidence: state T in /proc/PID/stat."""

    on: Side = "server"

    def misplaced(self, layout: Layout) -> Iterator[Misplaced]:
        return iter(())

    def processes(self) -> frozenset[Side]:
        return frozenset({self.on})

    def hosts(self, layout: Layout) -> frozenset[str]:
        return frozenset({self.on})

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        if self.on == observer:
            return ()
        return (Effect(mechanism="peer-frozen", from_s=self.at_s, until_s=self.until_s),)

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        program = lab.host(self.on).program
        with program.frozen():

            def evidence() -> Evidence:
                state = program.state()
                return Evidence(
                    level="bit" if state == "T" else "none", found=f"process {program.name} is in state {state}"
                )

            yield evidence
