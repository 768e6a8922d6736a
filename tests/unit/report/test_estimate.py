"""How long work takes, in words and in figures."""

from __future__ import annotations

import pytest

from harness.report import estimate


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1.0, "0 s"),
        (0.4, "0 s"),
        (34.0, "34 s"),
        (60.0, "1 min"),
        (130.0, "2 min 10 s"),
        (3600.0, "1 h"),
        (3905.0, "1 h 5 min"),
        (1_000_000.0, "11 d 13 h"),
        (86_430.0, "1 d"),
    ],
)
def test_at_most_two_units(seconds: float, words: str) -> None:
    """Neighbours, without what is 0."""
    assert estimate.rough(seconds) == words


def test_the_rest_takes_as_long_as_what_is_done() -> None:
    """Nothing is known before a step is done, or in the first second."""
    assert estimate.by_steps(0, 10, 30.0) is None
    assert estimate.by_steps(5, 10, 0.5) is None
    assert estimate.by_steps(2, 10, 30.0) == 120.0
    assert estimate.by_steps(10, 10, 30.0) == 0.0


@pytest.mark.parametrize(
    ("running_s", "waiting_s", "at_once", "left_s"),
    [
        ([], [], 3, 0.0),
        ([5.0, 8.0], [], 2, 8.0),
        ([5.0, 8.0], [4.0], 2, 9.0),
        ([5.0, 8.0], [4.0], 3, 8.0),
        ([1.0], [10.0, 10.0, 10.0], 1, 31.0),
        ([5.0, 8.0, 9.0], [], 2, 9.0),
    ],
)
def test_those_that_wait_take_the_place_of_the_first_that_ends(
    running_s: list[float], waiting_s: list[float], at_once: int, left_s: float
) -> None:
    """In real time."""
    assert estimate.in_real_time(running_s, waiting_s, at_once) == left_s
