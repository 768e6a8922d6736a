"""Any command as an end of the connection: started on its host, ready as it says, watched for what shows its verdict.

The connection is the program's own. Which one is watched is told from the handshakes captured on its host; that it is
over from what the host sends on it and from the host's table of sockets; what the program says of it from its output.
"""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import SubjectError
from harness.lab.host import Host, Lab
from harness.lab.places import cache_folder
from harness.lab.topology import Side
from harness.scenario import NEW_HOSTS, Scenario
from harness.subjects.ends import Notices
from harness.subjects.tcp import PORT

if TYPE_CHECKING:
    from harness.lab.program import Program
    from harness.loop import Loop

LOOK_NS = 10_000_000
"""How often a program that is not ready yet is looked at."""
LOOK_AGAIN_NS = 100_000_000
"""How often the table of sockets is looked at for a connection that was closed without a segment."""
MOST_LINES = 5000
"""Of a command's output in one run; who prints more floods it."""
LAST_LINES = 5
LONGEST_LINE = 500
"""Characters of a line that are kept."""
_LISTEN, _ESTABLISHED, _CLOSE_WAIT = "0A", "01", "08"
"""States in /proc/net/tcp (include/net/tcp_states.h)."""

Flow = tuple[int, int]
"""A connection between two hosts: the client's port and the server's."""


def libraries_folder() -> Path:
    """Where `ci/libraries` puts what it installs: $XDG_CACHE_HOME/keepalive-harness/libraries."""
    return cache_folder() / "libraries"


class Maker:
    """Starts a command and waits until it is ready."""

    def __init__(
        self, scenario: Scenario, lab: Lab, side: Side, notices: Notices, loop: Loop, stack: ExitStack
    ) -> None:
        self.scenario, self.lab, self.side, self.notices, self.loop, self.stack = (
            scenario,
            lab,
            side,
            notices,
            loop,
            stack,
        )
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


