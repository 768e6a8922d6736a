"""When a command is ready: each condition is looked at until it was met, and then remembered."""

from __future__ import annotations

from harness.model.programs import Ready
from harness.subjects.readiness import Readiness

ALL = Ready(prints="^ready", listens=True)


class World:
    """What a look finds: since when the program listens, and since when its connection stands."""

    def __init__(self, ready: Ready) -> None:
        self.listened: int | None = None
        self.stood: int | None = None
        self.calmed: int | None = None
        self.readiness = Readiness(
            ready,
            7000,
            lambda: self.listened,
            lambda: self.stood,
            connection=2,
            calmed=lambda: self.calmed,
        )


def test_the_first_missing_condition_is_named() -> None:
    """In the order line, port, connection; nothing is missing once all were met."""
    world = World(ALL)
    assert world.readiness.missing(connects=True) == "a line that matches '^ready'"
    world.readiness.reads("ready", 5)
    assert world.readiness.missing(connects=True) == "it to listen at port 7000"
    world.listened = 7
    assert world.readiness.missing(connects=True) == "connection 2 to port 7000"
    assert world.readiness.missing(connects=False) == ""
    world.stood = 6
    assert world.readiness.missing(connects=True) == ""
    assert world.readiness.met_ns == 7


def test_what_was_met_stays_met() -> None:
    """Whatever a later look would find, and with the moment of the first one."""
    world = World(Ready(listens=True))
    world.listened = 3
    assert world.readiness.missing(connects=False) == ""
    for world.listened in (9, None):
        assert world.readiness.missing(connects=False) == ""
        assert world.readiness.met_ns == 3


def test_lines_up_to_the_awaited_one_are_taken() -> None:
    """Later ones are not, and none is where no line is awaited."""
    readiness = World(ALL).readiness
    assert [readiness.reads(line, at) for at, line in enumerate(("hello", "ready", "ready"))] == [
        True,
        True,
        False,
    ]
    assert readiness.met_ns == 1
    assert not World(Ready()).readiness.reads("ready", 1)


def test_another_program_gets_ready_in_its_turn() -> None:
    """What the first one had met does not count for it."""
    readiness = World(Ready(prints="^ready")).readiness
    readiness.reads("ready", 5)
    readiness.forget()
    assert (readiness.missing(connects=False), readiness.met_ns) == (
        "a line that matches '^ready'",
        0,
    )


def test_without_conditions_it_is_ready_at_once() -> None:
    """Of a client the connection is missing all the same."""
    readiness = World(Ready()).readiness
    assert readiness.missing(connects=False) == ""
    assert readiness.missing(connects=True) == "connection 2 to port 7000"


def test_the_pause_is_awaited_last() -> None:
    """Of a side that connects: there is no pause without a connection."""
    world = World(Ready(quiet_s=1.5))
    assert world.readiness.missing(connects=False) == ""
    assert world.readiness.missing(connects=True) == "connection 2 to port 7000"
    world.stood = 6
    missing = "its connection to carry no data for 1.5 s"
    assert world.readiness.missing(connects=True) == missing
    world.calmed = 9
    assert world.readiness.missing(connects=True) == ""
    assert world.readiness.met_ns == 9
