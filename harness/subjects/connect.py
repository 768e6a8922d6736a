"""Starts both ends of the connection as a scenario wants them, in the order in which a server and a
client get ready.

    1. the server listens
    2. the client connects
    3. the server takes the connection
    4. both are armed, the observed side last

In the state "connecting" the client has only called connect(2) in the end.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from harness.errors import SubjectError
from harness.lab.host import Lab
from harness.model.programs import Command, Ready
from harness.model.topology import SIDES, Layout, Side
from harness.programs import tcp_endpoint, tcp_relay
from harness.scenario.schema import RETRIES, Scenario
from harness.subjects import tcp_driver
from harness.subjects.interface import ConnectionEnd, Notices, WatchedConnection, observed_last
from harness.system import priority
from harness.timeline import Timeline

if TYPE_CHECKING:
    from harness.subjects.interface import SubjectLoop

_SYSCTLS = {
    "idle_s": "net.ipv4.tcp_keepalive_time",
    "interval_s": "net.ipv4.tcp_keepalive_intvl",
    "count": "net.ipv4.tcp_keepalive_probes",
}


class Driver(Protocol):
    """Makes one end, step by step. Each raises OSError or SubjectError."""

    def listen(self) -> None:
        """As a server: accept connections from now on."""

    def connect(self) -> None:
        """As a client: make the connection."""

    def accept(self) -> None:
        """As a server: take the connection that was made."""

    def arm(self) -> None:
        """Set the options; the scenario's times count from here."""

    @property
    def end(self) -> ConnectionEnd:
        """What has been made."""


class ConnectingDriver(Driver, Protocol):
    """A driver for connections that are observed while they are made, too.

    Each method raises OSError or SubjectError.
    """

    def open_listener(self) -> ConnectionEnd:
        """As a server: an end that listens, and accepts by itself."""

    def open_connecting(self) -> ConnectionEnd:
        """As a client: an end that has begun to connect and no more.

        The scenario's times count from there.
        """


@contextmanager
def connected(
    scenario: Scenario,
    lab: Lab,
    timeline: Timeline,
    loop: SubjectLoop,
    processes: frozenset[Side] = frozenset(),
    listening: Callable[[], None] = lambda: None,
    acted: Callable[[], bool] = lambda: False,
) -> Iterator[WatchedConnection]:
    """Start both ends, connect, set the options; the observed side is armed last.

    Raises SubjectError.

    In the state "connecting" the client has only called connect(2) when this yields, after
    `listening`, which is called once the server listens. Sides whose program a fault acts on, and
    those in `processes`, are processes of their own. `acted`: see `Notices`.
    """
    set_sysctls(scenario, lab)
    apart = processes.union(*(fault.processes() for fault in scenario.faults))
    notices = Notices(timeline, acted)
    with ExitStack() as stack:
        try:
            if scenario.state == "connecting":
                _start_between(scenario, lab, notices, stack, loop)
                ends = _connecting(scenario, lab, notices, apart, stack, loop, listening)
            else:
                ends = _open(scenario, lab, notices, apart, stack, loop)
        except OSError as error:
            expected = f"a connection to {lab.layout.entrance}:{tcp_driver.PORT}"
            raise SubjectError(f"expected {expected}, found {error}") from error
        for end in ends.values():
            if not isinstance(end, tcp_endpoint.Endpoint):
                end.woken(
                    0, time.monotonic_ns()
                )  # what was printed along with what was awaited is in no pipe any more
        yield WatchedConnection(ends, notices)


def set_sysctls(scenario: Scenario, lab: Lab) -> None:
    """Put settings that go by sysctl into the hosts' namespaces."""
    for side in SIDES:
        end = scenario.endpoint(side)
        alive = end.keepalive_settings
        if end.retries2 != RETRIES:
            lab.host(side).sysctl("net.ipv4.tcp_retries2", end.retries2)
        if alive is not None and end.settings_via == "sysctl":
            for name, sysctl in _SYSCTLS.items():
                lab.host(side).sysctl(sysctl, getattr(alive, name))


