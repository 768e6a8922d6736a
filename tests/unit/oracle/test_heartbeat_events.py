"""Events and marks: frozen values that a zone tells apart."""

from __future__ import annotations

import pytest

from harness.oracle.difference_bounds import Zone
from harness.oracle.heartbeat_events import (
    ARMED,
    FLOW_EXPIRES,
    LAST_READ,
    NOW,
    Arrives,
    Begins,
    Ends,
    Paused,
    PingDue,
    Point,
    Repeats,
    TimerExpires,
    Unacknowledged,
    Writes,
    is_of_program,
)


def test_events_of_different_kinds_are_different_names() -> None:
    """Also where their fields are the same."""
    points: list[Point] = [
        ARMED,
        NOW,
        LAST_READ,
        FLOW_EXPIRES,
        *(kind("client") for kind in (TimerExpires, PingDue, Repeats, Unacknowledged)),
        Paused(TimerExpires("client")),
        Paused(PingDue("client")),
        *(kind("client", 0) for kind in (Writes, Arrives)),
        *(kind(0) for kind in (Begins, Ends)),
    ]
    assert len(set(points)) == len(points)
    assert TimerExpires("client") == TimerExpires("client")


def test_a_zone_finds_an_event_by_its_value() -> None:
    """Not by which object it is."""
    zone: Zone[Point] = Zone.of(ARMED)
    zone = zone.with_moment(Arrives("server", 1), ARMED, 3, 5)
    assert zone.bounds(Arrives("server", 1), ARMED) == (3, 5)


@pytest.mark.parametrize(
    ("point", "ends"),
    [
        (TimerExpires("client"), True),
        (Writes("client", 0), True),
        (Repeats("client"), True),
        (Unacknowledged("client"), True),
        (Paused(PingDue("client")), True),
        (TimerExpires("server"), False),
        (Paused(PingDue("server")), False),
        (Arrives("client", 0), False),
        (Begins(0), False),
        (ARMED, False),
    ],
)
def test_what_ends_with_a_program(point: Point, *, ends: bool) -> None:
    """Its own timers and what its TCP repeats; not what is on its way to it."""
    assert is_of_program(point, "client") == ends
