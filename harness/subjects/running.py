"""A running command: it is started on its host, gets ready, ends, and may be started again.

Derived classes say what it is to the connection: `command.CommandEnd` is an end of it, `Between` is
its proxy or a second server.
"""

from __future__ import annotations

import functools
import select
import signal
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from harness.errors import SubjectError
from harness.lab.host import Host, Lab
from harness.model.programs import Command, Ready
from harness.model.topology import Layout
from harness.programs.tcp_endpoint import Emit
from harness.subjects.output_watcher import OutputWatcher
from harness.subjects.readiness import Readiness
from harness.subjects.tcp_driver import PORT
from harness.system.user_dirs import libraries_folder

if TYPE_CHECKING:
    from harness.lab.process import Program
    from harness.subjects.interface import Notices, SubjectLoop

LOOK_NS = 10_000_000
"""How often the host's sockets are looked at for a command that is not ready yet.

Lines and segments wake at once.
"""


STAY = (
    "a client must stay connected until the fault sets in. Give it work that lasts, or none: its "
    "standard input stays open, and the key `input` writes to it"
)
"""For messages about a client that has done its work and ended."""


def start(command: Command, lab: Lab, host: Host, key: str, name: str = "") -> Program:
    """Start a command on a host of the lab, its placeholders filled in. Raises SubjectError.

    `key`: of the command's table in the scenario: client, server, proxy, standby. `name`: what
    messages call it, if not after its table and its first word.
    """
    scratch = host.scratch_folder / f"keepalive-scratch-{uuid.uuid4().hex}"
    known = places(command, lab.layout, host.name, scratch)
    argv = [_filled(word, known) for word in command.argv]
    env = variables(known) | {
        variable: _filled(value, known) for variable, value in command.env.items()
    }
    return host.start(
        name or f"{key}'s {Path(argv[0]).name}", argv, env, _filled(command.folder, known), scratch
    )


def places(command: Command, where: Layout, host: str, scratch: Path) -> dict[str, str]:
    """What stands for what in the words of a command that runs on a host."""
    return {
        **where.addresses_from(host),
        "port": str(PORT),
        "load": command.load,
        "python": sys.executable,
        "scratch": str(scratch),
        "libraries": str(libraries_folder()),
    }


def variables(known: Mapping[str, str]) -> dict[str, str]:
    """The same as variables of the environment."""
    return {f"HARNESS_{name.upper().replace('-', '_')}": value for name, value in known.items()}


def _filled(text: str, places: Mapping[str, str]) -> str:
    for name, value in places.items():
        text = text.replace(f"{{{name}}}", value)
    return text


