"""Faults of the program at one end or of the proxy, while its host goes on: killed, frozen, or no
longer reading.

They look alike from afar and end differently: a killed program's kernel says FIN at once, or RST
where data was still unread; a frozen program's kernel goes on answering probes for ever, and so
does that of one that does not read.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.errors import FaultError
from harness.faults.base import LOOK_S, PROGRAM, Evidence, Fault, OfSideProgram, unproxied
from harness.lab.watched import is_watched, unread
from harness.model.topology import SIDES, Layout, ProgramHost, Side
from harness.model.values import Problem, count
from harness.oracle.effects import Effect
from harness.programs.tcp_endpoint import NOT_READING, READING

if TYPE_CHECKING:
    from harness.lab.host import Lab
    from harness.lab.process import Program
    from harness.probes.packets import Stream

OBEDIENCE_S = 2.0
"""How long a program may take to carry out an order."""


class _OfProgram(Fault, frozen=True, kw_only=True):
    """What is done to the program of a side, or to the proxy's. `on`: whose."""

    on: ProgramHost = "server"

    def misplaced(self, layout: Layout) -> Iterator[Problem]:
        return unproxied(self.on, layout)

    def processes(self) -> frozenset[Side]:
        return frozenset(side for side in SIDES if side == self.on)

    def proxy_must(self, layout: Layout) -> Literal["exist", "answer"] | None:
        return "exist" if self.on == layout.proxy else None

    def hosts(self, layout: Layout) -> frozenset[str]:
        return frozenset({self.on})


class ProcessKill(_OfProgram, frozen=True, kw_only=True, tag="process-kill"):
    """SIGKILL to the program of a side, or the proxy; its kernel closes the connection.

    Evidence: the wait status.

    `for_s`: so long after that a command is started again, with the same arguments, environment and
    folders.

    `unread`: the program has not read all that has come, so that its kernel says RST instead of FIN
    (RFC 1122 section 4.2.2.13; net/ipv4/tcp.c:__tcp_close). Evidence then: also the octets in its
    receive queue just before.
    """

    unread: bool = False

    summary: ClassVar[str] = (
        "SIGKILL to the program; its kernel sends FIN, or RST where data is left unread"
    )

    @property
    def is_final(self) -> bool:
        return self.for_s is None

    @property
    def starts(self) -> ProgramHost | None:
        return None if self.for_s is None else self.on

    def touches(self, layout: Layout) -> frozenset[tuple[str, str]]:
        restarted = set() if self.for_s is None else {(self.on, PROGRAM)}
        return frozenset({(self.on, self.kind), *restarted})

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        if self.on == observer:
            return ()
        return (Effect(mechanism="peer-reset" if self.unread else "peer-closed", from_s=self.at_s),)

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        host = lab.host(self.on)
        program = host.program
        waiting = unread(lab, host)
        left = program.kill()

        def evidence() -> Evidence:
            status = program.poll()
            as_planned = bool(waiting) == self.unread
            found = [
                (
                    f"process {program.name} ended with status {status}, "
                    f"{count(waiting, 'octet')} unread"
                ),
                *left,
            ]
            return Evidence(
                level="bit" if status == -9 and as_planned and not left else "none",
                found="; left of it: ".join(found),
            )

        yield evidence
        if self.for_s is not None:
            host.start_again(program)


class ProcessFreeze(_OfProgram, frozen=True, kw_only=True, tag="process-freeze"):
    """SIGSTOP to the program of a side, or the proxy, SIGCONT when it heals.

    Evidence: state T in /proc/PID/stat.
    """

    summary: ClassVar[str] = "SIGSTOP to the program; its kernel goes on acknowledging"

    def touches(self, layout: Layout) -> frozenset[tuple[str, str]]:
        return frozenset({(self.on, PROGRAM)})

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
                    level="bit" if state == "T" else "none",
                    found=f"process {program.name} is in state {state}",
                )

            yield evidence


class StopsReading(OfSideProgram, frozen=True, kw_only=True, tag="stops-reading"):
    """The side's program goes on but reads no more, until it heals: what comes fills its kernel's
    receive queue.

    Evidence: the program has obeyed, which it shows by its name, and is not stopped; and octets lie
    in the queue or, where the connection is over, came for it. Without any it stands, and nothing
    has met it.
    """

    summary: ClassVar[str] = "the program runs, but no longer reads from its socket"
    undrawn: ClassVar[str] = (
        "what is drawn fits into any receive queue, so that it would change nothing"
    )

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        if self.on == observer:
            return ()
        return (
            Effect(
                mechanism="peer-frozen", from_s=self.at_s, until_s=self.until_s, not_reading=True
            ),
        )

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        host = lab.host(self.on)
        program = host.program
        give_order(program, b"stop-reading\n", NOT_READING)
        before = _sent_to(lab, self.on)

        def evidence() -> Evidence:
            obeys, waiting = (
                program.shown_name() == NOT_READING,
                unread(lab, host) or _came(before, lab, self.on),
            )
            level: Literal["none", "in-place", "bit"] = (
                "in-place" if obeys and program.state() in "RS" else "none"
            )
            if level == "in-place" and waiting:
                level = "bit"
            verb = "reads no more" if obeys else "reads"
            return Evidence(
                level=level,
                found=f"process {program.name} {verb}, {count(waiting, 'octet')} unread",
            )

        try:
            yield evidence
        finally:
            if program.poll() is None:
                give_order(program, b"read\n", READING)


def _sent_to(lab: Lab, side: Side) -> Stream | None:
    """How far the data toward a side has come, where its host is captured."""
    tracker, address = lab.host(side).flow_tracker, lab.layout.address(side)
    if tracker is None:
        return None
    return tracker().newest(address, functools.partial(is_watched, lab))


def _came(before: Stream | None, lab: Lab, side: Side) -> int:
    """How many octets have come since, on the same connection."""
    after = _sent_to(lab, side)
    if (
        before is None
        or after is None
        or (before.sport, before.dport) != (after.sport, after.dport)
    ):
        return 0
    return (after.following - before.following) % 2**32


def give_order(program: Program, order: bytes, name: str) -> None:
    """Have a program of the harness do something, and wait until it has: until its name begins so.

    Raises FaultError.
    """
    try:
        program.write(order)
    except OSError as error:
        raise FaultError(
            f"expected {program.name} to take orders, found {error.strerror}"
        ) from error
    deadline = time.monotonic() + OBEDIENCE_S
    while not program.shown_name().startswith(name):
        if time.monotonic() > deadline:
            raise FaultError(
                f"expected {program.name} to be {name}, found it {program.shown_name()}"
            )
        time.sleep(LOOK_S)
