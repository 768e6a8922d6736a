"""The built-in subject: a TCP client and an echo server, each inside the harness or as a process of its own."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from harness.descriptors import raised_socket
from harness.errors import SubjectError
from harness.lab.host import Host, Lab
from harness.lab.links import FAMILIES
from harness.lab.program import Program
from harness.lab.topology import SIDES, Side
from harness.scenario import Scenario
from harness.subjects import endpoint
from harness.timeline import Event, Timeline

PORT = 7000
READY_TIMEOUT_S = 10.0
ECHO_OCTETS = len(endpoint.PATTERN)
ECHO_TIMEOUT_S = 2.0
ENDS = ("subject.detected", "subject.eof")
"""Kinds of events that say that a side has noticed the end of the connection."""
_SYSCTLS = {
    "idle_s": "net.ipv4.tcp_keepalive_time",
    "interval_s": "net.ipv4.tcp_keepalive_intvl",
    "count": "net.ipv4.tcp_keepalive_probes",
}


class Watched(Protocol):
    """Something with a file descriptor whose readiness is part of the run."""

    watching: bool

    @property
    def mask(self) -> int:
        """The poll events to wake it for; may change by `woken`."""

    def fileno(self) -> int:
        """The descriptor to poll; may change by `woken`."""

    def woken(self, revents: int, at_ns: int) -> None:
        """Called with the poll events and the moment of the wake-up."""


class _Process:
    """An endpoint that runs as a program; its printed events are copied into the timeline."""

    def __init__(self, program: Program, emit: endpoint.Emit, side: Side) -> None:
        self.program, self.emit, self.side = program, emit, side
        self.watching = True
        self.mask = endpoint.POLL_MASK
        self.received = self.written = 0

    def fileno(self) -> int:
        return self.program.fileno()

    def woken(self, revents: int, at_ns: int) -> None:
        for line in self.program.lines():
            self.note(line)
        if self.program.poll() is not None:
            self.emit("subject.ended", at_ns=at_ns, status=self.program.poll())
            self.watching = False

    def await_event(self, kind: str) -> None:
        """Read events until one of that kind. Raises SubjectError."""
        while True:
            if self.note(self.program.read_line(READY_TIMEOUT_S)) == kind:
                return

    def note(self, line: bytes) -> str:
        """Copy a printed event into the timeline; returns its kind. Raises SubjectError."""
        try:
            event: dict[str, Any] = json.loads(line)
        except ValueError:
            raise SubjectError(f"{self.side}: expected an event as JSON, found {line!r}") from None
        kind = str(event["kind"])
        if kind == "subject.echoed":
            self.received = int(event["data"]["octets"])
        elif kind == "subject.wrote":
            self.written += int(event["data"]["octets"])
        self.emit(kind, at_ns=event["at_ns"], **event["data"])
        return kind

    def order(self, order: str) -> bool:
        """Have the program do something; whether it takes orders at all."""
        try:
            self.program.write(f"{order}\n".encode())
        except OSError:
            return False
        return True


class Connection:
    """Both ends of a connection, what is to be polled, and by side how it was noticed that it ended."""

    def __init__(self, watched: dict[Side, Watched], noticed: dict[Side, Event]) -> None:
        self.watched, self.noticed = watched, noticed
        self._said = 0

    def write(self, side: Side, octets: int) -> None:
        """Write on one side, without waiting; the end itself says with an event what came of it."""
        end = self.watched[side]
        if isinstance(end, endpoint.Endpoint):
            self._said += end.write(octets)
        elif isinstance(end, _Process):
            end.order(f"write {octets}")

    def say(self, side: Side) -> bool:
        """Write a few bytes on one side for an echo's sake, without an event; False where it cannot."""
        end = self.watched[side]
        if isinstance(end, endpoint.Endpoint):
            said = end.write(ECHO_OCTETS, noted=False)
        else:
            assert isinstance(end, _Process)
            said = ECHO_OCTETS if end.order(f"say {ECHO_OCTETS}") else 0
        self._said += said
        return said > 0

    def shut(self, side: Side) -> None:
        """Shut the writing direction on one side; the end itself says with an event when."""
        end = self.watched[side]
        if isinstance(end, endpoint.Endpoint):
            end.shut()
        elif isinstance(end, _Process):
            end.order("shut")

    @property
    def echoed(self) -> bool:
        """Whether all that was written on either side has come to the client, whose own comes back as an echo."""
        ends = self.watched.values()
        written = self._said + sum(end.written for end in ends if isinstance(end, _Process))
        client = self.watched["client"]
        back = client.received if isinstance(client, endpoint.Endpoint | _Process) else 0
        return back == written != 0

    @property
    def echo_is_over(self) -> bool:
        """Whether there is nothing more to wait for: all has come back, or the client's end has ended."""
        return self.echoed or "client" in self.noticed


def options_of(scenario: Scenario, side: Side) -> dict[str, int]:
    """The options to set on a side's socket; settings that go by sysctl are not among them."""
    end = scenario.endpoint(side)
    alive = end.keepalive_settings
    options: dict[str, int] = {}
    if alive is not None:
        options["keepalive"] = 1
        if end.settings_via == "socket":
            options |= {"idle_s": alive.idle_s, "interval_s": alive.interval_s, "count": alive.count}
    if end.user_timeout_s:
        options["user_timeout_ms"] = round(end.user_timeout_s * 1000)
    return options


