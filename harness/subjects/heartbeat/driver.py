"""Makes the ends of a connection with a heartbeat as a scenario wants them, and the other servers
of its client.
"""

from __future__ import annotations

import functools
import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgspec

from harness.errors import SubjectError
from harness.lab.host import Lab
from harness.lab.process import Program
from harness.model.programs import IdleState, Simple
from harness.model.topology import FAMILIES, Side
from harness.programs import tcp_endpoint
from harness.scenario.schema import Scenario
from harness.subjects import tcp_driver
from harness.subjects.heartbeat import designs, main
from harness.subjects.heartbeat.participant import Participant, Setting
from harness.subjects.heartbeat.reaper import Reaper
from harness.subjects.tcp_driver import PORT
from harness.system import priority
from harness.system.file_descriptors import raised_socket

if TYPE_CHECKING:
    from harness.subjects.interface import SubjectLoop


class HeartbeatProcess(tcp_driver.EndProcess):
    """An end that runs as a program of ours."""

    def note(self, line: bytes) -> str:
        written = self.written
        kind = super().note(line)
        self.written = written  # data is not answered: only what is said counts
        return kind


class HeartbeatDriver:
    """Makes one end: an object that lives here or, `apart` or where its sends wait, a process of
    its own.
    """

    def __init__(
        self,
        scenario: Scenario,
        lab: Lab,
        side: Side,
        emit: tcp_endpoint.Emit,
        loop: SubjectLoop,
        stack: ExitStack,
        *,
        apart: bool,
    ) -> None:
        self.scenario, self.lab, self.side, self.loop, self.stack = scenario, lab, side, loop, stack
        heartbeat = scenario.endpoint(side).heartbeat
        self.servers = (
            _servers(scenario, lab) if isinstance(heartbeat, IdleState) and side == "client" else {}
        )
        self.setting = self._setting(side, side, emit)
        self.apart = apart or (
            isinstance(heartbeat, Simple) and heartbeat.blocking and side == "client"
        )
        self.address = lab.layout.address("server") if side == "server" else lab.layout.entrance
        self._end: HeartbeatProcess | Participant | None = None
        self._listener: socket.socket | None = None

    def listen(self) -> None:
        if self.apart:
            process = self._process()
            process.await_event("subject.listening")
            self._end = process
            return
        self._listener = self.stack.enter_context(self._socket(self.side, self.side))
        tcp_endpoint.listen(self._listener, self.address, PORT)

    def connect(self) -> None:
        for name, (address, _) in self.servers.items():
            if name != "server":
                self._start_spare(name, address)
        if self.apart:
            self._end = self._process()
            return
        sock = self.stack.enter_context(self._socket(self.side, self.side))
        tcp_endpoint.connect(sock, self.address, PORT)
        self._take(sock)

    def accept(self) -> None:
        if self._listener is None:
            return
        sock = raised_socket(tcp_endpoint.accept(self._listener))
        if self.setting.values["design"] != "reaper":
            self._listener.close()
        self._take(sock)

    def arm(self) -> None:
        if isinstance(self._end, HeartbeatProcess):
            self._end.await_event("subject.armed")
        elif self._end is not None:
            self._end.arm()

    @property
    def end(self) -> HeartbeatProcess | Participant:
        assert self._end is not None
        return self._end

    def _take(self, sock: socket.socket) -> None:
        end = designs.make(self.setting, sock, self._listener)
        self.stack.callback(end.close_with_reset)
        end.prepare()
        self._end = end

    def _setting(self, side: Side, host: str, emit: tcp_endpoint.Emit) -> Setting:
        """What an end of a side is told that runs on a host."""
        values = msgspec.to_builtins(self.scenario.endpoint(side).heartbeat)
        options = tcp_driver.options_of(self.scenario, side)
        return Setting(
            side, values, options, functools.partial(self._socket, side, host), emit, self.servers
        )

    def _socket(self, side: Side, host: str) -> socket.socket:
        """A socket on a host, as a side has it; whoever asks for it closes it."""
        end = self.scenario.endpoint(side)
        sock = self.lab.host(host).socket(FAMILIES[self.lab.layout.family])
        tcp_endpoint.limit_buffers(sock, end.receive_buffer_bytes, end.send_buffer_bytes)
        return sock

    def _process(self) -> HeartbeatProcess:
        end = self.scenario.endpoint(self.side)
        job = {
            "role": self.side,
            "address": self.address,
            "port": PORT,
            "options": self.setting.options,
            "buffers": [end.receive_buffer_bytes, end.send_buffer_bytes],
            "heartbeat": self.setting.values,
            "servers": self.servers,
        }
        started: Program = self.lab.host(self.side).start(f"heartbeat-{self.side}", main.argv(job))
        priority.lend(started.pid)
        return HeartbeatProcess(started, self.setting.emit, self.side)

    def _start_spare(self, name: str, address: str) -> None:
        """A server like the scenario's on another host, for when the first one is lost.

        What it sees is not told.
        """
        listener = self.stack.enter_context(self._socket("server", name))
        tcp_endpoint.listen(listener, address, PORT)
        spare = Reaper(self._setting("server", name, _silent), None, listener)
        self.stack.callback(spare.close_with_reset)
        spare.begin(time.monotonic_ns())
        self.loop.watch(spare)


def _servers(scenario: Scenario, lab: Lab) -> dict[str, tuple[str, int]]:
    """Where the client reaches each server of its list.

    Raises SubjectError for a host that has no address.
    """
    heartbeat = scenario.client.heartbeat
    assert isinstance(heartbeat, IdleState)
    servers = {}
    for name in heartbeat.servers:
        spec = lab.layout.host(name)
        address = lab.layout.entrance if name == "server" else spec.facing("client").address
        if address is None:
            raise SubjectError(f"expected servers with an address, found {name}, a switch")
        servers[name] = (address, PORT)
    return servers


def _silent(kind: str, at_ns: int | None = None, **data: object) -> None:
    """What a spare server sees."""
