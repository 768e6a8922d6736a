"""Which user timeouts meet what is demanded of data in flight."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.policy.answers import SECOND_NS
from harness.policy.settings import EVERY_HZ
from harness.policy.suggest_search import UserTimeouts
from harness.policy.suggest_user_timeout import MOST_MS, Certainty, InFlight
from tests.unit.policy.policies import checked
from tests.unit.strategies import sweep


def timeouts(certainty: Certainty, **keys: float) -> tuple[int, int] | None:
    """In whole seconds, at HZ=100 and 1000."""
    wanted = InFlight(hz=(100, 1000), **{key: round(of * SECOND_NS) for key, of in keys.items()})
    found = wanted.timeouts(1000, certainty)
    return None if found is None else (found.least_ms // 1000, found.most_ms // 1000)


@sweep(8, exhaustively=200)
@given(st.integers(3, 60), st.integers(0, 12), st.sampled_from(EVERY_HZ))
def test_the_exact_ones_are_those_that_the_check_passes(
    within_s: int, outage_s: int, hz: int
) -> None:
    """All of these. Those that are sure are among them, and they are among those hoped for."""
    wanted = InFlight(hz=(hz,), within_ns=within_s * SECOND_NS, outage_ns=outage_s * SECOND_NS)
    sure, exact, hoped = (wanted.timeouts(1000, each) for each in ("sure", "exact", "hoped"))
    demands = {"detect_in_flight_within_s": within_s, "survive_s": outage_s or None, "hz": [hz]}
    passing = [
        timeout_s
        for timeout_s in range(1, within_s + 1)
        if checked(user_timeout_s=timeout_s, **demands).exit_status == 0
    ]
    assert passing == _seconds(exact)
    assert set(_seconds(sure)) <= set(passing) <= set(_seconds(hoped))


def _seconds(found: UserTimeouts | None) -> list[int]:
    if found is None:
        return []
    return list(range(found.least_ms // 1000, found.most_ms // 1000 + 1))


def test_without_an_end_all_long_ones_do() -> None:
    """And without an outage all short ones."""
    assert timeouts("sure", outage_ns=20) == (29, MOST_MS // 1000)
    assert timeouts("sure", within_ns=30) == (1, 29)
    assert timeouts("sure", within_ns=30, outage_ns=60) is None


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (InFlight(hz=(250,)), True),
        (InFlight(hz=(250,), within_ns=1200 * SECOND_NS), True),
        (InFlight(hz=(250,), within_ns=900 * SECOND_NS), False),
        (InFlight(hz=(250,), outage_ns=300 * SECOND_NS), True),
        (InFlight(hz=(250,), outage_ns=1000 * SECOND_NS), False),
    ],
)
def test_retransmissions_alone_may_be_enough(wanted: InFlight, expected: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """They end after 16 minutes."""
    assert wanted.needs_none("sure") == expected
    assert wanted.needs_none() == expected


def test_one_is_chosen_within_limits() -> None:
    """The longest, in whole steps."""
    some = UserTimeouts(2000, 9000, 1000)
    assert some.within(2500, 7500) == 7000
    assert some.within(0, 99_999) == 9000
    assert some.within(7100, 7900) is None
    assert some.within(10_000, 12_000) is None
