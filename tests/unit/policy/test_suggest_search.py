"""The search for the settings with the least probe traffic, compared with trying all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.oracle.idle_bounds import bounds
from harness.oracle.prediction import Settings
from harness.policy.settings import EVERY_HZ
from harness.policy.suggest_search import Found, Needs, UserTimeouts, is_possible, least_traffic
from tests.unit.strategies import sweep

SECOND_NS = 1_000_000_000
MOST_END_S = 14
"""So few seconds that all settings that end within can be tried."""


def user_timeouts() -> st.SearchStrategy[UserTimeouts]:
    """Whole seconds, or halves."""
    return st.builds(
        lambda least, more, grid: UserTimeouts(least * grid, (least + more) * grid, grid),
        st.integers(1, 10),
        st.integers(0, 10),
        st.sampled_from((500, 1000)),
    )


def needs() -> st.SearchStrategy[Needs]:
    """With an end soon enough for all settings to be tried."""
    return st.builds(
        Needs,
        hz=st.lists(st.sampled_from(EVERY_HZ), min_size=1, max_size=2, unique=True).map(tuple),
        silence_ns=st.none() | st.integers(SECOND_NS, MOST_END_S * SECOND_NS),
        end_ns=st.integers(2 * SECOND_NS, MOST_END_S * SECOND_NS),
        outage_ns=st.just(0) | st.integers(1, 9 * SECOND_NS),
        patience_ns=st.just(0) | st.integers(1, 9 * SECOND_NS),
        user_timeouts=st.none() | user_timeouts(),
    )


def every(wanted: Needs) -> Iterator[Found]:
    """All settings that meet the needs, found by trying."""
    for idle_s in range(1, MOST_END_S):
        for interval_s in range(1, idle_s + 1):
            for count in range(2, (MOST_END_S - idle_s) // interval_s + 1):
                found = Found(idle_s, interval_s, count)
                if all(_does(wanted, found, hz) for hz in wanted.hz):
                    yield from _with_user_timeout(wanted, found)


def _does(wanted: Needs, found: Found, hz: int) -> bool:
    does = bounds(_settings(found), hz)
    return (
        (wanted.silence_ns is None or does.first_probe_ns[1] < wanted.silence_ns)
        and (wanted.end_ns is None or does.end_ns[1] <= wanted.end_ns)
        and does.outage_ns >= wanted.outage_ns
        and does.end_ns[0] >= wanted.patience_ns
    )


def _with_user_timeout(wanted: Needs, found: Found) -> Iterator[Found]:
    allowed = wanted.user_timeouts
    if allowed is None:
        yield found
        return
    for timeout_ms in range(allowed.least_ms, allowed.most_ms + 1, allowed.grid_ms):
        one = Found(found.idle_s, found.interval_s, found.count, timeout_ms)
        if all(bounds(_settings(one), hz) == bounds(_settings(found), hz) for hz in wanted.hz):
            yield one


def _settings(found: Found) -> Settings:
    return Settings(
        idle_s=found.idle_s,
        interval_s=found.interval_s,
        count=found.count,
        user_timeout_ms=found.user_timeout_ms,
    )


@sweep(25, exhaustively=1500)
@given(needs())
def test_nothing_that_meets_the_needs_has_less_traffic(wanted: Needs) -> None:
    """Where nothing is found there is nothing."""
    best = max(
        every(wanted),
        key=lambda each: (each.idle_s, -each.count, each.interval_s, each.user_timeout_ms),
        default=None,
    )
    assert least_traffic(wanted) == best
    assert is_possible(wanted) == (best is not None)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Needs(hz=EVERY_HZ, silence_ns=350 * SECOND_NS), Found(317, 317, 2)),
        (Needs(hz=EVERY_HZ, end_ns=120 * SECOND_NS), Found(107, 3, 2)),
        (Needs(hz=EVERY_HZ), Found(32767, 32767, 2)),
        (Needs(hz=EVERY_HZ, end_ns=2 * SECOND_NS), None),
        (Needs(hz=EVERY_HZ, silence_ns=SECOND_NS), None),
        (
            Needs(hz=EVERY_HZ, end_ns=120 * SECOND_NS, outage_ns=20 * SECOND_NS),
            Found(93, 1, 21),
        ),
    ],
)
def test_known_answers(wanted: Needs, found: Found | None) -> None:
    """Of long times, which cannot all be tried."""
    assert least_traffic(wanted) == found