def set_sysctls(scenario: Scenario, lab: Lab) -> None:
    """Put settings that go by sysctl into the hosts' namespaces."""
    for side in SIDES:
        end = scenario.endpoint(side)
        alive = end.keepalive_settings
        if alive is not None and end.settings_via == "sysctl":
            for name, sysctl in _SYSCTLS.items():
                lab.host(side).sysctl(sysctl, getattr(alive, name))


@contextmanager
def connected(
    scenario: Scenario,
    lab: Lab,
    timeline: Timeline,
    processes: frozenset[Side] = frozenset(),
    listening: Callable[[], None] = lambda: None,
) -> Iterator[Connection]:
    """Start both ends, connect, set the options; the observed side is armed last. Raises SubjectError.

    In the state "connecting" the client has only called connect(2) when this yields, after `listening`, which is called
    once the server listens. Sides whose program a fault acts on, and those in `processes`, are processes of their own.
    """
    set_sysctls(scenario, lab)
    apart = processes.union(*(fault.processes() for fault in scenario.faults))
    noticed: dict[Side, Event] = {}
    with ExitStack() as stack:
        subjects = _Subjects(scenario, lab, {side: _emitter(timeline, side, noticed) for side in SIDES}, apart, stack)
        try:
            watched = subjects.connecting(listening) if scenario.state == "connecting" else subjects.open()
        except OSError as error:
            expected = f"a connection to {subjects.address}:{PORT}"
            raise SubjectError(f"expected {expected}, found {error}") from error
        for end in watched.values():
            if isinstance(end, _Process):
                end.woken(0, time.monotonic_ns())  # what was printed along with what was awaited is in no pipe any more
        yield Connection(watched, noticed)


class _Subjects:
    """Both ends as a scenario wants them: sockets that live here, or in `apart` processes of their own."""

    def __init__(
        self,
        scenario: Scenario,
        lab: Lab,
        emitters: dict[Side, endpoint.Emit],
        apart: frozenset[Side],
        stack: ExitStack,
    ) -> None:
        self.scenario, self.lab, self.emitters, self.apart, self.stack = scenario, lab, emitters, apart, stack
        self.address = lab.layout.address("server")

    def open(self) -> dict[Side, Watched]:
        """An established connection, each end armed."""
        ends: dict[Side, Watched] = {}
        listener = None
        if "server" in self.apart:
            ends["server"] = self._process("server")
        else:
            listener = self._listener()
        if "client" in self.apart:
            ends["client"] = self._process("client")
        else:
            sock = self._socket("client")
            endpoint.connect(sock, self.address, PORT)
            ends["client"] = self._inside("client", sock, "open")
        if listener is not None:
            ends["server"] = self._inside("server", raised_socket(endpoint.accept(listener)), "open")
            listener.close()
        for end in ends.values():
            if isinstance(end, _Process):
                end.await_event("subject.armed")
        for side in sorted(SIDES, key=lambda side: side == self.scenario.expect.side):
            end = ends[side]
            if isinstance(end, endpoint.Endpoint):
                end.arm()
        return ends

    def connecting(self, listening: Callable[[], None]) -> dict[Side, Watched]:
        """A server that listens and a client that has called connect(2)."""
        server: Watched
        if "server" in self.apart:
            server = self._process("server")
        else:
            server = self._inside("server", self._listener(), "listening")
        listening()
        if "client" in self.apart:
            process = self._process("client")
            process.await_event("subject.armed")
            return {"client": process, "server": server}
        client = self._inside("client", self._socket("client"), "open")
        client.connect(self.address, PORT)
        return {"client": client, "server": server}

    def _process(self, side: Side) -> _Process:
        """A program; a server's listens when this returns."""
        end = self.scenario.endpoint(side)
        job = {
            "role": side,
            "state": self.scenario.state,
            "address": self.address,
            "port": PORT,
            "options": options_of(self.scenario, side),
            "receive_buffer": end.receive_buffer_bytes,
            "reads": end.reads,
        }
        process = _Process(_start(self.lab.host(side), side, job), self.emitters[side], side)
        if side == "server":
            process.await_event("subject.listening")
        return process

    def _socket(self, side: Side) -> socket.socket:
        sock = self.stack.enter_context(self.lab.host(side).socket(FAMILIES[self.lab.layout.family]))
        endpoint.limit_receive_buffer(sock, self.scenario.endpoint(side).receive_buffer_bytes)
        return sock

    def _listener(self) -> socket.socket:
        listener = self._socket("server")
        endpoint.listen(listener, self.address, PORT)
        return listener

    def _inside(self, side: Side, sock: socket.socket, stage: endpoint.Stage) -> endpoint.Endpoint:
        end = endpoint.Endpoint(
            sock,
            self.emitters[side],
            options_of(self.scenario, side),
            echoes=side == "server",
            reads=self.scenario.endpoint(side).reads,
            stage=stage,
        )
        self.stack.callback(end.vanish)
        return end


def _emitter(timeline: Timeline, side: Side, noticed: dict[Side, Event]) -> endpoint.Emit:
    def emit(kind: str, at_ns: int | None = None, **data: object) -> None:
        event = timeline.add(kind, side, at_ns=at_ns, side=side, **data)
        if kind in ENDS:
            noticed.setdefault(side, event)

    return emit


def _start(host: Host, side: Side, job: dict[str, object]) -> Program:
    script = str(Path(endpoint.__file__))
    return host.start(f"tcp-{side}", [sys.executable, "-I", "-S", script, json.dumps(job)])
