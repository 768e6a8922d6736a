"""All connections of a command, from the watched one on, in a run that is watched to its end.

Each connection's close is told once, each later connection when it is begun and when it stands.
Most closes show in a segment, FIN or RST, and have its moment. A close without a segment - of a
connection with data that the other end has not acknowledged, or on a link without carrier - shows
in the socket table. There is a look every 0.1 s at first and, as nothing happens, every hundredth
of the time that has gone by: hours of silence cost hundreds of looks, and not tens of thousands.
Where the kernel awaits an answer, it may give up as its timer expires: it is looked at every 0.1 s
from when that is due, as the timer wheel may take seconds longer.
"""

from __future__ import annotations

import time
from typing import Any

from harness.lab.socket_table import NO_TIMER, Ends, Socket
from harness.subjects.connection_watcher import LOOK_AGAIN_NS, OPEN, ConnectionWatcher
from harness.subjects.detection import Sign

SHARE = 100
"""A look comes after this part of the time since something last happened."""
MOST_PAUSE_NS = 5_000_000_000
"""Between two looks at a socket from which nothing is on the way."""
MOST_PAUSE_IN_FLIGHT_NS = 1_000_000_000
"""Between two looks at a socket with data that is not acknowledged: if its kernel gives that up, or
its program closes it, no segment says so.
"""


class EveryConnection(ConnectionWatcher):
    """Follows the watched connection and all later ones."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.later: list[Ends] = []
        """The connections that stood after the watched one, in their order."""
        self._closed: set[Ends] = set()
        self._stirred_ns = 0
        self._due_ns: dict[Ends, int] = {}

    def watch(self, ends: Ends, from_ns: int) -> None:
        """Follow this connection, and all that are begun from now on."""
        self._stirred_ns = from_ns
        super().watch(ends, from_ns)

    def stirs(self, at_ns: int) -> None:
        """The program has done something: look soon, and more often for a while."""
        self._stirred_ns = max(self._stirred_ns, at_ns)
        for ends, due_ns in list(self._due_ns.items()):
            if ends not in self._closed and due_ns > at_ns + LOOK_AGAIN_NS:
                self._look_at(ends, at_ns, LOOK_AGAIN_NS)

    def reopen(self) -> None:
        """The program was started again, on its host or on another one in its place.

        The connections that it had are over.
        """
        self._is_over = False
        self._namespace = self.host.identity
        self._closed.update(self.known)

    @property
    def known(self) -> tuple[Ends, ...]:
        """The watched connection and all later ones, in their order."""
        return (*(() if self.watched is None else (self.watched,)), *self.later)

    def standing_one(self, number: int) -> Ends | None:
        """The connection of that number or, where that is over, the latest one that stands."""
        return self.standing(number) or self.standing(-1)

    def _follows(self, ends: Ends) -> bool:
        return self.host.identity == self._namespace and ends in self.known

    def _proves_standing(self, *, is_ours: bool, is_clients: bool) -> bool:
        return is_clients

    def _begins(self, ends: Ends, at_ns: int) -> None:
        if self.side == "client":
            super()._begins(ends, at_ns)
            self.stirs(at_ns)
        elif self.watched is not None:  # what the client begins says nothing of the server
            self._begun_again.add(ends)

    def _stands_again(self, ends: Ends, at_ns: int) -> None:
        super()._stands_again(ends, at_ns)
        self.later.append(ends)
        self.stirs(at_ns)
        self._look_at(ends, at_ns, LOOK_AGAIN_NS)

    def _closes(self, sign: Sign) -> None:
        if sign.ends is not None and sign.ends not in self._closed:
            self._closed.add(sign.ends)
            super()._closes(sign)

    def _look_at(self, ends: Ends, from_ns: int, pause_ns: int) -> None:
        self._due_ns[ends] = from_ns + pause_ns
        super()._look_at(ends, from_ns, pause_ns)

    def _look(self, ends: Ends, before_ns: int) -> None:
        is_put_off = time.monotonic_ns() < self._due_ns[ends]
        if ends not in self._closed and not is_put_off:
            super()._look(ends, before_ns)

    def _is_given_up(self, found: Socket) -> bool:
        """A later connection of a server may still wait to be accepted: no program has it yet.

        That is so in an open state. close(2) leaves that at once (net/ipv4/tcp.c:tcp_close_state).
        """
        return super()._is_given_up(found) and found.state not in OPEN

    def _pause_ns(self, found: Socket, now_ns: int) -> int:
        if not found.is_held:  # it waits to be accepted, perhaps with a hundred others
            return MOST_PAUSE_NS
        most_ns = MOST_PAUSE_IN_FLIGHT_NS if found.unsent else MOST_PAUSE_NS
        pause_ns = max(LOOK_AGAIN_NS, min((now_ns - self._stirred_ns) // SHARE, most_ns))
        if found.timer == NO_TIMER or not (found.unsent or found.retries):
            return pause_ns
        return min(pause_ns, max(LOOK_AGAIN_NS, found.expires_ms * 1_000_000))
