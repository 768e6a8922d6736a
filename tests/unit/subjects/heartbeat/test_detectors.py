"""Each design by its own clock: when it asks, when it gives up, and the published bounds from a
fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.programs import (
    AnyHeartbeat,
    IdleState,
    IdleTimer,
    Reaper,
    Separate,
    Simple,
    Urgent,
)
from harness.subjects.heartbeat import detectors
from harness.subjects.heartbeat.detectors import NS, Action, Detector, Watchdog
from harness.subjects.heartbeat.register import Register


def made(design: AnyHeartbeat, role: detectors.Role = "client") -> Detector:
    """The detector of a design, begun at 0."""
    values: Mapping[str, Any] = msgspec.to_builtins(design)
    detector = detectors.make(values, role) or Looking(design)
    detector.begin(0)
    return detector


class Looking:
    """A reaper with one connection, as a detector."""

    def __init__(self, design: AnyHeartbeat) -> None:
        assert isinstance(design, Reaper)
        self.register: Register[str] = Register(round(design.silence_s * NS))
        self.poll_ns = round(design.poll_s * NS)
        self.due_ns = 0

    def begin(self, now_ns: int) -> None:
        """Looks from now on."""
        self.received(now_ns)
        self.due_ns = now_ns + self.poll_ns

    def received(self, now_ns: int, *, urgent: bool = False) -> None:  # noqa: ARG002
        """It is active."""
        self.register.touch("it", now_ns)

    def wrote(self, now_ns: int) -> None:
        """No matter."""

    def waited(self, took_ns: int) -> None:
        """It sends nothing by itself."""

    def tick(self, now_ns: int) -> Action:
        """Look."""
        self.due_ns += self.poll_ns
        return "give-up" if list(self.register.expired(now_ns)) else "wait"

    def found(self, now_ns: int) -> str:  # noqa: ARG002
        """In words."""
        return ""


def course(detector: Detector, until_s: float = 1000) -> list[tuple[float, Action]]:
    """What it does by itself when nothing comes, with when in seconds."""
    done = []
    while detector.due_ns <= until_s * NS:
        now_ns = detector.due_ns
        action = detector.tick(now_ns)
        done.append((now_ns / NS, action))
        if action == "give-up":
            break
    return done


@pytest.mark.parametrize("design", [Simple(), Separate()])
def test_simple_and_separate(design: AnyHeartbeat) -> None:
    """The client: T1 = 60, T2 = 10, three misses, dead at the fourth.

    The server one interval later.
    """
    assert course(made(design)) == [(60, "beat"), (70, "beat"), (80, "beat"), (90, "give-up")]
    assert course(made(design, "server")) == [
        (70, "wait"),
        (80, "wait"),
        (90, "wait"),
        (100, "give-up"),
    ]


def test_any_input_sets_count_and_timer_back() -> None:
    """As if it had just begun."""
    detector = made(Simple())
    for at_s in (60, 70, 80):
        assert detector.tick(at_s * NS) == "beat"
    detector.received(85 * NS)
    assert course(detector) == [(145, "beat"), (155, "beat"), (165, "beat"), (175, "give-up")]
    assert detector.found(175 * NS) == "3 heartbeats unanswered, nothing received for 90.000 s"


def test_output_does_not() -> None:
    """A send says nothing about the peer."""
    detector = made(Simple())
    detector.wrote(59 * NS)
    assert course(detector)[0] == (60, "beat")


def test_urgent() -> None:
    """Only the count is set back, and only by an urgent octet."""
    detector = made(Urgent())
    assert course(detector, 3) == [(1, "beat"), (2, "beat"), (3, "beat")]
    detector.received(round(3.5 * NS), urgent=True)
    detector.received(round(3.6 * NS))
    detector.wrote(round(3.7 * NS))
    assert course(detector) == [*((at_s, "beat") for at_s in (4, 5, 6, 7, 8)), (9, "give-up")]
    assert detector.found(9 * NS) == "5 heartbeats unanswered, no urgent octet for 5.500 s"
    assert course(made(Urgent(), "server"))[-2:] == [(5, "wait"), (6, "give-up")]


def test_an_urgent_octet_does_not_count_for_an_interval_that_was_over() -> None:
    """Though it is read before the timer is served: the count begins with the interval in which it
    came.
    """
    detector = made(Urgent(), "server")
    detector.received(round(1.01 * NS), urgent=True)
    assert course(detector)[-1] == (7, "give-up")
    detector.begin(0)
    detector.received(round(0.99 * NS), urgent=True)
    assert detector.tick(NS) == "wait"


def test_idle_timer() -> None:
    """A beat after 25 s without traffic either way, five of them 5 s apart: 50 s from the last
    activity.
    """
    detector = made(IdleTimer())
    beats = [(at_s, "beat") for at_s in (25, 30, 35, 40, 45)]
    assert course(detector) == [*beats, (50, "give-up")]
    detector.begin(0)
    detector.tick(25 * NS)
    detector.wrote(27 * NS)
    assert course(detector)[-1] == (77, "give-up")
    assert detector.found(77 * NS) == "5 heartbeats unanswered, nothing received for 77.000 s"


def test_idle_state() -> None:
    """Two timers: pings go by what was written, the end by what was read."""
    assert course(made(IdleState())) == [(30, "beat"), (60, "give-up")]
    detector = made(IdleState(misses=2))
    detector.wrote(20 * NS)
    assert course(detector) == [
        (50, "beat"),
        (60, "wait"),
        (80, "beat"),
        (110, "beat"),
        (120, "give-up"),
    ]
    detector = made(IdleState(misses=2))
    detector.tick(60 * NS)
    detector.received(61 * NS)
    assert course(detector)[-1] == (181, "give-up")


def test_a_reaper_looks_now_and_then() -> None:
    """And so gives up up to that much later."""
    assert course(made(Reaper(silence_s=60, poll_s=7)))[-1] == (63, "give-up")


def test_a_late_timer_does_not_make_the_next_one_late() -> None:
    """Unless that is over too: a program that stood still does not count all that it has missed at
    once.
    """
    detector = made(Simple())
    detector.tick(63 * NS)
    assert detector.due_ns == 70 * NS
    detector.tick(500 * NS)
    assert detector.due_ns == 510 * NS
    detector.waited(3 * NS)
    assert detector.due_ns == 513 * NS


# --- the bounds from the fault, as published ----------------------------------------------------

BOUNDS: list[tuple[AnyHeartbeat, AnyHeartbeat, tuple[float, float], tuple[float, float]]] = [
    (Simple(), Simple(), (30, 90), (40, 100)),
    (Separate(), Separate(), (30, 90), (40, 100)),
    (Urgent(), Urgent(), (5, 6), (4, 6)),
    (Urgent(interval_s=3, misses=2), Urgent(interval_s=3, misses=2), (6, 9), (3, 9)),
    (IdleTimer(), Reaper(), (25, 50), (35, 61)),
    (IdleState(), Reaper(), (30, 60), (30, 61)),
    (IdleState(misses=3), Reaper(), (150, 180), (30, 61)),
]
"""Client, server, and (best, worst] of each in seconds from the fault."""


def noticed_ns(client: Detector, server: Detector, fault_ns: int) -> list[int]:
    """When each gives up; a beat arrives and is answered in no time up to the fault, and not after
    it.
    """
    given_up: dict[Detector, int] = {}
    while len(given_up) < 2:
        detector = min(
            (each for each in (client, server) if each not in given_up),
            key=lambda each: each.due_ns,
        )
        now_ns = detector.due_ns
        action = detector.tick(now_ns)
        if action == "give-up":
            given_up[detector] = now_ns
        elif action == "beat" and now_ns <= fault_ns:
            server.received(now_ns, urgent=True)
            client.received(now_ns, urgent=True)
    return [given_up[client], given_up[server]]


@pytest.mark.parametrize(
    ("client", "server", "client_s", "server_s"), BOUNDS, ids=lambda each: str(each)[:20]
)
@given(data=st.data())
def test_from_the_fault(
    client: AnyHeartbeat,
    server: AnyHeartbeat,
    client_s: tuple[float, float],
    server_s: tuple[float, float],
    data: st.DataObject,
) -> None:
    """Within (best, worst], wherever the timers of the two are when it sets in."""
    ends = made(client), made(server, "server")
    late_ns = data.draw(st.integers(0, 900_000_000), "the server begins later")
    fault_ns = data.draw(st.integers(late_ns, 500 * NS), "fault_ns")
    ends[1].begin(late_ns)
    for found_ns, (best_s, worst_s) in zip(
        noticed_ns(*ends, fault_ns), (client_s, server_s), strict=True
    ):
        assert best_s * NS < found_ns - fault_ns <= worst_s * NS


# --- what is needed for a reconnection ----------------------------------------------------------


def test_the_watchdog_goes_round_and_takes_its_time() -> None:
    """Beginning with the one after the lost one.

    Twice as long after each failure, up to a limit.
    """
    dog = Watchdog(("server", "router", "spare"), 1 * NS, 5 * NS)
    assert dog.lost("server") == 1 * NS
    assert dog.following() == "router"
    assert [dog.failed() // NS for _ in range(4)] == [2, 4, 5, 5]
    assert [dog.following() for _ in range(3)] == ["spare", "server", "router"]
    assert dog.lost("router") == 1 * NS
    assert dog.following() == "spare"


def test_the_watchdog_begins_with_the_first_where_the_lost_one_is_not_listed() -> None:
    """And goes round even where there is but one; the first wait is within the limit too."""
    dog = Watchdog(("router",), 10 * NS, 5 * NS)
    assert dog.lost("server") == 5 * NS
    assert [dog.following(), dog.following()] == ["router", "router"]