class CommandEnd:
    """A running command, as the other end and the run see it."""

    def __init__(
        self, scenario: Scenario, side: Side, host: Host, program: Program, notices: Notices, loop: Loop
    ) -> None:
        command = scenario.endpoint(side).command
        assert command is not None
        self.command, self.side, self.host, self.program, self.loop = command, side, host, program, loop
        self.emit, self.noticed = notices.emitter(side), notices.noticed
        self.observer = scenario.expect.side
        self.may_be_killed = any(
            side in fault.processes() or (isinstance(fault, NEW_HOSTS) and fault.on == side)
            for fault in scenario.faults
        )
        self.watching, self.mask = True, select.POLLIN
        self.received = self.written = 0
        self.flow: Flow | None = None
        self._namespace = host.identity
        self._flows: list[Flow] = []
        self._printed: list[str] = []
        self._is_ready, self._hears = not command.ready.prints, True
        self._has_listened = not command.ready.listens
        self._began_again: set[Flow] = set()
        self.commands: list[CommandEnd] = notices.commands
        self.commands.append(self)
        self._process = os.pidfd_open(program.pid)
        self._poller = select.epoll()
        self._poller.register(program.fileno(), select.EPOLLIN)
        self._poller.register(self._process, select.EPOLLIN)
        loop.hear(self._heard)

    def fileno(self) -> int:
        """Readable when the program has printed something or has ended."""
        return self._poller.fileno()

    def close(self) -> None:
        """Give the descriptors back; the program is its host's to end."""
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
        while self._lacks(connects=connects):
            if time.monotonic_ns() > deadline_ns:
                lacks = self._lacks(connects=connects)
                raise SubjectError(f"{self._name}: expected {lacks} within {within_s:g} s, found {self._last_words()}")
            self._poller.poll(LOOK_NS / 1e9)
            self.loop.drain()
            for end in self.commands:  # who is not read stands still in the end, and others wait for it
                end.woken(0, time.monotonic_ns())
                end.check_alive()

    def check_alive(self) -> None:
        """Raise SubjectError where it has ended."""
        if not self.watching:
            lacks = self._lacks(connects=self.side == "client")
            waited = f"; still awaited: {lacks}" if lacks else ""
            status = _in_words(self.program.poll() or 0)
            raise SubjectError(f"{self._name}: ended with {status} before it was ready{waited}; {self._last_words()}")

    def _lacks(self, *, connects: bool) -> str:
        """What it still lacks to be ready, in words; "" when it is."""
        ready = self.command.ready
        if not self._is_ready:
            return f"a line that matches {ready.prints!r}"
        self._has_listened = self._has_listened or any(port == PORT for port, _, _ in self._sockets(_LISTEN))
        if not self._has_listened:
            return f"it to listen at port {PORT}"
        if connects and self._established() is None:
            return f"connection {self.command.connection} to port {PORT}"
        return ""

    def _established(self) -> Flow | None:
        """The watched connection, if it has been made."""
        place = self.command.connection
        flows = [flow for flow in self._flows if flow[1] == PORT]
        if not -len(flows) <= (place if place < 0 else -place) < 0:
            return None
        flow = flows[place if place < 0 else place - 1]
        return flow if self._state(flow) == _ESTABLISHED else None

    def arm(self) -> None:
        """From here on times count. Raises SubjectError where there is no connection to watch."""
        self.loop.drain()
        self.check_alive()
        self.flow = self._established()
        if self.flow is None:
            raise SubjectError(f"{self._name}: expected connection {self.command.connection} to stand, found none")
        at_ns = time.monotonic_ns()
        near, far = self.flow if self.side == "client" else self.flow[::-1]
        self.emit("subject.armed", at_ns=at_ns, took_ns=0, local=["", near], remote=["", far])
        if self.command.detects.closes:
            self.loop.at(at_ns + LOOK_AGAIN_NS, self._look)

    # --- watching --------------------------------------------------------------------------------------

    def woken(self, revents: int, at_ns: int) -> None:
        """Read what was printed; see whether the program has ended. Raises SubjectError."""
        self._listen(at_ns)
        if self.watching and self.program.poll() is not None:
            self._listen(at_ns)  # what it said between the two
            self.watching = False
            self._ended(self.program.poll() or 0, at_ns)

    def _listen(self, at_ns: int) -> None:
        for line in self.program.lines() if self._hears else ():
            self._take(line.decode(errors="replace").rstrip("\r"), at_ns)
        if self.program.is_silent and self._hears:
            self._hears = False
            self._poller.unregister(self.program.fileno())

    def _take(self, line: str, at_ns: int) -> None:
        """A line of output: it may say that the program is ready, or what it has noticed."""
        self._printed.append(line[:LONGEST_LINE])
        if len(self._printed) > MOST_LINES:
            raise SubjectError(f"{self._name}: floods its output, {MOST_LINES} lines so far; {self._last_words()}")
        self.emit("subject.printed", at_ns=at_ns, line=line[:LONGEST_LINE])
        ready, detects = self.command.ready.prints, self.command.detects.prints
        if ready and not self._is_ready:
            self._is_ready = bool(re.search(ready, line))
        elif detects and (match := re.search(detects, line)):
            self._notice("output", line[:LONGEST_LINE], at_ns, match.group(1) if match.re.groups else None)

    def _ended(self, status: int, at_ns: int) -> None:
        """It has ended: as a sign that it has noticed, or because a fault killed it, or for no known reason."""
        self.emit("subject.ended", at_ns=at_ns, status=status)
        if self.flow is None or self.observer in self.noticed or (status == -9 and self.may_be_killed):
            return
        wanted = self.command.detects
        if wanted.exits and wanted.status in (None, status):
            self._notice("exit", f"status {status}", at_ns, f"status {status}")
        elif self.side == self.observer or status:
            waited = f", never having printed what matches {wanted.prints!r}" if wanted.prints else ""
            raise SubjectError(f"{self._name}: ended with {_in_words(status)}{waited}; {self._last_words()}")

    def _notice(self, how: str, found: str, at_ns: int, reports: str | None = None) -> None:
        if self.flow is not None and self.side not in self.noticed:
            self.emit("subject.noticed", at_ns=at_ns, how=how, found=found, reports=reports)

    def _heard(self, host: str, at_ns: int, seen: Mapping[str, Any]) -> None:
        """A segment was captured: a connection begins, or the watched one ends."""
        if host != self.side or "sport" not in seen:
            return
        goes = seen["way"] == "out"
        ports = (seen["sport"], seen["dport"])
        flow: Flow = ports if goes == (self.side == "client") else ports[::-1]
        opens = "S" in seen["flags"] and "A" not in seen["flags"]
        if opens and goes == (self.side == "client") and flow not in self._flows:
            self._flows.append(flow)
            if self.flow is not None and self.command.detects.reconnects:
                self._notice("reconnect", f"a SYN to {seen['dst']}, port {seen['dport']}", at_ns)
            self._began_again |= {flow} if self.flow is not None else set()
        elif flow in self._began_again and goes and "S" not in seen["flags"]:
            self._began_again.discard(flow)
            self.emit("subject.reconnected", at_ns=at_ns, remote=[seen["dst"], seen["dport"]])
        elif flow == self.flow and self.command.detects.closes:
            if goes and set("FR") & set(seen["flags"]):
                self._notice("close", f"{'RST' if 'R' in seen['flags'] else 'FIN'} sent", at_ns)
            elif not goes and "R" in seen["flags"]:
                self._notice("close", "RST received", at_ns)

    def _look(self) -> None:
        """Whether the watched connection is still the program's: closed with data in the queue it sends no FIN yet."""
        assert self.flow is not None
        if self.side in self.noticed or not self.watching or self.host.identity != self._namespace:
            return
        now_ns = time.monotonic_ns()
        state = self._state(self.flow)
        if state not in (_ESTABLISHED, _CLOSE_WAIT):
            self._notice("close", f"the socket is {f'in state {state}' if state else 'gone'}", now_ns)
        else:
            self.loop.at(now_ns + LOOK_AGAIN_NS, self._look)

    # --- the host's sockets ----------------------------------------------------------------------------

    def _sockets(self, state: str = "") -> Iterator[tuple[int, int, str]]:
        """Near port, far port and state of each TCP socket on the host that a program holds, by /proc/net/tcp."""
        with self.host.entered():
            for name in ("tcp", "tcp6"):
                try:
                    with open(f"/proc/thread-self/net/{name}", encoding="ascii") as file:
                        lines = file.read().splitlines()[1:]
                except FileNotFoundError:
                    continue
                for line in lines:
                    fields = line.split()
                    if fields[9] != "0" and state in ("", fields[3]):  # an inode: not closed by its program
                        near, far = (int(field.rpartition(":")[2], 16) for field in fields[1:3])
                        yield near, far, fields[3]

    def _state(self, flow: Flow) -> str:
        """The state of a connection, "" when it is gone."""
        wanted = flow if self.side == "client" else flow[::-1]
        return next((state for near, far, state in self._sockets() if (near, far) == wanted), "")

    # --- words -----------------------------------------------------------------------------------------

    @property
    def _name(self) -> str:
        return self.program.name

    def _last_words(self) -> str:
        if not self._printed:
            return "it has printed nothing"
        return "its last lines: " + " | ".join(self._printed[-LAST_LINES:])


def _in_words(status: int) -> str:
    return f"status {status}" if status >= 0 else f"signal {-status} ({signal.Signals(-status).name})"
