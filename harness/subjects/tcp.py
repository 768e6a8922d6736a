"""The built-in subject: a TCP client and an echo server, each inside the harness or as a process of its own."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
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
ECHO = b"still there?"
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

    def fileno(self) -> int:
        """The descriptor to poll."""

    def woken(self, revents: int, at_ns: int) -> None:
        """Called with the poll events and the moment of the wake-up."""


class _Process:
    """An endpoint that runs as a program; its printed events are copied into the timeline."""

    def __init__(self, program: Program, emit: endpoint.Emit, side: Side) -> None:
        self.program, self.emit, self.side = program, emit, side
        self.watching = True
        self.received = b""

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
            self.received = str(event["data"]["text"]).encode()
        self.emit(kind, at_ns=event["at_ns"], **event["data"])
        return kind


class Connection:
    """Both ends of an established connection, what is to be polled, and by side how it was noticed that it ended."""

    def __init__(self, watched: dict[Side, Watched], noticed: dict[Side, Event]) -> None:
        self.watched, self.noticed = watched, noticed
        self._written = 0

    def write(self, side: Side) -> bool:
        """Write a few bytes on one side, without waiting; False where it cannot. The client's come back as an echo."""
        end = self.watched[side]
        try:
            if isinstance(end, endpoint.Endpoint):
                end.sock.send(ECHO)
            elif isinstance(end, _Process):
                end.program.write(ECHO)
        except OSError:
            return False
        self._written += 1
        return True

    @property
    def echoed(self) -> bool:
        """Whether all that was written on either side has come to the client."""
        client = self.watched["client"]
        back = client.received if isinstance(client, endpoint.Endpoint | _Process) else b""
        return back == ECHO * self._written != b""

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
    scenario: Scenario, lab: Lab, timeline: Timeline, processes: frozenset[Side] = frozenset()
) -> Iterator[Connection]:
    """Start both ends, connect, set the options; the observed side is armed last. Raises SubjectError.

    Sides whose program a fault acts on, and those in `processes`, run as processes of their own.
    """
    set_sysctls(scenario, lab)
    apart = processes.union(*(fault.processes() for fault in scenario.faults))
    options = {side: options_of(scenario, side) for side in SIDES}
    address = lab.layout.address("server")
    noticed: dict[Side, Event] = {}
    emitters = {side: _emitter(timeline, side, noticed) for side in SIDES}
    with ExitStack() as stack:
        try:
            watched = _connect(lab, emitters, address, options, apart, stack)
            order = sorted(SIDES, key=lambda side: side == scenario.expect.side)
            for side in order:
                end = watched[side]
                if isinstance(end, endpoint.Endpoint):
                    end.arm(options[side])
        except OSError as error:
            raise SubjectError(f"expected a connection to {address}:{PORT}, found {error}") from error
        yield Connection(watched, noticed)


def _connect(
    lab: Lab,
    emitters: dict[Side, endpoint.Emit],
    address: str,
    options: dict[Side, dict[str, int]],
    apart: frozenset[Side],
    stack: ExitStack,
) -> dict[Side, Watched]:
    """Make the connection from ends that live here and ends that are processes of their own."""
    family = FAMILIES[lab.layout.family]

    def process(side: Side) -> _Process:
        job = {"role": side, "address": address, "port": PORT, "options": options[side]}
        return _Process(_start(lab.host(side), side, job), emitters[side], side)

    def inside(side: Side, sock: socket.socket) -> endpoint.Endpoint:
        end = endpoint.Endpoint(sock, emitters[side], echoes=side == "server")
        stack.callback(end.vanish)
        return end

    watched: dict[Side, Watched] = {}
    listener = None
    if "server" in apart:
        server = process("server")
        server.await_event("subject.listening")
        watched["server"] = server
    else:
        listener = stack.enter_context(lab.host("server").socket(family))
        endpoint.listen(listener, address, PORT)
    if "client" in apart:
        watched["client"] = process("client")
    else:
        sock = stack.enter_context(lab.host("client").socket(family))
        endpoint.connect(sock, address, PORT)
        watched["client"] = inside("client", sock)
    if listener is not None:
        watched["server"] = inside("server", raised_socket(endpoint.accept(listener)))
        listener.close()
    for end in watched.values():
        if isinstance(end, _Process):
            end.await_event("subject.armed")
    return watched


def _emitter(timeline: Timeline, side: Side, noticed: dict[Side, Event]) -> endpoint.Emit:
    def emit(kind: str, at_ns: int | None = None, **data: object) -> None:
        event = timeline.add(kind, side, at_ns=at_ns, side=side, **data)
        if kind in ENDS:
            noticed.setdefault(side, event)

    return emit


def _start(host: Host, side: Side, job: dict[str, object]) -> Program:
    script = str(Path(endpoint.__file__))
    return host.start(f"tcp-{side}", [sys.executable, "-I", "-S", script, json.dumps(job)])
