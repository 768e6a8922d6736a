"""A command of which nothing is claimed: watched to the end of the run, and described.

Whatever it does is written down, and nothing that it does breaks the run. It may end with any
status, close its connection, connect anew, print what it likes, and not get ready again after a
restart. `guesses` says when it is ready and what shows a detection, where the scenario does not.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path

import msgspec

from harness.lab import socket_options
from harness.lab.host import Host
from harness.lab.process import Program
from harness.lab.socket_table import FAMILIES, STATES, TIME_WAIT, Ends
from harness.model.programs import Command
from harness.scenario import guesses
from harness.subjects.command import CommandDriver, CommandEnd
from harness.subjects.connection_watcher import ConnectionWatcher
from harness.subjects.detection import DetectionRecorder, Sign
from harness.subjects.every_connection import EveryConnection
from harness.subjects.running import in_words, start

MOST_SETTINGS = 4
"""Of how many connections the settings are told at the end: the watched one, and the latest."""


class DescribedDriver(CommandDriver):
    """Starts a command of which nothing is claimed, with what is taken for granted of it."""

    def _made(self, command: Command, host: Host) -> DescribedEnd:
        filled = guesses.filled(command, self.side)
        program = start(filled, self.lab, host, self.side)
        return DescribedEnd(
            self.scenario, self.side, filled, host, program, self.notices, self.loop
        )


class DescribedEnd(CommandEnd):
    """A running command as an end of the connection, in a run with the outcome "any"."""

    connections: EveryConnection
    may_flood = True

    def look_back(self) -> None:
        """Write down what is left of it, before it is taken down."""
        known = self.connections.known
        for ends in (
            known if len(known) <= MOST_SETTINGS else (known[0], *known[1 - MOST_SETTINGS :])
        ):
            self._tell_settings(ends, "end")
        self._tell_left()

    # --- what is different -----------------------------------------------------------------------

    def _watcher(self) -> ConnectionWatcher:
        return EveryConnection(
            self.side, self.host, self.loop, self.emit, self.command.detects, self._take
        )

    def _recorder(self) -> DetectionRecorder:
        return DetectionRecorder(self.command.detects, self.emit, lambda: None, tells_all=True)

    def _standing(self) -> Ends | None:
        return self.connections.standing_one(self.command.connection)

    def _arm(self, ends: Ends | None, at_ns: int) -> None:
        super()._arm(ends, at_ns)
        if ends is not None:
            self._tell_settings(ends, "armed")

    def start_over(self, program: Program) -> None:
        """Follow the program that was started in place of one that a fault has ended."""
        super().start_over(program)
        self.connections.reopen()

    def _await_again(self, program: Program, started_ns: int) -> None:
        """Say when it is ready again; it may end, or never be."""
        self.woken(0, time.monotonic_ns())
        late_ns = time.monotonic_ns() - started_ns - self.command.ready.within_s * 1e9
        if self.watching and (late_ns <= 0 or not self.readiness.missing(connects=self.connects)):
            super()._await_again(program, started_ns)

    def _printed(self, line: str, at_ns: int, *, gets_ready: bool) -> None:
        super()._printed(line, at_ns, gets_ready=gets_ready)
        self.connections.stirs(at_ns)

    def _weigh_exit(self, status: int, at_ns: int) -> None:
        self._take(Sign("exit", in_words(status), at_ns, in_words(status)))

    def _take(self, sign: Sign) -> None:
        """A sign, unless it is the doing of the fault that has killed the program."""
        killed = self.output.program.poll() == -signal.SIGKILL
        if not (killed and self.notices.injected):
            self.detection.take(sign)

    # --- what is left ----------------------------------------------------------------------------

    def _tell_settings(self, ends: Ends, when: str) -> None:
        found = self.host.socket_table.find(ends)
        if found is None or not found.is_held:
            return
        options = socket_options.held_by(self.output.program.running(), found.inode)
        addresses = {"local": list(ends.near), "remote": list(ends.far)}
        self.emit("subject.settings", when=when, **addresses, **msgspec.structs.asdict(options))

    def _tell_left(self) -> None:
        sockets = [
            {
                "local": list(each.ends.near),
                "remote": list(each.ends.far),
                "state": STATES[each.state],
                "held": each.is_held,
                "unsent": each.unsent,
                "unread": each.queue,
            }
            for family in FAMILIES
            for each in self.host.socket_table.connections(family)
            if each.state != TIME_WAIT
        ]
        names = [_name(pid) for pid in self.output.program.running()]
        self.emit("subject.left", processes=[name for name in names if name], sockets=sockets)


def _name(pid: int) -> str:
    """What a process calls itself; "" where it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").rstrip("\n")
    except OSError:
        return ""
