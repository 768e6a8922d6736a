"""Any command as an end of the connection: watched for what shows a detection.

The connection is the program's own. `CommandEnd` composes the modules that watch the program:

    running             starts the command, waits until it is ready, follows a restart
    output_watcher      reads its output, and tells when it ends
    readiness           knows which of the conditions for being ready were met, and when
    connection_watcher  follows its connections, by captured segments and the socket table
    detection           decides which sign counts as a detection
"""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from harness.errors import SubjectError
from harness.lab.host import Host, Lab
from harness.lab.socket_table import Ends
from harness.model.programs import BUSY_S, Command
from harness.model.topology import Side, other
from harness.scenario.schema import Scenario
from harness.subjects.connection_watcher import ConnectionWatcher
from harness.subjects.detection import DetectionRecorder, Sign
from harness.subjects.interface import Notices
from harness.subjects.output import LONGEST_LINE
from harness.subjects.running import RunningCommand, in_words, start

if TYPE_CHECKING:
    from harness.lab.process import Program
    from harness.subjects.interface import SubjectLoop


class CommandDriver:
    """Starts a command and waits until it is ready."""

    def __init__(
        self,
        scenario: Scenario,
        lab: Lab,
        side: Side,
        notices: Notices,
        loop: SubjectLoop,
        stack: ExitStack,
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
        """The program does that by itself.

        Wait until the connection stands, which a proxy may make later.
        """
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
        self._end = self._made(command, host)
        self.stack.callback(self._end.close)

    def _made(self, command: Command, host: Host) -> CommandEnd:
        program = start(command, self.lab, host, self.side)
        return CommandEnd(self.scenario, self.side, command, host, program, self.notices, self.loop)


class CommandEnd(RunningCommand):
    """A running command as an end of the connection."""

    received = written = 0

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
        emit = notices.emitter(side)
        super().__init__(command, host, program, emit, notices, loop)
        self.side, self.connects = side, side == "client"
        self.is_judged = side in scenario.judged
        self.connections = self._watcher()
        self.detection = self._recorder()
        self._early_exit: tuple[int, int] | None = None

    def _watcher(self) -> ConnectionWatcher:
        """What follows its connections."""
        return ConnectionWatcher(
            self.side,
            self.host,
            self.loop,
            self.emit,
            self.command.detects,
            self._take,
        )

    def _take(self, sign: Sign) -> None:
        """A sign of a detection."""
        self.detection.take(sign)

    def _recorder(self) -> DetectionRecorder:
        """What decides which sign counts."""
        return DetectionRecorder(self.command.detects, self.emit, self.connections.close)

    def close(self) -> None:
        """Close the descriptors; the program is its host's to end."""
        self.connections.close()
        super().close()

    def write(self, size: int) -> None:
        """Nobody writes on a command's connection but itself."""

    def say(self) -> bool:
        """Nobody writes on a command's connection but itself."""
        return False

    def shut(self) -> None:
        """A command sees to its own connection."""

    # --- getting ready ---------------------------------------------------------------------------

    def _listened(self) -> int | None:
        """A connection to a server proves that it has listened, however short that was."""
        stood_ns = self.connections.handshakes.first_stood_ns() if self.side == "server" else None
        return super()._listened() if stood_ns is None else stood_ns

    def _stood(self) -> int | None:
        """Of a program that was started again any connection will do, even one that is over."""
        handshakes = self.connections.handshakes
        stood_ns = None if self.detection.armed_ns is None else handshakes.first_stood_ns()
        if stood_ns is not None:
            return stood_ns
        ends = self._standing()
        return None if ends is None else handshakes.stood_ns(ends)

    def _standing(self) -> Ends | None:
        """The connection to watch, where it stands."""
        return self.connections.standing(self.command.connection)

    def _calmed(self) -> int | None:
        """All other conditions are met, and no connection has carried data since for so long."""
        assert self.command.ready.quiet_s is not None
        met_ns = self.readiness.met_ns
        calm_ns = max(met_ns, self.connections.carried_ns) + round(self.command.ready.quiet_s * 1e9)
        calm_ns = min(calm_ns, met_ns + round(BUSY_S * 1e9))
        return calm_ns if time.monotonic_ns() >= calm_ns else None

    def start_over(self, program: Program) -> None:
        """Follow the program that was started in place of one that a fault has ended.

        Raises SubjectError.
        """
        self.loop.drain()  # what is still in the capture is the ended program's
        self.connections.handshakes.forget()
        super().start_over(program)

    def arm(self) -> None:
        """Count time from when both ends were ready.

        Raises SubjectError where there is no connection to watch.
        """
        self.loop.drain()
        self.check_alive()
        ends = self._standing()
        if ends is None:
            raise SubjectError(
                f"{self.name}: expected connection {self.command.connection} to stand, found none"
            )
        self._arm(ends, max(self.notices.ready_ns, self.connections.handshakes.stood_ns(ends)))

    def arm_unconnected(self) -> None:
        """Count time from when it was ready; it has no connection yet."""
        self._arm(None, self.notices.ready_ns)

    def await_attempt(self, started_ns: int) -> None:
        """Count time from its first SYN.

        From its start where it gives up or ends before, or sends none for too long.
        """
        deadline_ns = started_ns + round(self.command.ready.within_s * 1e9)
        handshakes = self.connections.handshakes

        def is_known() -> bool:
            return (
                handshakes.begun(1) is not None
                or self.detection.has_early_signs
                or not self.watching
            )

        self.loop.wait(deadline_ns, is_known)
        self.loop.drain()
        ends = handshakes.begun(1)
        self._arm(ends, started_ns if ends is None else handshakes.begun_ns(ends))

    def _arm(self, ends: Ends | None, at_ns: int) -> None:
        addresses = {} if ends is None else {"local": list(ends.near), "remote": list(ends.far)}
        self.emit("subject.armed", at_ns=at_ns, took_ns=0, **addresses)
        if ends is not None:
            self.connections.watch(ends, time.monotonic_ns())
        self.detection.arm(at_ns)
        self.feed_from(at_ns)
        if self._early_exit is not None:
            self._weigh_exit(*self._early_exit)

    # --- watching --------------------------------------------------------------------------------

    def _printed(self, line: str, at_ns: int, *, gets_ready: bool) -> None:
        alive = self.command.alive
        if alive is not None and re.search(alive.prints, line):
            self.emit("subject.lives", at_ns=at_ns, line=line[:LONGEST_LINE])
        self.detection.reads(line, at_ns, gets_ready=gets_ready)

    def _ended(self, status: int, at_ns: int) -> None:
        super()._ended(status, at_ns)
        self.loop.drain()  # its connection was closed before
        self.connections.close()
        if self.detection.armed_ns is None:
            self._early_exit = (status, at_ns)
        else:
            self._weigh_exit(status, at_ns)

    def _weigh_exit(self, status: int, at_ns: int) -> None:
        """Decide what the program's exit means.

        Raises SubjectError where nothing is left to be judged.

        The side that is not judged may end once a fault was injected: it detected the fault, or the
        fault killed it.
        """
        if self._follows_a_detection() or (self.notices.injected and not self.is_judged):
            return
        if self.is_judged and self.detection.ends(status, at_ns):
            return
        if self.is_judged or status:
            why = (
                self.detection.why_unnoticed()
                if self.is_judged
                else " before any fault was injected"
            )
            raise SubjectError(
                f"{self.name}: ended with {in_words(status)}{why}; {self.output.last_words()}"
            )

    @property
    def leaves(self) -> bool:
        """Whether it closed the connection before any fault, as a program does that is about to
        end.
        """
        has_left = self.watching and not self.is_judged and self.connections.left_ns is not None
        return has_left and not self.notices.injected

    def _follows_a_detection(self) -> bool:
        """Whether something was detected before: of a judged end by itself, of any other by the
        judged one, before this one closed the connection.
        """
        if self.is_judged:
            return self.side in self.notices.noticed
        first_ns, left_ns = self.notices.noticed_ns(other(self.side)), self.connections.left_ns
        return first_ns is not None and (left_ns is None or first_ns < left_ns)
