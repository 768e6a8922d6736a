"""Any command as an end of the connection: watched for what shows that it has noticed.

The connection is the program's own. `harness.subjects.running` starts the command and tells when it is ready,
`harness.subjects.flows` tells what it does with its connections; here is what its lines and its end mean.
"""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from harness.errors import SubjectError
from harness.lab.host import Host, Lab
from harness.lab.socket_table import Ends
from harness.model.programs import Command
from harness.model.topology import Side
from harness.scenario.schema import Scenario
from harness.subjects.flows import Flows
from harness.subjects.interface import Notices
from harness.subjects.output import LONGEST_LINE
from harness.subjects.running import RunningCommand, in_words, start

if TYPE_CHECKING:
    from harness.lab.process import Program
    from harness.subjects.interface import SubjectLoop


class CommandDriver:
    """Starts a command and waits until it is ready."""

    def __init__(
        self, scenario: Scenario, lab: Lab, side: Side, notices: Notices, loop: SubjectLoop, stack: ExitStack
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
        command, host = self.scenario.endpoint(self.side).command, self.lab.host(self.side)
        assert command is not None
        program = start(command, self.lab, host, self.side)
        self._end = CommandEnd(self.scenario, self.side, command, host, program, self.notices, self.loop)
        self.stack.callback(self._end.close)


class Sign(NamedTuple):
    """How a command showed that it has noticed, what was found, when, and what it reports."""

    how: str
    found: str
    at_ns: int
    reports: str | None = None


class CommandEnd(RunningCommand):
    """A running command, as the other end and the run see it."""

    def __init__(
        self,
        scenario: Scenario,
        side: Side,
        command: Command,
        host: Host,
        program: Program,
        notices: Notices,
        loop: SubjectLoop,
    ) -> None:
        self.side, self.observer = side, scenario.expect.side
        self.is_judged, self.connects = side == self.observer, side == "client"
        self.received = self.written = 0
        self._armed_ns: int | None = None
        self._status: tuple[int, int] | None = None
        self._early: list[Sign] = []
        self._spoke_early = False
        emit = notices.emitter(side)
        self.flows = Flows(side, host, loop, emit, command.detects, lambda *seen: self._notice(Sign(*seen)))
        super().__init__(command, host, program, emit, notices, loop)

    def close(self) -> None:
        """Give the descriptors back; the program is its host's to end."""
        self.flows.close()
        super().close()

    def write(self, size: int) -> None:
        """Nobody writes on a command's connection but itself."""

    def say(self) -> bool:
        """Nobody writes on a command's connection but itself."""
        return False

    def shut(self) -> None:
        """A command sees to its own connection."""

    # --- getting ready ---------------------------------------------------------------------------------

    def _has_listened(self) -> bool:
        """Whether it listens, or has done so: that a connection to it was made is a proof of that."""
        stood_ns = self.flows.first_stood_ns() if self.side == "server" else None
        if stood_ns is not None:
            self.ready_ns.setdefault("listens", stood_ns)
        return super()._has_listened()

    def _has_stood(self) -> bool:
        """Whether the connection to be watched stands, or has stood; where it was started again, any connection."""
        stood_ns = None if self._armed_ns is None else self.flows.first_stood_ns()
        if stood_ns is not None:
            self.ready_ns.setdefault("stands", stood_ns)
        elif "stands" not in self.ready_ns:
            flow = self.flows.standing(self.command.connection)
            if flow is not None:
                self.ready_ns["stands"] = self.flows.stood_ns(flow)
        return "stands" in self.ready_ns

    def start_over(self, program: Program) -> None:
        """Follow the program that was started in place of one that a fault has ended. Raises SubjectError."""
        self.loop.drain()  # what is still in the capture is the ended program's
        self.flows.forget()
        super().start_over(program)

    def arm(self) -> None:
        """Count time from when both ends were ready. Raises SubjectError where there is no connection to watch."""
        self.loop.drain()
        self.check_alive()
        flow = self.flows.standing(self.command.connection)
        if flow is None:
            raise SubjectError(f"{self.name}: expected connection {self.command.connection} to stand, found none")
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

    def _arm(self, flow: Ends | None, at_ns: int) -> None:
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

    def _take(self, line: str, at_ns: int) -> bool:
        """A line of output: it may say that the program is ready, or what it has noticed."""
        detects, alive = self.command.detects.prints, self.command.alive
        if alive is not None and re.search(alive.prints, line):
            self.emit("subject.lives", at_ns=at_ns, line=line[:LONGEST_LINE])
        match = re.search(detects, line) if detects else None
        if super()._take(line, at_ns):
            self._spoke_early = self._spoke_early or match is not None
            return True
        if match is not None:
            reports = match.group(1) if match.re.groups else None
            self._notice(Sign("output", line[:LONGEST_LINE], at_ns, reports))
        return False

    def _ended(self, status: int, at_ns: int) -> None:
        """It has ended: as a sign that it has noticed, or because a fault killed it, or for no known reason.

        An end that is not judged may end once a fault was injected: it noticed the fault, or the fault killed it.
        """
        super()._ended(status, at_ns)
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
                f"{self.name}: ended with {in_words(status)}{self._why_not()}; {self.output.last_words()}"
            )

    @property
    def leaves(self) -> bool:
        """Whether it closed the connection before any fault, as a program does that is about to end."""
        has_left = self.watching and not self.is_judged and self.flows.left_ns is not None
        return has_left and not self.notices.injected

    def _follows_from_the_other(self) -> bool:
        """Whether the judged end had noticed something before this one ended, or closed the connection."""
        first = self.notices.noticed_ns(self.observer)
        return first is not None and (self.is_judged or self.flows.left_ns is None or first < self.flows.left_ns)

    def _why_not(self) -> str:
        """Why its end is no sign that it has noticed, in words."""
        if not self.is_judged:
            return " before any fault was injected"
        prints = self.command.detects.prints
        if self._spoke_early or any(sign.how == "output" for sign in self._early):
            return f", having printed what matches {prints!r} only before both ends were ready"
        return f", never having printed what matches {prints!r}" if prints else ""

    def _notice(self, sign: Sign) -> None:
        """It has shown that it noticed. What shows while it gets ready counts where that was after the arming."""
        if self._armed_ns is None:
            self._early.append(sign)
        elif self.side not in self.notices.noticed and sign.at_ns >= self._armed_ns:
            self.flows.close()
            self.emit("subject.noticed", at_ns=sign.at_ns, how=sign.how, found=sign.found, reports=sign.reports)