class RunningCommand:
    """A running command, as the run sees it."""

    mask = select.POLLIN
    connects: bool = False
    """Whether it is ready only once the watched connection stands."""
    may_flood: bool = False
    """Whether it may print more than is kept, which breaks the run otherwise."""

    def __init__(
        self,
        command: Command,
        host: Host,
        program: Program,
        emit: Emit,
        notices: Notices,
        loop: SubjectLoop,
    ) -> None:
        self.command, self.host, self.emit = command, host, emit
        self.notices, self.loop = notices, loop
        self.watching = True
        self.output = OutputWatcher(
            program, emit, is_awaited=command.is_heard, may_flood=self.may_flood
        )
        self.readiness = Readiness(
            self._conditions(), PORT, self._listened, self._stood, command.connection, self._calmed
        )
        notices.commands.append(self)
        loop.watch(self)
        host.restarted = self.start_over
        self.feed()

    def fileno(self) -> int:
        """Readable when the program has printed something or has ended."""
        return self.output.fileno()

    def close(self) -> None:
        """Close the descriptors; the program is its host's to end."""
        self.output.close()

    @property
    def name(self) -> str:
        """The program's name, for messages."""
        return self.output.program.name

    @property
    def leaves(self) -> bool:
        """Whether it closed the connection before any fault, as a program does that is about to
        end.
        """
        return False

    def look_back(self) -> None:
        """Nothing is left to say of a command whose end is claimed, or that is no end."""

    # --- getting ready ---------------------------------------------------------------------------

    def await_ready(self, *, connects: bool) -> None:
        """Wait until it is ready, and connected where it `connects`.

        Raises SubjectError, LabError.
        """
        within_s = self.command.ready.within_s
        deadline_ns = time.monotonic_ns() + round(within_s * 1e9)

        def is_ready() -> bool:
            for each in self.notices.commands:
                each.check_alive()
            return not self.readiness.missing(connects=connects)

        while not is_ready():
            now_ns = time.monotonic_ns()
            if now_ns > deadline_ns:
                expected = (
                    f"expected {self.readiness.missing(connects=connects)} within {within_s:g} s"
                )
                raise SubjectError(f"{self.name}: {expected}, found {self.output.last_words()}")
            self.loop.wait(now_ns + LOOK_NS, is_ready)
        self.notices.is_ready(self.readiness.met_ns)

    def check_alive(self) -> None:
        """Raise SubjectError where it has ended."""
        if not self.watching:
            missing = self.readiness.missing(connects=self.connects)
            awaited = f"; still awaited: {missing}" if missing else ""
            found = f"ended with {in_words(self.output.status or 0)} before it was ready"
            stay = f"; {STAY}" if self.connects and self.output.status == 0 else ""
            raise SubjectError(f"{self.name}: {found}{awaited}; {self.output.last_words()}{stay}")

    def _conditions(self) -> Ready:
        """What makes it ready."""
        return self.command.ready

    def _listened(self) -> int | None:
        """Since when it listens, or has listened, as far as can be told; None where it has not."""
        return time.monotonic_ns() if self.host.socket_table.listens(PORT) else None

    def _stood(self) -> int | None:
        """Since when the watched connection stands, or has stood; None where it has not."""
        return None

    def _calmed(self) -> int | None:
        """Since when no connection has carried data for long enough; None where that is not so."""
        return None

    # --- its input -------------------------------------------------------------------------------

    def feed(self) -> None:
        """Write its input, where it has any: at once, and only as far as there is room for it."""
        if self.command.input:
            self.output.program.offer(self.command.input.encode())

    def feed_from(self, armed_ns: int) -> None:
        """Write its input again and again, counting from arming (CLOCK_MONOTONIC)."""
        if self.command.input_every_s is None:
            return
        next_ns = armed_ns + round(self.command.input_every_s * 1e9)

        def again() -> None:
            if self.watching:
                self.feed()
            self.feed_from(next_ns)

        self.loop.at(next_ns, again)

    # --- started again ---------------------------------------------------------------------------

    def start_over(self, program: Program) -> None:
        """Follow the program that was started in place of one that a fault has ended.

        Raises SubjectError.
        """
        at_ns = time.monotonic_ns()
        self._read(at_ns, has_ended=True)
        if self.watching:
            self.emit("subject.ended", at_ns=at_ns, status=self.output.status or 0)
        self.readiness.forget()
        self.watching = True
        self.emit("subject.restarted", at_ns=at_ns)
        self.output.follow(program)
        self.loop.watch(self)
        self.feed()
        self._await_again(program, at_ns)

    def _await_again(self, program: Program, started_ns: int) -> None:
        """Look again and again until it is ready, in the time that it had at first.

        Raises SubjectError.
        """
        now_ns = time.monotonic_ns()
        self.woken(0, now_ns)
        if program is not self.output.program or program.poll() == -signal.SIGKILL:
            return  # a fault has ended it in the meantime
        self.check_alive()
        missing, within_s = (
            self.readiness.missing(connects=self.connects),
            self.command.ready.within_s,
        )
        if not missing:
            self.emit("subject.ready", at_ns=now_ns, took_ns=now_ns - started_ns)
        elif now_ns - started_ns > within_s * 1e9:
            expected = f"expected {missing} within {within_s:g} s of being started again"
            raise SubjectError(f"{self.name}: {expected}, found {self.output.last_words()}")
        else:
            self.loop.at(
                now_ns + LOOK_NS, functools.partial(self._await_again, program, started_ns)
            )

    # --- watching --------------------------------------------------------------------------------

    def woken(self, revents: int, at_ns: int) -> None:
        """Read what was printed; see whether the program has ended. Raises SubjectError."""
        self._read(at_ns)
        if self.watching and self.output.status is not None:
            self._read(at_ns, has_ended=True)  # what it printed between the two
            self.watching = False
            self._ended(self.output.status, at_ns)

    def _read(self, at_ns: int, *, has_ended: bool = False) -> None:
        for line, moment_ns in self.output.read(at_ns, has_ended=has_ended):
            self._printed(line, moment_ns, gets_ready=self.readiness.reads(line, moment_ns))

    def _printed(self, line: str, at_ns: int, *, gets_ready: bool) -> None:
        """A line of output; `gets_ready`: as `Readiness.reads` says."""

    def _ended(self, status: int, at_ns: int) -> None:
        """It has ended; derived classes say what that means. Raises SubjectError."""
        self.emit("subject.ended", at_ns=at_ns, status=status)


class Between(RunningCommand):
    """A command that is neither end of the connection: its proxy, or a second server.

    Nothing of it is judged. It is ready when it listens, unless its table says otherwise. It may
    end once a fault was injected: the fault killed it, or it detected the fault.
    """

    def _conditions(self) -> Ready:
        ready = self.command.ready
        return ready if ready.prints else msgspec.structs.replace(ready, listens=True)

    def _ended(self, status: int, at_ns: int) -> None:
        super()._ended(status, at_ns)
        if not self.notices.injected:
            found = f"ended with {in_words(status)} before any fault was injected"
            raise SubjectError(f"{self.name}: {found}; {self.output.last_words()}")


def in_words(status: int) -> str:
    """An exit status, for messages."""
    return (
        f"status {status}" if status >= 0 else f"signal {-status} ({signal.Signals(-status).name})"
    )
