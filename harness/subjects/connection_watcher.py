"""The connections of a command: which of them stands, and how the end of the watched one shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from harness.lab import socket_table
from harness.lab.host import Host
from harness.lab.socket_table import Ends
from harness.model.programs import Detects
from harness.model.topology import Side
from harness.subjects.handshakes import Handshakes

if TYPE_CHECKING:
    from harness.programs.tcp_endpoint import Emit
    from harness.subjects.interface import SubjectLoop

LOOK_AGAIN_NS = 100_000_000
"""How often a connection is looked at that may have been closed without a segment."""
_OPEN = (socket_table.SYN_SENT, socket_table.ESTABLISHED, socket_table.CLOSE_WAIT)

Notice = Callable[[str, str, int], None]
"""Called with how the end of the connection showed, what was found, and when (CLOCK_MONOTONIC)."""


class ConnectionWatcher:
    """Watches a side's connections, by captured segments and by the host's socket table."""

    def __init__(
        self,
        side: Side,
        host: Host,
        loop: SubjectLoop,
        emit: Emit,
        detects: Detects,
        notice: Notice,
    ) -> None:
        self.side, self.host, self.loop, self.emit = side, host, loop, emit
        self.detects, self.notice = detects, notice
        self.handshakes = Handshakes(side)
        self.watched: Ends | None = None
        self.left_ns: int | None = None
        """When this side closed the watched connection: sent the first FIN or RST on it."""
        self._namespace = host.identity
        self._begun_again: set[Ends] = set()
        self._is_over = False
        loop.on_segment(self._on_segment)

    def close(self) -> None:
        """Look at no socket any more. Captured segments are still taken."""
        self._is_over = True

    def standing(self, number: int) -> Ends | None:
        """The connection of that number, if it stands and the program holds it."""
        ends = self.handshakes.begun(number)
        found = None if ends is None else self.host.socket_table.find(ends)
        stands = found is not None and found.is_held and found.state == socket_table.ESTABLISHED
        return ends if stands else None

    def watch(self, ends: Ends, from_ns: int) -> None:
        """Say from now on when this connection is over, or another one is begun."""
        self.watched = ends
        if self.detects.closes:
            self.loop.at(from_ns + LOOK_AGAIN_NS, self._look)

    def _on_segment(self, host: str, at_ns: int, seen: Mapping[str, Any]) -> None:
        """A segment was captured: a connection begins, stands, or the watched one ends."""
        if host != self.side or "sport" not in seen:
            return
        is_ours, flags = seen["way"] == "out", frozenset(seen["flags"])
        source, target = (seen["src"], seen["sport"]), (seen["dst"], seen["dport"])
        ends = Ends(source, target) if is_ours else Ends(target, source)
        is_clients = is_ours == (self.side == "client")
        if is_clients and self.handshakes.take(ends, flags, at_ns):
            self._begins(ends, at_ns)
        if ends in self._begun_again and is_ours and not flags & {"S", "R"}:
            self._begun_again.discard(ends)
            self.emit("subject.reconnected", at_ns=at_ns, remote=list(ends.far))
        elif ends == self.watched and is_ours and flags & {"F", "R"}:
            self.left_ns = at_ns if self.left_ns is None else self.left_ns
            self._closes(f"{'RST' if 'R' in flags else 'FIN'} sent", at_ns)
        elif ends == self.watched and not is_ours and "R" in flags:
            self._closes("RST received", at_ns)

    def _begins(self, ends: Ends, at_ns: int) -> None:
        if self.watched is None:
            return
        self._begun_again.add(ends)
        if self.detects.reconnects:
            self.notice("reconnect", f"a SYN to {ends.far[0]}, port {ends.far[1]}", at_ns)

    def _closes(self, found: str, at_ns: int) -> None:
        if self.detects.closes:
            self.notice("close", found, at_ns)

    def _look(self) -> None:
        """Look whether the program still has the connection.

        A connection that was closed with data in the queue sends no FIN yet.
        """
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
