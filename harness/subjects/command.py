"""Any command as an end of the connection: started on its host, ready as it says, watched for what shows its verdict.

The connection is the program's own. What it does with its connections is told by `harness.subjects.flows`, what it
prints by `harness.subjects.output`; here is when it is ready, and what its lines and its end mean.
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
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from harness.errors import SubjectError
from harness.lab.host import Host, Lab
from harness.lab.places import cache_folder
from harness.lab.topology import Side
from harness.scenario import Scenario
from harness.subjects import sockets
from harness.subjects.ends import Notices
from harness.subjects.flows import Flows
from harness.subjects.output import LONGEST_LINE, Output
from harness.subjects.sockets import Flow
from harness.subjects.tcp import PORT

if TYPE_CHECKING:
    from harness.lab.program import Program
    from harness.loop import Loop

LOOK_NS = 10_000_000
"""How often the host's sockets are looked at for a command that is not ready yet. Lines and segments wake at once."""

Condition = Literal["prints", "listens", "stands"]
"""What makes a command ready. Each was so once; it need not be so any more."""


def libraries_folder() -> Path:
    """Where `ci/libraries` puts what it installs: $XDG_CACHE_HOME/keepalive-harness/libraries."""
    return cache_folder() / "libraries"


class Maker:
    """Starts a command and waits until it is ready."""

    def __init__(
        self, scenario: Scenario, lab: Lab, side: Side, notices: Notices, loop: Loop, stack: ExitStack
    ) -> None:
        self.scenario, self.lab, self.side, self.notices = scenario, lab, side, notices
        self.loop, self.stack = loop, stack
        self._end: CommandEnd | None = None

    def listen(self) -> None:
        """Start a server, and wait until it is ready."""
        self._start()
        self.end.await_ready(connects=False)

    def connect(self) -> None:
        """Start a client, and wait until it is ready and the watched connection stands."""
        self._start()
        self.end.await_ready(connects=True)

    def accept(self) -> None:
        """The program does that by itself; wait until the connection stands, which a proxy may make later."""
        self.end.await_ready(connects=True)

    def arm(self) -> None:
        """Watch the connection from here on."""
        self.end.arm()

    def open_listener(self) -> CommandEnd:
        """Start a server that has no connection yet, and wait until it is ready."""
        self.listen()
        self.end.arm_unconnected()
        return self.end

    def open_connecting(self) -> CommandEnd:
        """Start a client, and wait until it has begun to connect, or has given up before that."""
        started_ns = time.monotonic_ns()
        self._start()
        self.end.await_attempt(started_ns)
        return self.end

    @property
    def end(self) -> CommandEnd:
        assert self._end is not None
        return self._end

    def _start(self) -> None:
        command = self.scenario.endpoint(self.side).command
        assert command is not None
        scratch = self.lab.host(self.side).scratch_folder / f"keepalive-scratch-{uuid.uuid4().hex}"
        places = {
            "server": self.lab.layout.entrance if self.side == "client" else self.lab.layout.address("server"),
            "port": str(PORT),
            "load": command.load,
            "python": sys.executable,
            "scratch": str(scratch),
            "libraries": str(libraries_folder()),
        }
        env = {f"HARNESS_{name.upper()}": value for name, value in places.items()}
        env |= {name: _filled(value, places) for name, value in command.env.items()}
        argv = [_filled(word, places) for word in command.argv]
        host = self.lab.host(self.side)
        folder = _filled(command.folder, places)
        program = host.start(f"{self.side}'s {Path(argv[0]).name}", argv, env, folder, scratch)
        self._end = CommandEnd(self.scenario, self.side, host, program, self.notices, self.loop)
        self.stack.callback(self._end.close)


def _filled(text: str, places: Mapping[str, str]) -> str:
    for name, value in places.items():
        text = text.replace(f"{{{name}}}", value)
    return text


class Sign(NamedTuple):
    """How a command showed that it has noticed, what was found, when, and what it reports."""

    how: str
    found: str
    at_ns: int
    reports: str | None = None


