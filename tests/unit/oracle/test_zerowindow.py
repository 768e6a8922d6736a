from __future__ import annotations

import pytest

from harness.oracle import zerowindow
from harness.oracle.prediction import Machine

HZ1000 = Machine(hz=1000)


@pytest.mark.parametrize(
    ("answered", "retries", "end_s"), [(12, 15, 16 * 122.88), (12, 8, 9 * 53.248), (20, 15, 16 * 122.88)]
)
def test_once_backed_off_the_end_is_known_to_the_jiffy(answered: int, retries: int, end_s: float) -> None:
    """Every distance is the longest one, and every probe lies on its bucket."""
    (outcome,) = zerowindow.predict(0, HZ1000, answered, retries).outcomes
    assert outcome.window_ns == (round(end_s * 1e9) - 1, round(end_s * 1e9))
    assert outcome.probes == (retries, retries)


@pytest.mark.parametrize(
    ("user_timeout_ms", "retries", "measured_s"),
    [(0, 15, 950.881), (0, 8, 107.216), (0, 3, 3.12), (10_000, 15, 10.224), (60_000, 15, 60.488)],
)
def test_measured_ends_lie_in_the_window(user_timeout_ms: int, retries: int, measured_s: float) -> None:
    """As a guest of HZ=1000 was seen to give up, with an RTO of 205 ms."""
    found = zerowindow.predict(user_timeout_ms, Machine(hz=1000, rtt_ns=5_000_000), 0, retries)
    window_ns = found.outcomes[0].window_ns
    assert window_ns is not None
    assert window_ns[0] <= measured_s * 1e9 <= window_ns[1]


def test_a_user_timeout_does_not_care_about_answers() -> None:
    """It counts from the first probe; so a number of answered ones is refused."""
    with pytest.raises(ValueError, match="answered or not"):
        zerowindow.predict(1000, HZ1000, answered=1)
