from __future__ import annotations

import pytest

from harness.oracle import handshake, timerwheel
from harness.oracle.prediction import Machine


@pytest.mark.parametrize(
    ("hz", "linear", "measured_s"),
    [(1000, 4, 133.55), (100, 0, 132.48)],
)
def test_measured_ends_lie_in_the_window(hz: int, linear: int, measured_s: float) -> None:
    """connect() to silence, as guests with Linux 7.2 and 6.1 were seen to fail."""
    (outcome,) = handshake.predict(0, Machine(hz=hz), linear).outcomes
    assert outcome.window_ns is not None
    lo, hi = outcome.window_ns
    assert lo < measured_s * 1e9 + 5_000_000
    assert measured_s * 1e9 - 5_000_000 < hi
    assert outcome.probes == (6 + linear, 6 + linear)


@pytest.mark.parametrize("hz", [100, 250, 1000])
def test_the_windows_are_those_of_all_phases_and_no_wider(hz: int) -> None:
    """Every jiffy of the wheel's period on which connect() may be called."""
    found = handshake.predict(0, Machine(hz=hz))
    tick, period = timerwheel.tick_ns(hz), timerwheel.granularity(120 * hz)
    rows = []
    for begun in range(2 * period, 3 * period):
        expiries, timeout = [timerwheel.fire(begun + hz, begun)], hz
        for repetition in range(1, 11):
            timeout = timeout if repetition <= 4 else 2 * timeout
            expiries.append(timerwheel.fire(expiries[-1] + timeout, expiries[-1] + 1))
        rows.append([((e - begun - 1) * tick, (e - begun) * tick) for e in expiries])
    (outcome,) = found.outcomes
    assert outcome.window_ns == (min(row[-1][0] for row in rows), max(row[-1][1] for row in rows))
    for place, window in enumerate(found.probe_windows_ns):
        assert window == (min(row[place][0] for row in rows), max(row[place][1] for row in rows))


@pytest.mark.parametrize(
    ("user_timeout_ms", "measured_s"),
    [
        (1500, 1.502833),
        (2000, 2.038848),
        (10_000, 10.038833),
        (61_000, 61.302833),
        (61_000, 61.174833),
        (500, 1.024),
    ],
)
def test_a_user_timeout_counts_from_the_call(user_timeout_ms: int, measured_s: float) -> None:
    """As a guest of HZ=1000 was seen to fail.

    Never before the first repetition and one jiffy more.
    """
    (outcome,) = handshake.predict(user_timeout_ms, Machine(hz=1000)).outcomes
    assert outcome.window_ns is not None
    assert outcome.window_ns[0] <= measured_s * 1e9 <= outcome.window_ns[1]
    assert outcome.window_ns[1] - outcome.window_ns[0] < 600_000_000


def test_the_reason_is_what_ends_first() -> None:
    """A user timeout beyond what the retries take decides nothing."""
    whys = [
        handshake.predict(ms, Machine(hz=1000)).outcomes[0].why for ms in (10_000, 134_000, 400_000)
    ]
    assert ["user timeout" in why for why in whys] == [True, True, False]
    assert ["tcp_syn_retries = 6" in why for why in whys] == [False, True, True]


def test_an_answered_syn_ends_it_at_once() -> None:
    """The third SYN is the second repetition."""
    silence = handshake.predict(0, Machine(hz=1000))
    (outcome,) = handshake.refused(silence, "ECONNREFUSED", 3, Machine(hz=1000)).outcomes
    assert (outcome.errno, outcome.window_ns) == ("ECONNREFUSED", silence.probe_windows_ns[1])
    with pytest.raises(ValueError, match="one of the 11 SYNs"):
        handshake.refused(silence, "EHOSTUNREACH", 12, Machine(hz=1000))


@pytest.mark.parametrize(
    ("retries", "defer_s", "acknowledged", "resent", "forgotten_s"),
    [
        (5, 0, False, 5, (63.784, 64.296)),
        (1, 0, False, 1, (3.048, 3.112)),
        (2, 30, True, 1, (63.784, 64.296)),
        (5, 10, True, 2, (63.784, 64.296)),
    ],
)
def test_a_request_is_forgotten(
    retries: int,
    defer_s: int,
    acknowledged: bool,  # noqa: FBT001 - as the table above has it
    resent: int,
    forgotten_s: tuple[float, float],
) -> None:
    """After the SYN-ACK's retries.

    A bare ACK under TCP_DEFER_ACCEPT silences all but the last ones.
    """
    found = handshake.answering(Machine(hz=1000), retries, defer_s, acknowledged=acknowledged)
    assert len(found.resent_ns) == resent
    assert found.forgotten_ns == tuple(round(end * 1e9) for end in forgotten_s)
