"""The built-in subject: a TCP client and an echo server, each inside the harness or as a process of
its own.
"""

from __future__ import annotations

import json
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from harness.errors import SubjectError
from harness.lab.host import Host, Lab
from harness.lab.process import Program
from harness.model.topology import FAMILIES, Side
from harness.programs import tcp_endpoint
from harness.scenario.schema import Scenario
from harness.system import priority
from harness.system.file_descriptors import raised_socket

PORT = 7000
READY_TIMEOUT_S = 10.0
ECHO_OCTETS = len(tcp_endpoint.PATTERN)


class EndProcess:
    """An end that runs as a program of ours; its printed events are copied into the timeline."""

    def __init__(self, program: Program, emit: tcp_endpoint.Emit, side: Side) -> None:
        self.program, self.emit, self.side = program, emit, side
        self.watching = True
        self.mask = tcp_endpoint.POLL_MASK
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

    def write(self, size: int) -> None:
        self._order(f"write {size}")

    def say(self) -> bool:
        if not self._order(f"say {ECHO_OCTETS}"):
            return False
        self.written += ECHO_OCTETS
        return True

    def shut(self) -> None:
        self._order("shut")

    def _order(self, order: str) -> bool:
        """Have the program do something; whether it takes orders at all."""
        try:
            self.program.write(f"{order}\n".encode())
        except OSError:
            return False
        return True


def options_of(scenario: Scenario, side: Side) -> dict[str, int]:
    """The options to set on a side's socket; settings that go by sysctl are not among them."""
    end = scenario.endpoint(side)
    alive = end.keepalive_settings
    options: dict[str, int] = {}
    if alive is not None:
        options["keepalive"] = 1
        if end.settings_via == "socket":
            options |= {
                "idle_s": alive.idle_s,
                "interval_s": alive.interval_s,
                "count": alive.count,
            }
    if end.user_timeout_s:
        options["user_timeout_ms"] = round(end.user_timeout_s * 1000)
    return options


class TcpDriver:
    """Makes one end of the built-in kind: a socket that lives here or, `apart`, a process of its
    own.
    """

    def __init__(
        self,
        scenario: Scenario,
        lab: Lab,
        side: Side,
        emit: tcp_endpoint.Emit,
        stack: ExitStack,
        *,
        apart: bool,
    ) -> None:
        self.scenario, self.lab, self.side, self.emit, self.stack, self.apart = (
            scenario,
            lab,
            side,
            emit,
            stack,
            apart,
        )
        self.address = lab.layout.address("server") if side == "server" else lab.layout.entrance
        self._end: EndProcess | tcp_endpoint.Endpoint | None = None
        self._listener: socket.socket | None = None

    def listen(self) -> None:
        """As a server: accept connections from now on. Raises OSError, SubjectError."""
        if self.apart:
            self._end = self._process()
            return
        self._listener = self._socket()
        tcp_endpoint.listen(self._listener, self.address, PORT)

    def connect(self) -> None:
        """As a client: make the connection. Raises OSError, SubjectError."""
        if self.apart:
            self._end = self._process()
            return
        sock = self._socket()
        tcp_endpoint.connect(sock, self.address, PORT)
        self._end = self._inside(sock, "open")

    def accept(self) -> None:
        """As a server: take the connection that was made. Raises OSError."""
        if self._listener is not None:
            self._end = self._inside(raised_socket(tcp_endpoint.accept(self._listener)), "open")
            self._listener.close()

    def arm(self) -> None:
        """Set the options; where it is a process, wait until it has."""
        if isinstance(self._end, EndProcess):
            self._end.await_event("subject.armed")
        elif self._end is not None:
            self._end.arm()

    def open_listener(self) -> EndProcess | tcp_endpoint.Endpoint:
        """As a server: an end that accepts by itself, while the run goes on."""
        self.listen()
        if self._listener is not None:
            self._end = self._inside(self._listener, "listening")
        return self.end

    def open_connecting(self) -> EndProcess | tcp_endpoint.Endpoint:
        """As a client: an end that has called connect(2) and no more."""
        if self.apart:
            self._end = self._process()
            self._end.await_event("subject.armed")
            return self._end
        self._end = self._inside(self._socket(), "open")
        self._end.connect(self.address, PORT)
        return self._end

    @property
    def end(self) -> EndProcess | tcp_endpoint.Endpoint:
        """What has been made."""
        assert self._end is not None
        return self._end

    def _process(self) -> EndProcess:
        """A program; a server's listens when this returns."""
        end = self.scenario.endpoint(self.side)
        job = {
            "role": self.side,
            "state": self.scenario.state,
            "address": self.address,
            "port": PORT,
            "options": options_of(self.scenario, self.side),
            "buffers": [end.receive_buffer_bytes, end.send_buffer_bytes],
            "reads": end.reads,
        }
        process = EndProcess(_start(self.lab.host(self.side), self.side, job), self.emit, self.side)
        if self.side == "server":
            process.await_event("subject.listening")
        return process

    def _socket(self) -> socket.socket:
        end = self.scenario.endpoint(self.side)
        sock = self.stack.enter_context(
            self.lab.host(self.side).socket(FAMILIES[self.lab.layout.family])
        )
        tcp_endpoint.limit_buffers(sock, end.receive_buffer_bytes, end.send_buffer_bytes)
        return sock

    def _inside(self, sock: socket.socket, stage: tcp_endpoint.Stage) -> tcp_endpoint.Endpoint:
        end = tcp_endpoint.Endpoint(
            sock,
            self.emit,
            options_of(self.scenario, self.side),
            echoes=self.side == "server",
            reads=self.scenario.endpoint(self.side).reads,
            stage=stage,
        )
        self.stack.callback(end.close_with_reset)
        return end


def _start(host: Host, side: Side, job: dict[str, object]) -> Program:
    script = str(Path(tcp_endpoint.__file__))
    program = host.start(f"tcp-{side}", [sys.executable, "-I", "-S", script, json.dumps(job)])
    priority.lend(program.pid)
    return program