class CommandEnd:
    """A running command, as the other end and the run see it."""

    def __init__(
        self, scenario: Scenario, side: Side, host: Host, program: Program, notices: Notices, loop: Loop
    ) -> None:
        command = scenario.endpoint(side).command
        assert command is not None
        self.command, self.side, self.host, self.loop, self.notices = command, side, host, loop, notices
        self.emit = notices.emitter(side)
        self.is_judged = side == scenario.expect.side
        self.observer = scenario.expect.side
        self.watching, self.mask = True, select.POLLIN
        self.received = self.written = 0
        self.flows = Flows(side, host, loop, self.emit, command.detects, lambda *seen: self._notice(Sign(*seen)))
        self._armed_ns: int | None = None
        self._status: tuple[int, int] | None = None
        self._early: list[Sign] = []
        self._ready_ns: dict[Condition, int] = {}
        notices.commands.append(self)
        self._poller = select.epoll()
        self._follow(program)
        host.restarted = self.start_over

    def _follow(self, program: Program) -> None:
        """Be woken by what this program prints, and by its end."""
        self.program, self.output, self._hears = program, Output(program, self.emit), True
        self._process = os.pidfd_open(program.pid)
        self._poller.register(program.fileno(), select.EPOLLIN)
        self._poller.register(self._process, select.EPOLLIN)
        self.loop.watch(self)

    def fileno(self) -> int:
        """Readable when the program has printed something or has ended."""
        return self._poller.fileno()

    def close(self) -> None:
        """Give the descriptors back; the program is its host's to end."""
        self.flows.close()
        self._poller.close()
        os.close(self._process)

    def write(self, size: int) -> None:
        """Nobody writes on a command's connection but itself."""

    def say(self) -> bool:
        """Nobody writes on a command's connection but itself."""
        return False

    def shut(self) -> None:
        """A command sees to its own connection."""

    # --- getting ready ---------------------------------------------------------------------------------

    def await_ready(self, *, connects: bool) -> None:
        """Wait until it is ready, with a connection where it `connects`. Raises SubjectError."""
        within_s = self.command.ready.within_s
        deadline_ns = time.monotonic_ns() + round(within_s * 1e9)

        def is_ready() -> bool:
            for end in self.notices.commands:
                end.check_alive()
            return not self._lacks(connects=connects)

        while not is_ready():
            now_ns = time.monotonic_ns()
            if now_ns > deadline_ns:
                lacks = self._lacks(connects=connects)
                raise SubjectError(
                    f"{self._name}: expected {lacks} within {within_s:g} s, found {self.output.last_words()}"
                )
            self.loop.wait(now_ns + LOOK_NS, is_ready)
        self.notices.is_ready(max(self._ready_ns.values(), default=0))

    def check_alive(self) -> None:
        """Raise SubjectError where it has ended."""
        if not self.watching:
            lacks = self._lacks(connects=self.side == "client")
            waited = f"; still awaited: {lacks}" if lacks else ""
            status = _in_words(self.program.poll() or 0)
            raise SubjectError(
                f"{self._name}: ended with {status} before it was ready{waited}; {self.output.last_words()}"
            )

    def _lacks(self, *, connects: bool) -> str:
        """What it still lacks to be ready, in words; "" when it is. What is there is remembered, with its moment."""
        ready = self.command.ready
        if ready.prints and "prints" not in self._ready_ns:
            return f"a line that matches {ready.prints!r}"
        if ready.listens and not self._has_listened():
            return f"it to listen at port {PORT}"
        if connects and not self._has_stood():
            return f"connection {self.command.connection} to port {PORT}"
        return ""

    def _has_listened(self) -> bool:
        """Whether it listens, or has done so: a connection to it that stands is a proof of that."""
        if "listens" not in self._ready_ns:
            stands = self.flows.standing(1) if self.side == "server" else None
            if stands is not None:
                self._ready_ns["listens"] = self.flows.begun_ns(stands)
            elif sockets.listens(self.host, PORT):
                self._ready_ns["listens"] = time.monotonic_ns()
        return "listens" in self._ready_ns

    def _has_stood(self) -> bool:
        """Whether the connection to be watched stands, or has stood."""
        if "stands" not in self._ready_ns:
            flow = self.flows.standing(self.command.connection)
            if flow is not None:
                self._ready_ns["stands"] = self.flows.stood_ns(flow)
        return "stands" in self._ready_ns

    def start_over(self, program: Program) -> None:
        """Follow the program that was started in place of one that a fault has ended. Raises SubjectError."""
        at_ns = time.monotonic_ns()
        self._listen(at_ns, has_ended=True)
        if self.watching:
            self.emit("subject.ended", at_ns=at_ns, status=self.program.poll() or 0)
        if self._hears:
            self._poller.unregister(self.program.fileno())
        os.close(self._process)
        self._ready_ns.clear()
        self.flows.forget()
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
        lacks, within_s = self._lacks(connects=self.side == "client"), self.command.ready.within_s
        if not lacks:
            self.emit("subject.ready", at_ns=now_ns, took_ns=now_ns - started_ns)
        elif now_ns - started_ns > within_s * 1e9:
            expected = f"expected {lacks} within {within_s:g} s of being started again"
            raise SubjectError(f"{self._name}: {expected}, found {self.output.last_words()}")
        else:
            self.loop.at(now_ns + LOOK_NS, functools.partial(self._await_again, program, started_ns))

    def arm(self) -> None:
        """Count time from when both ends were ready. Raises SubjectError where there is no connection to watch."""
        self.loop.drain()
        self.check_alive()
        flow = self.flows.standing(self.command.connection)
        if flow is None:
            raise SubjectError(f"{self._name}: expected connection {self.command.connection} to stand, found none")
        self._arm(flow, max(self.notices.ready_ns, self.flows.stood_ns(flow)))

    def arm_unconnected(self) -> None:
        """Count time from when it was ready; it has no connection yet."""
        self._arm(None, self.notices.ready_ns)

    def await_attempt(self, started_ns: int) -> None:
        """Count time from its first SYN; from its start where it notices or ends before, or sends none for too long."""
        deadline_ns = started_ns + round(self.command.ready.within_s * 1e9)

        def is_known() -> bool:
            return self.flows.begun(1) is not None or bool(self._early) or not self.watching

        self.loop.wait(deadline_ns, is_known)
        self.loop.drain()
        flow = self.flows.begun(1)
        self._arm(flow, started_ns if flow is None else self.flows.begun_ns(flow))

    def _arm(self, flow: Flow | None, at_ns: int) -> None:
        self._armed_ns = at_ns
        places = {} if flow is None else {"local": list(flow.near), "remote": list(flow.far)}
        self.emit("subject.armed", at_ns=at_ns, took_ns=0, **places)
        if flow is not None:
            self.flows.watch(flow, time.monotonic_ns())
        for sign in self._early:
            self._notice(sign)
        if self._status is not None:
            self._weigh_end(*self._status)

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

    def _take(self, line: str, at_ns: int) -> None:
        """A line of output: it may say that the program is ready, or what it has noticed."""
        ready, detects, alive = self.command.ready.prints, self.command.detects.prints, self.command.alive
        if alive is not None and re.search(alive.prints, line):
            self.emit("subject.lives", at_ns=at_ns, line=line[:LONGEST_LINE])
        if ready and "prints" not in self._ready_ns:
            if re.search(ready, line):
                self._ready_ns["prints"] = at_ns
        elif detects and (match := re.search(detects, line)):
            reports = match.group(1) if match.re.groups else None
            self._notice(Sign("output", line[:LONGEST_LINE], at_ns, reports))

    def _ended(self, status: int, at_ns: int) -> None:
        """It has ended: as a sign that it has noticed, or because a fault killed it, or for no known reason.

        An end that is not judged may end once a fault was injected: it noticed the fault, or the fault killed it.
        """
        self.emit("subject.ended", at_ns=at_ns, status=status)
        self.loop.drain()  # its connection was closed before
        self.flows.close()
        if self._armed_ns is None:
            self._status = (status, at_ns)
        else:
            self._weigh_end(status, at_ns)

    def _weigh_end(self, status: int, at_ns: int) -> None:
        """What its end means while time counts. Raises SubjectError where that leaves nothing to be judged."""
        if self._follows_from_the_other() or (self.notices.injected and not self.is_judged):
            return
        wanted = self.command.detects
        if self.is_judged and wanted.exits and wanted.status in (None, status):
            self._notice(Sign("exit", f"status {status}", at_ns, f"status {status}"))
        elif self.is_judged or status:
            raise SubjectError(
                f"{self._name}: ended with {_in_words(status)}{self._why_not()}; {self.output.last_words()}"
            )

    @property
    def leaves(self) -> bool:
        """Whether it closed the connection before any fault, as a program does that is about to end."""
        is_early = not self.is_judged and not self.notices.injected
        return self.watching and is_early and self.flows.left_ns is not None

    def _follows_from_the_other(self) -> bool:
        """Whether the judged end had noticed something before this one ended, or closed the connection."""
        first = self.notices.noticed_ns(self.observer)
        return first is not None and (self.is_judged or self.flows.left_ns is None or first < self.flows.left_ns)

    def _why_not(self) -> str:
        """Why its end is no sign that it has noticed, in words."""
        if not self.is_judged:
            return " before any fault was injected"
        prints = self.command.detects.prints
        if any(sign.how == "output" for sign in self._early):
            return f", having printed what matches {prints!r} only before both ends were ready"
        return f", never having printed what matches {prints!r}" if prints else ""

    def _notice(self, sign: Sign) -> None:
        """It has shown that it noticed. What shows while it gets ready counts where that was after the arming."""
        if self._armed_ns is None:
            self._early.append(sign)
        elif self.side not in self.notices.noticed and sign.at_ns >= self._armed_ns:
            self.flows.close()
            self.emit("subject.noticed", at_ns=sign.at_ns, how=sign.how, found=sign.found, reports=sign.reports)

    @property
    def _name(self) -> str:
        return self.program.name


def _in_words(status: int) -> str:
    return f"status {status}" if status >= 0 else f"signal {-status} ({signal.Signals(-status).name})"
