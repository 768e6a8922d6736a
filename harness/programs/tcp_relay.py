"""A TCP relay for the host in the middle: it takes each connection, makes one of its own to the
server, and passes on.

What stands between two connections hides either end from the other: its kernel answers for a server
that is gone. Standard library only; runs as a program of its own (`python -I -S relay.py
LISTEN-ADDRESS SERVER-ADDRESS PORT`), prints "ready" when it listens, and ends with its standard
input. The end of a stream is passed on as such, an error as RST.

Lines of its standard input are orders. `swallow DIRECTIONS LEAST MOST BEGINNING` has it read, and
so acknowledge, payloads of so many octets with this beginning (hexadecimal, or "-": any), and not
pass them on; DIRECTIONS are "to-server", "to-client" or both with a comma. A payload is what one
recv(2) returns. `pass` ends that. It shows by its name in /proc/PID/comm that it has obeyed, and
notes each payload that it swallows in a file of its working directory: the ports of both
connections, that of the client first.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import sys
from collections.abc import Iterable, Mapping

CHUNK = 65536
PASSING, SWALLOWING = "passing", "swallowing"
"""The names under which it runs once it has had an order."""
NOTES = "swallowed"
"""The file of what it has swallowed since the last order: a line for each payload."""
SIZES = (1, CHUNK)
"""Octets that a payload may have."""
ANY = "-"
"""In place of a beginning, which may be any."""


class Swallowing:
    """Which payloads are not passed on."""

    def __init__(self) -> None:
        self._directions: frozenset[str] = frozenset()
        self._sizes, self._beginning = SIZES, b""

    def order(self, line: str) -> None:
        """Carry out an order and show that it is. Raises ValueError where it is none."""
        verb, *words = line.split()
        if verb == "swallow":
            directions, least, most, beginning = words
            self._directions = frozenset(directions.split(","))
            self._sizes = int(least), int(most)
            self._beginning = b"" if beginning == ANY else bytes.fromhex(beginning)
            with open(NOTES, "w", encoding="ascii"):
                pass  # empty from here on
            call_itself(SWALLOWING)
        elif verb == "pass" and not words:
            self._directions = frozenset()
            call_itself(PASSING)
        else:
            raise ValueError(f"expected an order, found {line!r}")

    def takes(self, direction: str, payload: bytes, ports: Iterable[int]) -> bool:
        """Whether a payload is to be swallowed; then it is noted with these ports."""
        least, most = self._sizes
        if (
            direction not in self._directions
            or not least <= len(payload) <= most
            or not payload.startswith(self._beginning)
        ):
            return False
        with open(NOTES, "a", encoding="ascii") as file:
            file.write(f"{' '.join(map(str, ports))}\n")
        return True


class _Way:
    """One direction: what has come from `source` and not gone to `sink` yet."""

    def __init__(
        self, source: socket.socket, sink: socket.socket, direction: str, swallowing: Swallowing
    ) -> None:
        self.source, self.sink = source, sink
        self._direction, self._swallowing = direction, swallowing
        self.held = b""
        self.is_over = False
        """The end has come, and gone on."""

    def pass_on(self) -> None:
        """As far as both sockets go now. Raises OSError."""
        with contextlib.suppress(BlockingIOError):
            while not self.is_over:
                while self.held:
                    self.held = self.held[self.sink.send(self.held) :]
                self.held = self.source.recv(CHUNK)
                if not self.held:
                    self.is_over = True
                    self.sink.shutdown(socket.SHUT_WR)
                elif self._swallowing.takes(self._direction, self.held, self._ports()):
                    self.held = b""

    def _ports(self) -> tuple[int, ...]:
        """Of both connections."""
        client, server = (self.source, self.sink)[:: 1 if self._direction == "to-server" else -1]
        return tuple(
            name[1]
            for each in (client, server)
            for name in (each.getpeername(), each.getsockname())
        )


class _Relayed:
    """Two connections that look like one; that to the server is made while the others go on."""

    def __init__(
        self, client: socket.socket, server: socket.socket, swallowing: Swallowing
    ) -> None:
        self.sockets = (client, server)
        self.is_made = False
        for sock in self.sockets:
            sock.settimeout(0)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ways = (
            _Way(client, server, "to-server", swallowing),
            _Way(server, client, "to-client", swallowing),
        )

    def masks(self) -> dict[int, int]:
        """What to poll each socket for: input where nothing is held, room where something is."""
        wanted = dict.fromkeys((sock.fileno() for sock in self.sockets), 0)
        if not self.is_made:
            return {**wanted, self.sockets[1].fileno(): select.POLLOUT}
        for way in self.ways:
            if way.held:
                wanted[way.sink.fileno()] |= select.POLLOUT
            elif not way.is_over:
                wanted[way.source.fileno()] |= select.POLLIN
        return wanted

    def serve(self, ready: Mapping[int, int]) -> bool:
        """Pass on what there is; False when it is over."""
        try:
            for sock in self.sockets:
                _check(sock)
            self.is_made = self.is_made or bool(
                ready.get(self.sockets[1].fileno(), 0) & select.POLLOUT
            )
            if self.is_made:
                for way in self.ways:
                    way.pass_on()
        except OSError:
            for sock in self.sockets:  # RST to whoever is left
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        return not all(way.is_over and not way.held for way in self.ways)

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()


def main(listening: str, server: str, port: str) -> None:
    """Relay until standard input ends. Raises ValueError for what is no order there."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    listener = socket.create_server((listening, int(port)), family=family)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    relayed: list[_Relayed] = []
    swallowing, orders = Swallowing(), b""
    while True:
        poller = select.poll()
        for descriptor in (sys.stdin.fileno(), listener.fileno()):
            poller.register(descriptor, select.POLLIN)
        for pair in relayed:
            for descriptor, mask in pair.masks().items():
                poller.register(descriptor, mask)
        ready = dict(poller.poll())
        if sys.stdin.fileno() in ready:
            given = os.read(sys.stdin.fileno(), CHUNK)
            if not given:
                return
            *lines, orders = (orders + given).split(b"\n")
            for line in lines:
                swallowing.order(line.decode("ascii"))
        if listener.fileno() in ready:
            relayed += _accepted(listener, server, int(port), swallowing)
        for pair in list(relayed):
            if any(sock.fileno() in ready for sock in pair.sockets) and not pair.serve(ready):
                pair.close()
                relayed.remove(pair)


def call_itself(name: str) -> None:
    """Give this process a name."""
    with open("/proc/self/comm", "w", encoding="ascii") as file:
        file.write(name)


def _check(sock: socket.socket) -> None:
    """Raise the OSError that the socket has come to, if any."""
    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number:
        raise OSError(number, os.strerror(number))


def _accepted(
    listener: socket.socket, server: str, port: int, swallowing: Swallowing
) -> list[_Relayed]:
    """The next connection with its counterpart, which has been begun.

    None where the client has gone again.
    """
    try:
        client, _ = listener.accept()
    except OSError:
        return []
    counterpart = socket.socket(client.family, socket.SOCK_STREAM)
    pair = _Relayed(client, counterpart, swallowing)
    counterpart.connect_ex((server, port))
    return [pair]


if __name__ == "__main__":
    main(*sys.argv[1:])
