"""A command's connections, as the segments captured on its host tell of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest

from harness.lab.host import Host
from harness.lab.socket_table import CLOSE_WAIT, ESTABLISHED, Ends, Socket
from harness.model.programs import Detects
from harness.model.topology import Side
from harness.subjects.connection_watcher import LOOK_AGAIN_NS, ConnectionWatcher
from harness.subjects.interface import SubjectLoop
from harness.subjects.tcp_driver import PORT

CLIENT, SERVER = "10.77.1.1", "10.77.2.2"
LAST_ACK = 9
EVERY_WAY = Detects(closes=True, reconnects=True)


class World:
    """A host and a loop in one: what is captured is told by `segment`.

    What is found is in `found` and `emitted`.
    """

    identity = 1

    def __init__(
        self,
        side: Side,
        detects: Detects = EVERY_WAY,
        kind: type[ConnectionWatcher] = ConnectionWatcher,
    ) -> None:
        self.side = side
        self.found: list[tuple[str, str, int]] = []
        self.emitted: list[tuple[str, int]] = []
        self.looks: list[tuple[int, Callable[[], object]]] = []
        self.socket: Socket | None = None
        self.watcher = kind(
            side,
            cast("Host", self),
            cast("SubjectLoop", self),
            self.emit,
            detects,
            lambda sign: self.found.append(sign[:3]),
        )

    def on_segment(self, listener: Callable[[str, int, Mapping[str, Any]], None]) -> None:
        """As of a loop."""
        self.listener = listener

    def at(self, moment_ns: int, action: Callable[[], object]) -> None:
        """As of a loop, whose time does not pass."""
        self.looks.append((moment_ns, action))

    @property
    def socket_table(self) -> World:
        """As of a host."""
        return self

    def find(self, ends: Ends) -> Socket | None:
        """As of a socket table, whichever connection is asked for."""
        assert ends == self.watcher.handshakes.begun(1)
        return self.socket

    def has_socket(self, state: int | None, *, is_held: bool = True) -> None:
        """From now on the first connection has a socket in that state, or none."""
        gone = state is None
        self.socket = None if gone else Socket(state or 0, 1, 2, queue=0, inode=int(is_held))

    def emit(self, kind: str, at_ns: int | None = None, **data: object) -> None:
        """As of a timeline."""
        assert at_ns is not None
        assert data["remote"]
        self.emitted.append((kind, at_ns))

    def segment(
        self, at_ns: int, sender: Side, flags: str, port: int, server_port: int = PORT
    ) -> None:
        """A segment between two ports, captured on both hosts."""
        ends = [(CLIENT, port), (SERVER, server_port)]
        (src, sport), (dst, dport) = ends if sender == "client" else ends[::-1]
        for host in ("client", "server"):
            way = "out" if sender == host else "in"
            seen = {
                "way": way,
                "flags": flags,
                "src": src,
                "dst": dst,
                "sport": sport,
                "dport": dport,
            }
            self.listener(host, at_ns, seen)

    def shakes_hands(self, at_ns: int, port: int, server_port: int = PORT) -> Ends:
        """Three segments, one nanosecond after the other; the connection as the side sees it."""
        for number, (sender, flags) in enumerate(
            (("client", "S"), ("server", "SA"), ("client", "A"))
        ):
            self.segment(at_ns + number, cast("Side", sender), flags, port, server_port)
        ends = ((CLIENT, port), (SERVER, server_port))
        return Ends(*(ends if self.side == "client" else ends[::-1]))


@pytest.fixture(params=["client", "server"])
def world(request: pytest.FixtureRequest) -> World:
    """Watched from either side."""
    return World(request.param)


def test_the_watched_one_is_closed_by_its_own_segments(world: World) -> None:
    """By the first FIN or RST that it sends, or an RST that comes.

    Those of another one say nothing.
    """
    first, _ = world.shakes_hands(100, 40001), world.shakes_hands(200, 40002)
    world.watcher.watch(first, 250)
    other: Side = "server" if world.side == "client" else "client"
    world.segment(300, world.side, "FA", 40002)
    world.segment(301, other, "FA", 40001)
    assert (world.found, world.watcher.left_ns) == ([], None)
    world.segment(400, world.side, "FA", 40001)
    world.segment(401, world.side, "RA", 40001)
    world.segment(402, other, "R", 40001)
    assert world.found == [
        ("close", "FIN sent", 400),
        ("close", "RST sent", 401),
        ("close", "RST received", 402),
    ]
    assert world.watcher.left_ns == 400


def test_when_it_left_is_known_whatever_it_detects_by() -> None:
    """The moment tells which of two ends went first."""
    world = World("client", Detects(prints="lost"))
    world.watcher.watch(world.shakes_hands(100, 40001), 150)
    world.segment(400, "client", "FA", 40001)
    assert (world.found, world.watcher.left_ns) == ([], 400)


def test_a_client_that_connects_anew() -> None:
    """To whatever port: its SYN shows the detection, its next segment that the new connection
    stands.
    """
    world = World("client")
    world.watcher.watch(world.shakes_hands(100, 40001), 150)
    world.shakes_hands(500, 40002, server_port=9)
    assert world.found == [("reconnect", f"a SYN to {SERVER}, port 9", 500)]
    assert world.emitted == [("subject.reconnected", 502)]


def test_a_connection_stands_while_its_program_holds_it(world: World) -> None:
    """By the socket table: the handshake may be long over, and the program may have closed its
    end.
    """
    first = world.shakes_hands(100, 40001)
    for state, is_held, stands in (
        (ESTABLISHED, True, True),
        (ESTABLISHED, False, False),
        (CLOSE_WAIT, True, False),
        (None, False, False),
    ):
        world.has_socket(state, is_held=is_held)
        assert world.watcher.standing(1) == (first if stands else None)
    assert world.watcher.standing(2) is None


def test_a_socket_that_goes_without_a_segment() -> None:
    """It is looked at every 100 ms until it is gone, or its program has closed it, or the watch is
    over.
    """
    world = World("client")
    world.watcher.watch(world.shakes_hands(100, 40001), 200)
    ((at_ns, look),) = world.looks
    assert at_ns == 200 + LOOK_AGAIN_NS
    for state, is_held, found in (
        (CLOSE_WAIT, True, []),
        (None, False, ["the socket is gone"]),
        (ESTABLISHED, False, ["the socket is gone"]),
        (LAST_ACK, True, ["the socket is in state LAST_ACK"]),
    ):
        world.looks.clear()
        world.found.clear()
        world.has_socket(state, is_held=is_held)
        look()
        assert [each[:2] for each in world.found] == [("close", each) for each in found]
        assert len(world.looks) == (0 if found else 1)
    world.found.clear()
    world.watcher.close()
    look()
    assert (world.found, world.looks) == ([], [])
