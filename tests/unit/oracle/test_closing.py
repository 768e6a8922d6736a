from __future__ import annotations

import pytest

from harness.oracle import closing
from harness.oracle.prediction import Machine

HZ1000 = Machine(hz=1000)


def test_an_orphan_goes_by_itself_and_a_shut_socket_tells() -> None:
    """Only a program that still holds the socket hears of it, and much later."""
    orphan, owned = closing.fin_wait1(HZ1000), closing.fin_wait1(HZ1000, orphan=False)
    assert (orphan.over_ns, orphan.errno) == ((104_152_000_000, 108_248_000_000), None)
    assert (owned.over_ns, owned.errno) == ((947_928_000_000, 952_024_000_000), "ETIMEDOUT")


@pytest.mark.parametrize(
    ("retries", "user_timeout_ms", "measured_s"),
    [(0, 0, 105.923), (3, 0, 6.595), (3, 0, 6.615), (0, 6000, 6.4725)],
)
def test_measured_ends_of_orphans_lie_in_the_window(
    retries: int, user_timeout_ms: int, measured_s: float
) -> None:
    """As a guest of HZ=1000 was seen to drop them."""
    least, most = closing.fin_wait1(HZ1000, user_timeout_ms, retries).over_ns
    assert least <= measured_s * 1e9 <= most


@pytest.mark.parametrize(
    ("fin_timeout_s", "window_s"),
    [
        (20, (20.0, 20.512)),
        (60, (60.0, 64.096)),
        (61, (2.024, 2.088)),
        (90, (60.208, 60.72)),
        (120, (121.44, 125.536)),
    ],
)
def test_beyond_60_s_a_fin_timeout_is_twice_the_rest(
    fin_timeout_s: int, window_s: tuple[float, float]
) -> None:
    """All of these were measured: 61 s are 2 s."""
    assert closing.fin_wait2(HZ1000, fin_timeout_s).over_ns == tuple(
        round(end * 1e9) for end in window_s
    )


def test_time_wait_is_rounded_up_as_all_timers() -> None:
    """60 s lie in a bucket of 4.096 s."""
    assert closing.time_wait(HZ1000).over_ns == (60_000_000_000, 64_096_000_000)