def _open(
    scenario: Scenario,
    lab: Lab,
    notices: Notices,
    apart: frozenset[Side],
    stack: ExitStack,
    loop: SubjectLoop,
) -> dict[Side, ConnectionEnd]:
    """An established connection, each end armed."""
    drivers: dict[Side, Driver] = {
        side: _driver(scenario, lab, side, notices, apart, stack, loop) for side in SIDES
    }
    drivers["server"].listen()
    _start_between(scenario, lab, notices, stack, loop)
    drivers["client"].connect()
    drivers["server"].accept()
    for side in observed_last(scenario.judged):
        drivers[side].arm()
    return {side: driver.end for side, driver in drivers.items()}


def _start_between(
    scenario: Scenario, lab: Lab, notices: Notices, stack: ExitStack, loop: SubjectLoop
) -> None:
    """Start what the scenario has between the ends, a proxy and a standby server, and wait until it
    is ready.

    Raises SubjectError, and CapabilityError where there is no such proxy.
    """
    where = lab.layout
    if where.proxied_by == "toxiproxy":
        from harness.lab import toxiproxy_server

        toxiproxy_server.start(lab)
        return
    placed = [
        (key, host, command, "")
        for key, host, command in scenario.commands
        if key in ("proxy", "standby")
    ]
    if where.proxied_by == "relay":
        placed.append(("proxy", "proxy", relay_command(where), "relay"))
    for key, host, command, name in placed:
        from harness.subjects import running

        program = running.start(command, lab, lab.host(host), key, name)
        if name:  # the harness's own
            priority.lend(program.pid)
        between = running.Between(
            command, lab.host(host), program, notices.teller(key), notices, loop
        )
        stack.callback(between.close)
        between.await_ready(connects=False)


def relay_command(where: Layout) -> Command:
    """The harness's own relay, for a layout with a proxy."""
    addresses = (where.entrance, where.address("server"), str(tcp_driver.PORT))
    argv = (sys.executable, "-I", "-S", str(Path(tcp_relay.__file__)), *addresses)
    return Command(argv=argv, ready=Ready(prints="^ready$", within_s=tcp_driver.READY_TIMEOUT_S))


def _driver(
    scenario: Scenario,
    lab: Lab,
    side: Side,
    notices: Notices,
    apart: frozenset[Side],
    stack: ExitStack,
    loop: SubjectLoop,
) -> Driver:
    end = scenario.endpoint(side)
    if end.command is None and end.heartbeat is not None:
        from harness.subjects.heartbeat import driver

        emit = notices.emitter(side)
        return driver.HeartbeatDriver(scenario, lab, side, emit, loop, stack, apart=side in apart)
    return _connecting_driver(scenario, lab, side, notices, apart, stack, loop)


def _connecting(
    scenario: Scenario,
    lab: Lab,
    notices: Notices,
    apart: frozenset[Side],
    stack: ExitStack,
    loop: SubjectLoop,
    listening: Callable[[], None],
) -> dict[Side, ConnectionEnd]:
    """A server that listens and a client that has begun to connect."""
    drivers = {
        side: _connecting_driver(scenario, lab, side, notices, apart, stack, loop) for side in SIDES
    }
    server = drivers["server"].open_listener()
    listening()
    return {"client": drivers["client"].open_connecting(), "server": server}


def _connecting_driver(
    scenario: Scenario,
    lab: Lab,
    side: Side,
    notices: Notices,
    apart: frozenset[Side],
    stack: ExitStack,
    loop: SubjectLoop,
) -> ConnectingDriver:
    if scenario.endpoint(side).command is not None:
        if scenario.expect.outcome == "any":
            from harness.subjects import described

            return described.DescribedDriver(scenario, lab, side, notices, loop, stack)
        from harness.subjects import command

        return command.CommandDriver(scenario, lab, side, notices, loop, stack)
    emit = notices.emitter(side)
    return tcp_driver.TcpDriver(scenario, lab, side, emit, stack, apart=side in apart)
