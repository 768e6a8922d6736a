"""The time axis: true to scale where something happens, folded where nothing does."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from harness.report.figure.axis import FOLD_WIDTH, Axis

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
MOMENTS = st.lists(st.integers(0, 10 * HOUR), min_size=1, max_size=30)


def test_true_to_scale() -> None:
    """Without long silence, pixels are in proportion to time."""
    axis = Axis([0, SECOND, 4 * SECOND], 100, 500)
    assert not axis.folds
    assert [axis.x(t * SECOND) for t in (0, 1, 2, 4)] == [100, 200, 300, 500]


def test_long_silence_is_folded() -> None:
    """Two hours without an event take as much room as any fold, and say how long they are."""
    probes = [2 * HOUR + number * 75 * SECOND for number in range(10)]
    axis = Axis([0, SECOND, *probes], 100, 700)
    (fold,) = axis.folds
    assert 0.95 * 2 * HOUR < fold.length_ns < 2 * HOUR
    assert axis.x(probes[0]) - axis.x(SECOND) < FOLD_WIDTH + 60
    assert axis.x(fold.from_ns) == fold.left
    gaps = {round(axis.x(b) - axis.x(a), 6) for a, b in itertools.pairwise(probes)}
    assert len(gaps) == 1


def test_nothing_is_folded_where_something_happens() -> None:
    """Regular traffic for hours is no silence."""
    assert not Axis(range(0, 2 * HOUR, 30 * SECOND), 0, 600).folds


def test_one_moment() -> None:
    """A run in which all happened at once has an axis."""
    assert Axis([5], 100, 500).x(5) == 100
    assert Axis([], 100, 500).ticks(0)


@given(MOMENTS)
def test_order_is_kept(moments: list[int]) -> None:
    """What is later is not further to the left, and nothing is beyond the edges."""
    axis = Axis(moments, 100, 700)
    places = [axis.x(t_ns) for t_ns in sorted(moments)]
    assert places == sorted(places)
    assert places[0] >= 100
    assert places[-1] <= 700.001


@given(MOMENTS, st.integers(0, 10 * HOUR))
def test_labels_are_apart_and_true(moments: list[int], zero_ns: int) -> None:
    """Labels of ticks do not touch, and each stands at its time."""
    axis = Axis(moments, 100, 700)
    ticks = axis.ticks(zero_ns)
    assert ticks
    for (x, label), (following, other) in itertools.pairwise(ticks):
        assert following - x > 3.5 * (len(label) + len(other))
    for x, label in ticks:
        assert abs(axis.x(zero_ns + round(float(label) * SECOND)) - x) < 1
