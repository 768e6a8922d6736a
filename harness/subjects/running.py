"""A command at work: started on its host, followed through its output, ready as it says, also when started again.

What it is to the connection - an end of it, its proxy, a second server - is told by the classes derived from this one.
"""

from __future__ import annotations

import functools
import os
import re
import select
import signal
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.errors import SubjectError
from harness.lab.host import Host, Lab
from harness.model.programs import Command
from harness.model.topology import Layout
from harness.programs.tcp_endpoint import Emit
from harness.subjects.output import Output
from harness.subjects.tcp_driver import PORT
from harness.system.user_dirs import libraries_folder

if TYPE_CHECKING:
    from harness.lab.process import Program
    from harness.subjects.interface import Notices, SubjectLoop

LOOK_NS = 10_000_000
"""How often the host's sockets are looked at for a command that is not ready yet. Lines and segments wake at once."""

Condition = Literal["prints", "listens", "stands"]
"""What makes a command ready. Each was so once; it need not be so any more."""


def start(command: Command, lab: Lab, host: Host, key: str, name: str = "") -> Program:
    """Start a command on a host of the lab, its placeholders filled in. Raises SubjectError.

    `key`: of the command's table in the scenario: client, server, proxy, standby. `name`: what messages call it, if not
    after its table and its first word.
    """
    scratch = host.scratch_folder / f"keepalive-scratch-{uuid.uuid4().hex}"
    known = places(command, lab.layout, host.name, scratch)
    argv = [_filled(word, known) for word in command.argv]
    env = variables(known) | {variable: _filled(value, known) for variable, value in command.env.items()}
    return host.start(name or f"{key}'s {Path(argv[0]).name}", argv, env, _filled(command.folder, known), scratch)


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

    connects: bool = False
    """Whether it is ready only once the watched connection stands."""

    def __init__(
        self, command: Command, host: Host, program: Program, emit: Emit, notices: Notices, loop: SubjectLoop
    ) -> None:
        self.command, self.host, self.emit, self.notices, self.loop = command, host, emit, notices, loop
        self.watching, self.mask = True, select.POLLIN
        self.ready_ns: dict[Condition, int] = {}
        notices.commands.append(self)
        self._poller = select.epoll()
        self._follow(program)
        host.restarted = self.start_over

    def _follow(self, program: Program) -> None:
        """Be woken by what this program prints, and by its end."""
        self.program, self._hears = program, True
        self.output = Output(program, self.emit, is_awaited=self.command.is_heard)
        self._process = os.pidfd_open(program.pid)
        self._poller.register(program.fileno(), select.EPOLLIN)
        self._poller.register(self._process, select.EPOLLIN)
        self.loop.watch(self)

    def fileno(self) -> int:
        """Readable when the program has printed something or has ended."""
        return self._poller.fileno()

    def close(self) -> None:
        """Give the descriptors back; the program is its host's to end."""
        self._poller.close()
        os.close(self._process)

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.program.name

    @property
    def leaves(self) -> bool:
        """Whether it closed the connection before any fault, as a program does that is about to end."""
        return False

    # --- getting ready ---------------------------------------------------------------------------------

    def await_ready(self, *, connects: bool) -> None:
        """Wait until it is ready, with a connection where it `connects`. Raises SubjectError."""
        within_s = self.command.ready.within_s
        deadline_ns = time.monotonic_ns() + round(within_s * 1e9)

        def is_ready() -> bool:
            for each in self.notices.commands:
                each.check_alive()
            return not self._lacks(connects=connects)

        while not is_ready():
            now_ns = time.monotonic_ns()
            if now_ns > deadline_ns:
                lacks = self._lacks(connects=connects)
                raise SubjectError(
                    f"{self.name}: expected {lacks} within {within_s:g} s, found {self.output.last_words()}"
                )
            self.loop.wait(now_ns + LOOK_NS, is_ready)
        self.notices.is_ready(max(self.ready_ns.values(), default=0))

    def check_alive(self) -> None:
        """Raise SubjectError where it has ended."""
        if not self.watching:
            lacks = self._lacks(connects=self.connects)
            waited = f"; still awaited: {lacks}" if lacks else ""
            status = in_words(self.program.poll() or 0)
            raise SubjectError(
                f"{self.name}: ended with {status} before it was ready{waited}; {self.output.last_words()}"
            )

    def _lacks(self, *, connects: bool) -> str:
        """What it still lacks to be ready, in words; "" when it is. What is there is remembered, with its moment."""
        ready = self.command.ready
        if ready.prints and "prints" not in self.ready_ns:
            return f"a line that matches {ready.prints!r}"
        if self._listens_when_ready() and not self._has_listened():
            return f"it to listen at port {PORT}"
        if connects and not self._has_stood():
            return f"connection {self.command.connection} to port {PORT}"
        return ""

    def _listens_when_ready(self) -> bool:
        """Whether it is ready only once it listens."""
        return self.command.ready.listens

    def _has_listened(self) -> bool:
        """Whether it listens, or has done so."""
        if "listens" not in self.ready_ns and self.host.socket_table.listens(PORT):
            self.ready_ns["listens"] = time.monotonic_ns()
        return "listens" in self.ready_ns

    def _has_stood(self) -> bool:
        """Whether the connection to be watched stands, or has stood."""
        return True

    # --- started again ---------------------------------------------------------------------------------

    def start_over(self, program: Program) -> None:
        """Follow the program that was started in place of one that a fault has ended. Raises SubjectError."""
        at_ns = time.monotonic_ns()
        self._listen(at_ns, has_ended=True)
        if self.watching:
            self.emit("subject.ended", at_ns=at_ns, status=self.program.poll() or 0)
        if self._hears:
            self._poller.unregister(self.program.fileno())
        os.close(self._process)
        self.ready_ns.clear()
        self.watching = True
        self.emit("subject.restarted", at_ns=at_ns)
        self._follow(program)
        self._await_again(program, at_ns)

    def _await_again(self, program: Program, started_ns: int) -> None:
        """Look again and again until it is ready, in the time that it had at first. Raises SubjectError."""
        now_ns = time.monotonic_ns()
        self.woken(0, now_ns)
        if program is not self.program or program.poll() == -signal.SIGKILL:
            return  # a fault has ended it in the meantime
        self.check_alive()
        lacks, within_s = self._lacks(connects=self.connects), self.command.ready.within_s
        if not lacks:
            self.emit("subject.ready", at_ns=now_ns, took_ns=now_ns - started_ns)
        elif now_ns - started_ns > within_s * 1e9:
            expected = f"expected {lacks} within {within_s:g} s of being started again"
            raise SubjectError(f"{self.name}: {expected}, found {self.output.last_words()}")
        else:
            self.loop.at(now_ns + LOOK_NS, functools.partial(self._await_again, program, started_ns))

    # --- watching --------------------------------------------------------------------------------------

    def woken(self, revents: int, at_ns: int) -> None:
        """Read what was printed; see whether the program has ended. Raises SubjectError."""
        self._listen(at_ns)
        if self.watching and self.program.poll() is not None:
            self._listen(at_ns, has_ended=True)  # what it said between the two
            self.watching = False
            self._ended(self.program.poll() or 0, at_ns)

    def _listen(self, at_ns: int, *, has_ended: bool = False) -> None:
        if not self._hears:
            return
        for line, moment_ns in self.output.read(at_ns, has_ended=has_ended):
            self._take(line, moment_ns)
        if self.output.is_over:
            self._hears = False
            self._poller.unregister(self.program.fileno())

    def _take(self, line: str, at_ns: int) -> bool:
        """A line of output; whether it was taken as the sign that the program is ready, or came before that."""
        pattern = self.command.ready.prints
        if not pattern or "prints" in self.ready_ns:
            return False
        if re.search(pattern, line):
            self.ready_ns["prints"] = at_ns
        return True

    def _ended(self, status: int, at_ns: int) -> None:
        """It has ended; whoever is derived from this says what that means. Raises SubjectError."""
        self.emit("subject.ended", at_ns=at_ns, status=status)


class Between(RunningCommand):
    """A command that is neither end of the connection: its proxy, or a second server.

    Nothing of it is judged. It is ready when it listens, unless its table says otherwise. It may end once a fault was
    injected: the fault killed it, or it noticed the fault.
    """

    def _listens_when_ready(self) -> bool:
        return super()._listens_when_ready() or not self.command.ready.prints

    def _ended(self, status: int, at_ns: int) -> None:
        super()._ended(status, at_ns)
        if not self.notices.injected:
            raise SubjectError(
                f"{self.name}: ended with {in_words(status)} before any fault was injected; {self.output.last_words()}"
            )


def in_words(status: int) -> str:
    """An exit status, for messages."""
    return f"status {status}" if status >= 0 else f"signal {-status} ({signal.Signals(-status).name})"
