"""The questions that rules ask."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.oracle.prediction import Settings
from harness.policy import answers
from harness.policy.settings import EVERY_HZ
from tests.unit.policy.policies import checked
from tests.unit.strategies import sweep

OFF = Settings(keepalive=False)


@sweep(8, exhaustively=200)
@given(
    st.one_of(st.integers(50, 30_000), st.integers(100_000, 300_000)),
    st.sampled_from(EVERY_HZ),
)
def test_the_bounds_of_data_in_flight_hold_its_window(user_timeout_ms: int, hz: int) -> None:
    """What is cheap to know is never sharper than what the oracle computes in full."""
    settings = Settings(keepalive=False, user_timeout_ms=user_timeout_ms)
    bounds, exact = answers.in_flight_bounds(settings, hz), answers.given_up(user_timeout_ms, hz)
    assert bounds.low_ns <= exact.low_ns
    assert exact.high_ns <= bounds.high_ns


@pytest.mark.parametrize("retries2", [1, 4, 8, 9, 10])
def test_the_bounds_hold_for_another_tcp_retries2(retries2: int) -> None:
    """The last timeout may begin just before the limit."""
    settings = Settings(keepalive=False, retries2=retries2)
    for hz in EVERY_HZ:
        bounds, exact = answers.in_flight_bounds(settings, hz), answers.given_up(0, hz, retries2)
        assert bounds.low_ns <= exact.low_ns
        assert exact.high_ns <= bounds.high_ns


@sweep(12, exhaustively=300)
@given(st.integers(1, 20), st.integers(0, 300), st.sampled_from(EVERY_HZ))
def test_an_outage_is_survived_in_flight_where_the_oracle_says_so(
    outage_s: int, more: int, hz: int
) -> None:
    """What is decided without computing it is decided right."""
    user_timeout_ms = outage_s * (900 + 5 * more)
    outage_ns = outage_s * answers.SECOND_NS
    settings = Settings(keepalive=False, user_timeout_ms=user_timeout_ms)
    survived = answers.survives_in_flight(settings, hz, outage_ns)
    assert survived == answers.delivered(user_timeout_ms, hz, outage_ns)


def test_without_keepalive_there_is_no_answer() -> None:
    """No probe, and no end."""
    assert answers.idle(OFF, 250) is None


def test_the_usual_end_of_retransmissions_is_known_without_computing_it() -> None:
    """An outage of ten minutes is survived, one of half an hour is not."""
    assert answers.survives_in_flight(OFF, 250, 600 * answers.SECOND_NS)
    assert not answers.survives_in_flight(OFF, 250, 1800 * answers.SECOND_NS)


@pytest.mark.parametrize(
    "keys",
    [
        {"user_timeout_s": 7200, "detect_in_flight_within_s": 7203},
        {"user_timeout_s": 7200, "survive_s": 7100},
        {"user_timeout_s": 30000, "detect_in_flight_within_s": 30003},
    ],
)
def test_what_takes_minutes_to_compute_is_refused(keys: dict[str, Any]) -> None:
    """Where bounds do not decide about a long user timeout."""
    result = checked(**keys)
    assert result.exit_status == 3
    assert result.unanswered
    assert all("too long to be followed" in each.why for each in result.unanswered)


def test_a_long_user_timeout_is_answered_where_bounds_decide() -> None:
    """Well above and well below."""
    assert checked(user_timeout_s=7200, detect_in_flight_within_s=7220).exit_status == 0
    assert checked(user_timeout_s=7200, detect_in_flight_within_s=7000).exit_status == 1
    assert checked(user_timeout_s=7200, survive_s=6000).exit_status == 0
