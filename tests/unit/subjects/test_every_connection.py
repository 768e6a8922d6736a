"""Each connection of a command that is watched to the end: begun, stood, closed, and looked at."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import cast

import pytest

from harness.lab.socket_table import ESTABLISHED, KEEPALIVE_TIMER, Ends, Socket
from harness.model.topology import Side, other
from harness.subjects import connection_watcher, every_connection
from harness.subjects.connection_watcher import LOOK_AGAIN_NS
from harness.subjects.every_connection import (
    MOST_PAUSE_IN_FLIGHT_NS,
    MOST_PAUSE_NS,
    EveryConnection,
)
from tests.unit.subjects.test_connection_watcher import CLIENT, EVERY_WAY, SERVER, World

SECOND = 1_000_000_000


class Everything(World):
    """A host whose socket is asked for by any connection, and a clock that a test sets."""

    def __init__(self, side: Side) -> None:
        super().__init__(side, EVERY_WAY, EveryConnection)
        self.now_ns = 0
        self.gives_up_ns: int | None = None
        """When its kernel gives up, where it awaits an answer; and when its timer is due."""
        self.due_ns = 0
        self.every = cast("EveryConnection", self.watcher)

    def find(self, _: Ends) -> Socket | None:
        """As of a socket table."""
        return self.socket

    def looks_until(self, end_ns: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """Let time pass; the moments at which the socket was looked at."""
        looked: list[int] = []

        def find(_: Ends) -> Socket | None:
            looked.append(self.now_ns)
            if self.gives_up_ns is None:
                return self.socket
            due_ms = max(0, self.due_ns - self.now_ns) // 1_000_000
            probed = Socket(ESTABLISHED, 1, 2, 0, 1, KEEPALIVE_TIMER, retries=3, expires_ms=due_ms)
            return probed if self.now_ns < self.gives_up_ns else None

        monkeypatch.setattr(self, "find", find)
        while self.looks and min(self.looks, key=_moment)[0] <= end_ns:
            due = min(self.looks, key=_moment)
            self.looks.remove(due)
            self.now_ns = due[0]
            due[1]()
        self.now_ns = end_ns
        return looked


def _moment(due: tuple[int, Callable[[], object]]) -> int:
    return due[0]


@pytest.fixture(params=["client", "server"])
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Everything:
    """Watched from either side."""
    found = Everything(request.param)
    clock = type("Clock", (), {"monotonic_ns": staticmethod(lambda: found.now_ns)})
    monkeypatch.setattr(connection_watcher, "time", clock)
    monkeypatch.setattr(every_connection, "time", clock)
    found.has_socket(ESTABLISHED)
    return found


def test_each_connection_that_is_closed_is_told_once(world: Everything) -> None:
    """The watched one and those that stood later; what comes after the first sign is no news."""
    world.watcher.watch(world.shakes_hands(100, 40001), 150)
    world.shakes_hands(200, 40002)
    world.found.clear()
    for port in (40001, 40002):
        world.segment(300 + port, world.side, "FA", port)
        world.segment(301 + port, world.side, "RA", port)
        world.segment(302 + port, other(world.side), "R", port)
    assert world.found == [("close", "FIN sent", 40301), ("close", "FIN sent", 40302)]


def test_a_later_connection_stands_with_the_clients_segment(world: Everything) -> None:
    """Of a server, too, which has nothing to send.

    A SYN is a sign of the client alone.
    """
    world.watcher.watch(world.shakes_hands(100, 40001), 150)
    second = world.shakes_hands(500, 40002)
    assert world.emitted == [("subject.reconnected", 502)]
    signs = [("reconnect", f"a SYN to {SERVER}, port 7000", 500)]
    assert world.found == (signs if world.side == "client" else [])
    assert world.every.known == (world.watcher.watched, second)


def test_an_attempt_that_fails_is_a_sign_and_no_connection(world: Everything) -> None:
    """Nobody answers its SYN."""
    world.watcher.watch(world.shakes_hands(100, 40001), 150)
    world.segment(500, "client", "S", 40002)
    world.segment(501, "server", "RA", 40002)
    assert not world.emitted
    assert len(world.every.known) == 1
    assert [how for how, *_ in world.found] == (["reconnect"] if world.side == "client" else [])


def test_looks_become_rare_while_nothing_happens(
    world: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every 0.1 s at first, every hundredth of the time after that; within limits."""
    world.watcher.watch(world.shakes_hands(0, 40001), 0)
    looked = world.looks_until(7200 * SECOND, monkeypatch)
    pauses = [late - early for early, late in pairwise(looked)]
    assert looked[0] == LOOK_AGAIN_NS
    assert pauses[0] == LOOK_AGAIN_NS
    assert max(pauses) == MOST_PAUSE_NS
    assert len(looked) < 2000


