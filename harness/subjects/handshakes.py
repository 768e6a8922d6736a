"""The connections of a side, in the order in which they begin, learned from captured segments."""

from __future__ import annotations

from harness.lab.socket_table import Ends
from harness.model.topology import Side
from harness.subjects.tcp_driver import PORT


class Handshakes:
    """Remembers when each connection began, and when it stood, whatever became of it."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._begun: dict[Ends, int] = {}
        self._stood: dict[Ends, int] = {}

    def take(self, ends: Ends, flags: frozenset[str], at_ns: int) -> bool:
        """A segment that the client has sent; whether a connection begins with it."""
        if "S" in flags and "A" not in flags:
            is_new = ends not in self._begun
            self._begun.setdefault(ends, at_ns)
            return is_new
        if "A" in flags and not flags & {"S", "R"}:
            self._stood.setdefault(ends, at_ns)
        return False

    def forget(self) -> None:
        """Another program takes over: its connections are counted from 1 again."""
        self._begun.clear()
        self._stood.clear()

    def begun(self, number: int) -> Ends | None:
        """The connection of that number at the port: 1 is the first one, -1 the last one."""
        found = [ends for ends in self._begun if self._is_at_port(ends)]
        index = number - 1 if number > 0 else number
        return found[index] if -len(found) <= index < len(found) else None

    def begun_ns(self, ends: Ends) -> int:
        """When the connection's SYN was captured."""
        return self._begun[ends]

    def stood_ns(self, ends: Ends) -> int:
        """When the handshake was over; where that was not captured, when the SYN was."""
        return self._stood.get(ends, self._begun[ends])

    def first_stood_ns(self) -> int | None:
        """When the first connection at the port stood, even if it is over; None where none has."""
        both = self._begun.keys() & self._stood.keys()
        stood = [self._stood[ends] for ends in both if self._is_at_port(ends)]
        return min(stood, default=None)

    def _is_at_port(self, ends: Ends) -> bool:
        return (ends.far if self._side == "client" else ends.near)[1] == PORT
