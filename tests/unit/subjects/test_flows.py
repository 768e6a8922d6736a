"""A command's connections, as the segments captured on its host tell of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest

from harness.lab.host import Host
from harness.lab.socket_table import Ends
from harness.model.programs import Detects
from harness.model.topology import Side
from harness.subjects.flows import Flows
from harness.subjects.interface import SubjectLoop
from harness.subjects.tcp_driver import PORT

CLIENT, SERVER = "10.77.1.1", "10.77.2.2"
EVERY_WAY = Detects(closes=True, reconnects=True)


class World:
    """A host and a loop in one: what is captured is told by `segment`; what is found is in `found` and `emitted`."""

    identity = 1

    def __init__(self, side: Side, detects: Detects = EVERY_WAY) -> None:
        self.side = side
        self.found: list[tuple[str, str, int]] = []
        self.emitted: list[tuple[str, int]] = []
        self.flows = Flows(
            side,
            cast("Host", self),
            cast("SubjectLoop", self),
            self.emit,
            detects,
            lambda *seen: self.found.append(seen),
        )

    def hear(self, hearer: Callable[[str, int, Mapping[str, Any]], None]) -> None:
        """As of a loop."""
        self.hearer = hearer

    def at(self, moment_ns: int, action: Callable[[], object]) -> None:
        """As of a loop, whose time does not pass."""

    def emit(self, kind: str, at_ns: int | None = None, **data: object) -> None:
        """As of a timeline."""
        assert at_ns is not None
        assert data["remote"]
        self.emitted.append((kind, at_ns))

    def segment(self, at_ns: int, sender: Side, flags: str, port: int, server_port: int = PORT) -> None:
        """A segment between two ports, captured on both hosts."""
        ends = [(CLIENT, port), (SERVER, server_port)]
        (src, sport), (dst, dport) = ends if sender == "client" else ends[::-1]
        for host in ("client", "server"):
            way = "out" if sender == host else "in"
            seen = {"way": way, "flags": flags, "src": src, "dst": dst, "sport": sport, "dport": dport}
            self.hearer(host, at_ns, seen)

    def shakes_hands(self, at_ns: int, port: int, server_port: int = PORT) -> Ends:
        """Three segments, one nanosecond after the other; the connection as the side sees it."""
        for number, (sender, flags) in enumerate((("client", "S"), ("server", "SA"), ("client", "A"))):
            self.segment(at_ns + number, cast("Side", sender), flags, port, server_port)
        ends = ((CLIENT, port), (SERVER, server_port))
        return Ends(*(ends if self.side == "client" else ends[::-1]))


@pytest.fixture(params=["client", "server"])
def world(request: pytest.FixtureRequest) -> World:
    """Watched from either side."""
    return World(request.param)


def test_connections_count_in_the_order_of_their_handshakes(world: World) -> None:
    """From 1, those to the port alone; -1 is the last one. A repeated SYN begins nothing."""
    world.shakes_hands(50, 40000, server_port=9)
    first, second = world.shakes_hands(100, 40001), world.shakes_hands(200, 40002)
    world.segment(300, "client", "S", 40001)
    assert [world.flows.begun(number) for number in (1, 2, 3, -1, -2, -3)] == [
        first,
        second,
        None,
        second,
        first,
        None,
    ]
    assert (world.flows.begun_ns(first), world.flows.stood_ns(first)) == (100, 102)
    assert world.found == []


def test_the_watched_one_is_closed_by_its_own_segments(world: World) -> None:
    """By the first FIN or RST that it sends, or an RST that comes; those of another one say nothing."""
    first, _ = world.shakes_hands(100, 40001), world.shakes_hands(200, 40002)
    world.flows.watch(first, 250)
    other: Side = "server" if world.side == "client" else "client"
    world.segment(300, world.side, "FA", 40002)
    world.segment(301, other, "FA", 40001)
    assert (world.found, world.flows.left_ns) == ([], None)
    world.segment(400, world.side, "FA", 40001)
    world.segment(401, world.side, "RA", 40001)
    world.segment(402, other, "R", 40001)
    assert world.found == [("close", "FIN sent", 400), ("close", "RST sent", 401), ("close", "RST received", 402)]
    assert world.flows.left_ns == 400


def test_when_it_left_is_known_whatever_it_detects_by() -> None:
    """The moment tells which of two ends went first."""
    world = World("client", Detects(prints="lost"))
    world.flows.watch(world.shakes_hands(100, 40001), 150)
    world.segment(400, "client", "FA", 40001)
    assert (world.found, world.flows.left_ns) == ([], 400)


def test_a_client_that_connects_anew() -> None:
    """To whatever port: its SYN says that it has noticed, its next segment that the new connection stands."""
    world = World("client")
    world.flows.watch(world.shakes_hands(100, 40001), 150)
    world.shakes_hands(500, 40002, server_port=9)
    assert world.found == [("reconnect", f"a SYN to {SERVER}, port 9", 500)]
    assert world.emitted == [("subject.reconnected", 502)]