def test_data_on_its_way_is_looked_at_more_often(
    world: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its kernel gives up without a segment."""
    world.socket = Socket(ESTABLISHED, 1, 2, queue=0, inode=1, unsent=9)
    world.watcher.watch(world.shakes_hands(0, 40001), 0)
    looked = world.looks_until(1000 * SECOND, monkeypatch)
    assert max(late - early for early, late in pairwise(looked)) == MOST_PAUSE_IN_FLIGHT_NS


def test_a_kernel_gives_up_when_its_timer_expires(
    world: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or up to some seconds later. From when it is due it is looked at often, not before."""
    world.watcher.watch(world.shakes_hands(0, 40001), 0)
    world.looks_until(1000 * SECOND, monkeypatch)
    due_ns = world.due_ns = world.now_ns + 8 * SECOND
    world.gives_up_ns = due_ns + 2 * SECOND
    looked = world.looks_until(1020 * SECOND, monkeypatch)
    assert sum(at_ns < due_ns - SECOND // 1000 for at_ns in looked) <= 2
    assert sum(at_ns > due_ns - SECOND // 1000 for at_ns in looked) in range(20, 24)
    ((_, found, at_ns),) = world.found
    assert found == "the socket is gone"
    assert 0 <= at_ns - world.gives_up_ns <= LOOK_AGAIN_NS


def test_a_program_that_stirs_is_looked_at_soon(
    world: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is found then came after the look before: `late_ns` says how long ago that was."""
    world.watcher.watch(world.shakes_hands(0, 40001), 0)
    world.looks_until(1000 * SECOND, monkeypatch)
    world.every.stirs(world.now_ns)
    world.socket = None
    world.looks_until(1000 * SECOND + LOOK_AGAIN_NS, monkeypatch)
    assert world.found == [("close", "the socket is gone", 1000 * SECOND + LOOK_AGAIN_NS)]
    assert len(world.looks) == 1  # the one that was put off, which does nothing
    world.looks_until(2000 * SECOND, monkeypatch)
    assert not world.looks


def test_a_program_that_is_started_again_has_new_connections(world: Everything) -> None:
    """What its host sends on the old ones is not its doing."""
    world.watcher.watch(world.shakes_hands(100, 40001), 150)
    world.watcher.close()
    world.identity = 2
    world.every.reopen()
    world.segment(300, world.side, "R", 40001)
    assert not world.found
    world.watcher.handshakes.forget()
    second = world.shakes_hands(500, 40002)
    world.segment(600, world.side, "FA", 40002)
    assert world.found[-1] == ("close", "FIN sent", 600)
    assert second in world.every.known


def test_what_another_host_sends_in_its_place_says_nothing(world: Everything) -> None:
    """It has rebooted: its kernel answers with RST."""
    world.watcher.watch(world.shakes_hands(100, 40001), 150)
    world.identity = 2
    world.segment(300, world.side, "R", 40001)
    assert not world.found


def test_a_lost_first_connection_is_no_reason_to_watch_nothing(
    world: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The latest one that stands is taken in its place."""
    first, second = world.shakes_hands(100, 40001), world.shakes_hands(200, 40002)
    assert world.every.standing_one(1) == first

    monkeypatch.setattr(world, "find", lambda ends: world.socket if ends == second else None)
    assert world.every.standing_one(1) == second
    assert {CLIENT, SERVER} == {second.near[0], second.far[0]}


def test_a_connection_that_waits_to_be_accepted_is_open(
    world: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No program holds its socket yet, as none does after close(2), which changes its state."""
    world.socket = Socket(ESTABLISHED, 1, 2, queue=0, inode=0)
    world.watcher.watch(world.shakes_hands(0, 40001), 0)
    looked = world.looks_until(100 * SECOND, monkeypatch)
    assert world.found == []
    assert len(looked) < 25
