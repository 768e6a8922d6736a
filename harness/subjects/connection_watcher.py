"""The connections of a command: which of them stands, and how the end of the watched one shows."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from harness.lab import socket_table
from harness.lab.host import Host
from harness.lab.socket_table import Ends, Socket
from harness.model.programs import Detects
from harness.model.topology import Side
from harness.subjects.detection import Sign
from harness.subjects.handshakes import Handshakes
from harness.subjects.tcp_driver import PORT

if TYPE_CHECKING:
    from harness.programs.tcp_endpoint import Emit
    from harness.subjects.interface import SubjectLoop

LOOK_AGAIN_NS = 100_000_000
"""How often a connection is looked at that may have been closed without a segment."""
OPEN = (socket_table.SYN_SENT, socket_table.ESTABLISHED, socket_table.CLOSE_WAIT)

Notice = Callable[[Sign], object]
"""Called with each sign that shows in a connection."""


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
        self.carried_ns = 0
        """When a connection at the port has carried data last, either way (CLOCK_MONOTONIC)."""
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
        return ends if ends is not None and self.stands(ends) else None

    def stands(self, ends: Ends) -> bool:
        """Whether a connection stands and the program holds it."""
        found = self.host.socket_table.find(ends)
        return found is not None and found.is_held and found.state == socket_table.ESTABLISHED

    def watch(self, ends: Ends, from_ns: int) -> None:
        """Say from now on when this connection is over, or another one is begun."""
        self.watched = ends
        self._namespace = self.host.identity
        if self.detects.closes:
            self._look_at(ends, from_ns, LOOK_AGAIN_NS)

    def _on_segment(self, host: str, at_ns: int, seen: Mapping[str, Any]) -> None:
        """A segment was captured: a connection begins, stands, or the watched one ends."""
        if host != self.side or "sport" not in seen:
            return
        is_ours, flags = seen["way"] == "out", frozenset(seen["flags"])
        source, target = (seen["src"], seen["sport"]), (seen["dst"], seen["dport"])
        ends = Ends(source, target) if is_ours else Ends(target, source)
        is_clients = is_ours == (self.side == "client")
        if seen.get("length") and PORT in (source[1], target[1]):
            self.carried_ns = max(self.carried_ns, at_ns)
        if is_clients and self.handshakes.take(ends, flags, at_ns):
            self._begins(ends, at_ns)
        if (
            ends in self._begun_again
            and self._proves_standing(is_ours=is_ours, is_clients=is_clients)
            and not flags & {"S", "R"}
        ):
            self._begun_again.discard(ends)
            self._stands_again(ends, at_ns)
        elif not self._follows(ends):
            return
        elif is_ours and flags & {"F", "R"}:
            if ends == self.watched and self.left_ns is None:
                self.left_ns = at_ns
            self._closes(
                Sign("close", f"{'RST' if 'R' in flags else 'FIN'} sent", at_ns, None, ends)
            )
        elif not is_ours and "R" in flags:
            self._closes(Sign("close", "RST received", at_ns, None, ends))

    def _follows(self, ends: Ends) -> bool:
        """Whether the end of a connection counts."""
        return ends == self.watched

    def _proves_standing(self, *, is_ours: bool, is_clients: bool) -> bool:
        """Whether a segment that is no SYN or RST proves that its connection stands."""
        return is_ours

    def _begins(self, ends: Ends, at_ns: int) -> None:
        if self.watched is None:
            return
        self._begun_again.add(ends)
        if self.detects.reconnects:
            self.notice(
                Sign("reconnect", f"a SYN to {ends.far[0]}, port {ends.far[1]}", at_ns, None, ends)
            )

    def _stands_again(self, ends: Ends, at_ns: int) -> None:
        self.emit("subject.reconnected", at_ns=at_ns, local=list(ends.near), remote=list(ends.far))

    def _closes(self, sign: Sign) -> None:
        if self.detects.closes:
            self.notice(sign)

    def _look_at(self, ends: Ends, from_ns: int, pause_ns: int) -> None:
        """Look at a connection's socket after a pause."""
        self.loop.at(from_ns + pause_ns, functools.partial(self._look, ends, from_ns))

    def _look(self, ends: Ends, before_ns: int) -> None:
        """Look whether the program still has the connection.

        A connection that was closed with data in the queue sends no FIN yet.
        """
        if self._is_over or self.host.identity != self._namespace:
            return
        now_ns = time.monotonic_ns()
        found = self.host.socket_table.find(ends)
        if found is None or self._is_given_up(found):
            words = "the socket is gone"
        elif found.state not in OPEN:
            words = f"the socket is in state {socket_table.STATES[found.state]}"
        else:
            self._look_at(ends, now_ns, self._pause_ns(found, now_ns))
            return
        self._closes(Sign("close", words, now_ns, None, ends, now_ns - before_ns))

    def _is_given_up(self, found: Socket) -> bool:
        """Whether no program holds the socket any more."""
        return not found.is_held

    def _pause_ns(self, found: Socket, now_ns: int) -> int:
        """How long to wait until the next look at an open socket."""
        return LOOK_AGAIN_NS
