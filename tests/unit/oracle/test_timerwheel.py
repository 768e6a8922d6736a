"""timerwheel against the kernel's own data structure, played through bucket by bucket."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.oracle import timerwheel
from tests.unit.strategies import PATIENT

LVL_DEPTH = 9
LVL_BITS = 6
LVL_SIZE = 1 << LVL_BITS
LVL_MASK = LVL_SIZE - 1
LVL_CLK_SHIFT = 3
LVL_CLK_MASK = (1 << LVL_CLK_SHIFT) - 1


class Wheel:
    """struct timer_base of kernel/time/timer.c, one CPU's: an array of buckets and a clock.

    Names and steps are the kernel's; it holds the requested expiry and the clock at arming of each
    timer.
    """

    def __init__(self, clk: int) -> None:
        self.clk = clk
        self.vectors: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self.fired: dict[tuple[int, int], int] = {}

    def enqueue(self, expires: int) -> None:
        """internal_add_timer."""
        self.vectors[self.calc_wheel_index(expires)].append((expires, self.clk))

    def calc_wheel_index(self, expires: int) -> int:
        """The bucket: the level whose span holds the distance, and the index rounded up within
        it.
        """
        delta = expires - self.clk
        assert delta >= 0
        for lvl in range(LVL_DEPTH):
            if delta < (LVL_SIZE - 1) << (lvl * LVL_CLK_SHIFT):
                return lvl * LVL_SIZE + (((expires >> (lvl * LVL_CLK_SHIFT)) + 1) & LVL_MASK)
        pytest.fail("beyond the wheel's capacity, where keepalive cannot reach")

    def run(self) -> None:
        """__run_timers with collect_expired_timers: this jiffy's buckets of all levels, then the
        clock goes on.
        """
        now = clk = self.clk
        self.clk += 1
        for lvl in range(LVL_DEPTH):
            for timer in self.vectors.pop(lvl * LVL_SIZE + (clk & LVL_MASK), []):
                self.fired[timer] = now
            if clk & LVL_CLK_MASK:
                break
            clk >>= LVL_CLK_SHIFT

    def run_until_empty(self, *, skipping: bool) -> dict[tuple[int, int], int]:
        """Jiffy by jiffy; `skipping`: not through jiffies in which only levels without timers are
        looked at.
        """
        while any(self.vectors.values()):
            if skipping:
                lowest = min(index // LVL_SIZE for index, timers in self.vectors.items() if timers)
                step = 1 << (lowest * LVL_CLK_SHIFT)
                self.clk = -(-self.clk // step) * step
            self.run()
        return self.fired


clocks = st.integers(0, 1 << 40)
near_a_level = st.builds(
    lambda lvl, off: max(0, (63 << (3 * lvl)) + off), st.integers(0, 6), st.integers(-2, 2)
)
"""Distances at which the level changes, and their neighbours."""


@PATIENT
@given(
    clock=clocks,
    distances=st.lists(st.integers(0, 5000) | st.integers(0, 70), min_size=1, max_size=5),
)
def test_fires_when_the_kernels_buckets_are_reached_jiffy_by_jiffy(
    clock: int, distances: list[int]
) -> None:
    """A timer fires at the jiffy at which the advancing clock comes to the bucket it was put
    into.
    """
    wheel = Wheel(clock)
    for distance in distances:
        wheel.enqueue(clock + distance)
    for (expires, armed_at), fired_at in wheel.run_until_empty(skipping=False).items():
        assert timerwheel.fire(expires, armed_at) == fired_at


@PATIENT
@given(
    clock=clocks,
    distances=st.lists(st.integers(0, 33_000_000) | near_a_level, min_size=1, max_size=9),
)
def test_fires_when_the_kernels_buckets_are_reached_on_every_level(
    clock: int, distances: list[int]
) -> None:
    """The same up to the longest time that TCP_KEEPIDLE can ask for, 32767 s at HZ=1000."""
    wheel = Wheel(clock)
    for distance in distances:
        wheel.enqueue(clock + distance)
    for (expires, armed_at), fired_at in wheel.run_until_empty(skipping=True).items():
        assert timerwheel.fire(expires, armed_at) == fired_at


@PATIENT
@given(clock=clocks, distance=st.integers(0, 33_000_000) | near_a_level)
def test_a_timer_is_late_by_one_jiffy_to_one_bucket(clock: int, distance: int) -> None:
    """Never early, never in the jiffy asked for, and at most a bucket's width after it."""
    late = timerwheel.fire(clock + distance, clock) - (clock + distance)
    assert 1 <= late <= timerwheel.granularity(distance)


@pytest.mark.parametrize("number", range(8))
def test_a_level_begins_at_63_buckets_of_the_one_below(number: int) -> None:
    """LVL_START: a distance of 63 * 8**L jiffies is the first that level L no longer takes."""
    start = 63 * 8**number
    assert (timerwheel.level(start - 1), timerwheel.level(start)) == (number, number + 1)
    assert (timerwheel.granularity(start - 1), timerwheel.granularity(start)) == (
        8**number,
        8 ** (number + 1),
    )


@pytest.mark.parametrize(
    ("hz", "tick_ns"),
    [(100, 10_000_000), (250, 4_000_000), (300, 3_333_333), (1000, 1_000_000), (1024, 976_563)],
)
def test_a_tick_is_a_second_over_hz_rounded_to_nanoseconds(hz: int, tick_ns: int) -> None:
    """TICK_NSEC rounds to the nearest nanosecond, so 300 ticks are 100 ns short of a second."""
    assert timerwheel.tick_ns(hz) == tick_ns


@pytest.mark.parametrize(
    ("milliseconds", "hz", "jiffies"),
    [
        (0, 100, 0),
        (1, 100, 1),
        (10, 100, 1),
        (11, 100, 2),
        (1, 250, 1),
        (5, 250, 2),
        (1, 300, 1),
        (7, 1000, 7),
    ],
)
def test_milliseconds_become_jiffies_rounded_up(milliseconds: int, hz: int, jiffies: int) -> None:
    """msecs_to_jiffies never makes a timeout shorter than what was asked for."""
    assert timerwheel.milliseconds_to_jiffies(milliseconds, hz) == jiffies
