"""The connections of a command, told from the handshakes captured on its host, and the end of the watched one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from harness.lab import socket_table
from harness.lab.host import Host
from harness.lab.socket_table import Ends
from harness.model.programs import Detects
from harness.model.topology import Side
from harness.subjects.tcp_driver import PORT

if TYPE_CHECKING:
    from harness.programs.tcp_endpoint import Emit
    from harness.subjects.interface import SubjectLoop

LOOK_AGAIN_NS = 100_000_000
"""How often a connection is looked at that may have been closed without a segment."""
_OPEN = (socket_table.SYN_SENT, socket_table.ESTABLISHED, socket_table.CLOSE_WAIT)

Notice = Callable[[str, str, int], None]
"""Told how the end of the watched connection showed, what was found, and when (CLOCK_MONOTONIC in ns)."""


class Flows:
    """Learns of a side's connections in the order in which they begin; says when the watched one is over."""

    def __init__(self, side: Side, host: Host, loop: SubjectLoop, emit: Emit, detects: Detects, notice: Notice) -> None:
        self.side, self.host, self.loop, self.emit = side, host, loop, emit
        self.detects, self.notice = detects, notice
        self.watched: Ends | None = None
        self.left_ns: int | None = None
        """When this side closed the watched connection: sent the first FIN or RST on it."""
        self._namespace = host.identity
        self._begun: dict[Ends, int] = {}
        self._stood: dict[Ends, int] = {}
        self._began_again: set[Ends] = set()
        self._is_over = False
        loop.hear(self._heard)

    def close(self) -> None:
        """Watch no longer."""
        self._is_over = True

    def forget(self) -> None:
        """Another program takes over: its connections are counted from 1 again."""
        self._begun.clear()
        self._stood.clear()

    def begun(self, number: int) -> Ends | None:
        """The connection to or from the port of that number, counted from 1 in their order; -1: the last one."""
        flows = [flow for flow in self._begun if self._is_at_port(flow)]
        index = number - 1 if number > 0 else number
        return flows[index] if -len(flows) <= index < len(flows) else None

    def begun_ns(self, flow: Ends) -> int:
        """When the connection's SYN was captured."""
        return self._begun[flow]

    def first_stood_ns(self) -> int | None:
        """When the first connection at the port stood, whatever became of it; None where none has."""
        stood = [self._stood[flow] for flow in self._begun.keys() & self._stood.keys() if self._is_at_port(flow)]
        return min(stood, default=None)

    def _is_at_port(self, flow: Ends) -> bool:
        return (flow.far if self.side == "client" else flow.near)[1] == PORT

    def standing(self, number: int) -> Ends | None:
        """The connection of that number, if it stands and the program holds it."""
        flow = self.begun(number)
        found = None if flow is None else self.host.socket_table.find(flow)
        return flow if found is not None and found.is_held and found.state == socket_table.ESTABLISHED else None

    def stood_ns(self, flow: Ends) -> int:
        """When the connection's handshake was over, as captured; the moment of its SYN where that was not seen."""
        return self._stood.get(flow, self._begun[flow])

    def watch(self, flow: Ends, from_ns: int) -> None:
        """Say from now on when this connection is over, or another one is begun."""
        self.watched = flow
        if self.detects.closes:
            self.loop.at(from_ns + LOOK_AGAIN_NS, self._look)

    def _heard(self, host: str, at_ns: int, seen: Mapping[str, Any]) -> None:
        """A segment was captured: a connection begins, stands, or the watched one ends."""
        if host != self.side or "sport" not in seen:
            return
        goes, flags = seen["way"] == "out", set(seen["flags"])
        source, target = (seen["src"], seen["sport"]), (seen["dst"], seen["dport"])
        flow = Ends(source, target) if goes else Ends(target, source)
        is_clients = goes == (self.side == "client")
        if is_clients and "S" in flags and "A" not in flags:
            if flow not in self._begun:
                self._begins(flow, at_ns)
        elif is_clients and "A" in flags and not flags & set("SR"):
            self._stood.setdefault(flow, at_ns)
        if flow in self._began_again and goes and not flags & set("SR"):
            self._began_again.discard(flow)
            self.emit("subject.reconnected", at_ns=at_ns, remote=[seen["dst"], seen["dport"]])
        elif flow == self.watched and goes and flags & set("FR"):
            self.left_ns = at_ns if self.left_ns is None else self.left_ns
            self._closes(f"{'RST' if 'R' in flags else 'FIN'} sent", at_ns)
        elif flow == self.watched and not goes and "R" in flags:
            self._closes("RST received", at_ns)

    def _closes(self, found: str, at_ns: int) -> None:
        if self.detects.closes:
            self.notice("close", found, at_ns)

    def _begins(self, flow: Ends, at_ns: int) -> None:
        self._begun[flow] = at_ns
        if self.watched is None:
            return
        self._began_again.add(flow)
        if self.detects.reconnects:
            self.notice("reconnect", f"a SYN to {flow.far[0]}, port {flow.far[1]}", at_ns)

    def _look(self) -> None:
        """Whether the program still has the connection: closed with data in the queue it sends no FIN yet."""
        if self._is_over or self.watched is None or self.host.identity != self._namespace:
            return
        now_ns = time.monotonic_ns()
        found = self.host.socket_table.find(self.watched)
        if found is None or not found.is_held:
            self._closes("the socket is gone", now_ns)
        elif found.state not in _OPEN:
            self._closes(f"the socket is in state {socket_table.STATES[found.state]}", now_ns)
        else:
            self.loop.at(now_ns + LOOK_AGAIN_NS, self._look)
