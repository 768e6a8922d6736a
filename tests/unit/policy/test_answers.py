"""The questions that rules ask."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.oracle.prediction import Settings
from harness.policy import answers
from harness.policy.settings import EVERY_HZ
from tests.unit.strategies import sweep

OFF = Settings(keepalive=False)


@sweep(6, exhaustively=200)
@given(st.integers(50, 30_000), st.sampled_from(EVERY_HZ))
def test_the_bounds_of_data_in_flight_hold_its_window(user_timeout_ms: int, hz: int) -> None:
    """What is cheap to know is never sharper than what the oracle computes in full."""
    settings = Settings(keepalive=False, user_timeout_ms=user_timeout_ms)
    bounds, exact = answers.in_flight_bounds(settings, hz), answers.given_up(user_timeout_ms, hz)
    assert bounds.low_ns <= exact.low_ns
    assert exact.high_ns <= bounds.high_ns


def test_without_keepalive_there_is_no_answer() -> None:
    """No probe, no detection, no end of silence, and every outage survived."""
    assert answers.detection(OFF, 250) is None
    assert answers.first_probe(OFF, 250) is None
    assert answers.silence(OFF, 250) is None
    assert answers.last_probe(OFF, 250) is None
    assert answers.survives(OFF, 250, 10**12)


def test_the_silence_of_an_interval_longer_than_the_idle_time_is_between_two_probes() -> None:
    """After an answered probe the next one comes an interval later: 61.44 s at HZ=100."""
    found = answers.silence(Settings(idle_s=5, interval_s=60), 100)
    assert found is not None
    assert found.high_ns == 65_120_000_000


def test_the_last_of_very_many_probes_is_known() -> None:
    """Predictions list 32 probes; the last of 120 is one interval before the end."""
    settings = Settings(idle_s=10, interval_s=5, count=120)
    last_ns, found = answers.last_probe(settings, 1000), answers.detection(settings, 1000)
    assert last_ns is not None
    assert found is not None
    assert found.window.low_ns - last_ns == 5_120_000_000
