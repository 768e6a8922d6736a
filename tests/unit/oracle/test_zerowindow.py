from __future__ import annotations

import pytest

from harness.oracle import zerowindow
from harness.oracle.effects import Effect, Unpredictable
from harness.oracle.prediction import Machine

HZ1000 = Machine(hz=1000)
HZ100 = Machine(hz=100)
"""A tenth of the moments at which a timer can be set, for what is no matter of the tick."""


@pytest.mark.parametrize(
    ("answered", "retries", "end_s"),
    [(12, 15, 16 * 122.88), (12, 8, 9 * 53.248), (20, 15, 16 * 122.88)],
)
def test_once_backed_off_the_end_is_known_to_the_jiffy(
    answered: int, retries: int, end_s: float
) -> None:
    """Every distance is the longest one, and every probe lies on its bucket."""
    (outcome,) = zerowindow.predict_give_up(0, HZ1000, answered, retries).outcomes
    assert outcome.window_ns == (round(end_s * 1e9) - 1, round(end_s * 1e9))
    assert outcome.probes == (retries, retries)


@pytest.mark.parametrize(
    ("user_timeout_ms", "retries", "measured_s"),
    [(0, 15, 950.881), (0, 8, 107.216), (0, 3, 3.12), (10_000, 15, 10.224), (60_000, 15, 60.488)],
)
def test_measured_ends_lie_in_the_window(
    user_timeout_ms: int, retries: int, measured_s: float
) -> None:
    """As a guest of HZ=1000 was seen to give up, with an RTO of 205 ms."""
    found = zerowindow.predict_give_up(
        user_timeout_ms, Machine(hz=1000, rtt_ns=5_000_000), 0, retries
    )
    window_ns = found.outcomes[0].window_ns
    assert window_ns is not None
    assert window_ns[0] <= measured_s * 1e9 <= window_ns[1]


def test_a_user_timeout_does_not_care_about_answers() -> None:
    """It counts from the first probe; so a number of answered ones is refused."""
    with pytest.raises(ValueError, match="answered or not"):
        zerowindow.predict_give_up(1000, HZ1000, answered=1)


WRITE_NS, HORIZON_NS = 1_000_000_000, 4_000_000_000_000
DEATH = Effect(mechanism="lost", from_s=5)


def test_a_death_behind_a_closed_window_is_as_measured() -> None:
    """Written at 1 s, dead at 5 s: the number of answered probes makes one of two windows."""
    (outcome,) = zerowindow.predict_connection(0, HZ1000, (DEATH,), WRITE_NS, HORIZON_NS).outcomes
    assert (outcome.kind, outcome.errno, outcome.rst) == ("detected", "ETIMEDOUT", False)
    assert set(outcome.window_by_probes) == {18, 19}
    window_ns = outcome.window_by_probes[19]
    assert window_ns is not None
    assert window_ns[0] <= 1449.984 * 1e9 <= window_ns[1]
    assert window_ns[1] - window_ns[0] < 42e9


def test_a_user_timeout_ends_a_living_peers_connection() -> None:
    """As measured: 3 s, written at 0.5 s, ends 3.84 s after arming."""
    (outcome,) = zerowindow.predict_connection(3000, HZ1000, (), 500_000_000, HORIZON_NS).outcomes
    assert outcome.errno == "ETIMEDOUT"
    assert outcome.window_ns is not None
    assert outcome.window_ns[0] <= 3.84e9 <= outcome.window_ns[1]


def test_a_living_peer_is_probed_for_ever() -> None:
    """Nothing is detected, and the probes come at most 122.88 s apart."""
    (outcome,) = zerowindow.predict_connection(0, HZ100, (), WRITE_NS, 20_000_000_000_000).outcomes
    assert (outcome.kind, outcome.window_ns) == ("quiet", None)
    assert outcome.probes_seen == (170, 171)


def test_a_rebooted_peer_resets_at_the_next_probe() -> None:
    """Not later than the distance of two probes after the reboot."""
    rebooted = Effect(mechanism="peer-forgot", from_s=100)
    (outcome,) = zerowindow.predict_connection(0, HZ100, (rebooted,), WRITE_NS, HORIZON_NS).outcomes
    assert outcome.errno == "ECONNRESET"
    assert outcome.window_ns is not None
    assert outcome.window_ns[0] + 1 >= 100e9
    assert outcome.window_ns[1] < 210e9


@pytest.mark.parametrize("phase_ns", [0, 1_234_567_890, 98_765_432_109])
def test_what_happens_in_one_phase_is_foreseen_for_all(phase_ns: int) -> None:
    """The windows of a known phase lie in those of every phase."""
    (exact,) = zerowindow.predict_connection(
        0, HZ100.in_phase(phase_ns, 0), (DEATH,), WRITE_NS, HORIZON_NS
    ).outcomes
    (every,) = zerowindow.predict_connection(0, HZ100, (DEATH,), WRITE_NS, HORIZON_NS).outcomes
    for number, window_ns in exact.window_by_probes.items():
        whole_ns = every.window_by_probes[number]
        assert whole_ns is not None
        assert window_ns is not None
        assert whole_ns[0] <= window_ns[0] < window_ns[1] <= whole_ns[1]


@pytest.mark.parametrize(
    ("effects", "user_timeout_ms"),
    [
        ((Effect(mechanism="lost", from_s=1.2),), 0),
        ((Effect(mechanism="lost", from_s=5, until_s=9),), 0),
        ((DEATH, DEATH), 0),
        ((Effect(mechanism="lost-locally", from_s=5),), 0),
        ((DEATH,), 1000),
        ((Effect(mechanism="peer-frozen", from_s=5),), 1000),
    ],
)
def test_what_no_model_covers_is_refused(effects: tuple[Effect, ...], user_timeout_ms: int) -> None:
    """A path that ends while the buffer fills, heals, ends twice or at home.

    A user timeout that comes first.
    """
    with pytest.raises(Unpredictable):
        zerowindow.predict_connection(user_timeout_ms, HZ1000, effects, WRITE_NS, HORIZON_NS)
