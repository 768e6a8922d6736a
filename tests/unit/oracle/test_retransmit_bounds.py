"""When data in flight is sent again after an outage, and given up: bounds over all phases."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.oracle import established
from harness.oracle.effects import Effect
from harness.oracle.established_query import Question
from harness.oracle.prediction import Machine, Settings, hull
from harness.oracle.retransmit_bounds import given_up_ns, sent_again_ns
from tests.unit.strategies import sweep

SECOND_NS = 1_000_000_000


@sweep(12, exhaustively=300)
@given(st.integers(1, 400), st.sampled_from((100, 250, 300, 1000)))
def test_it_is_no_sooner_than_the_oracle_says_and_little_later(tenths: int, hz: int) -> None:
    """The bound leaves out what rounding adds to the earliest moments.

    So it may be that of an outage that is longer by 5 % and two jiffies, at most.
    """
    outage_ns = tenths * SECOND_NS // 10
    latest_ns = _latest_ns(outage_ns, hz)
    bound_ns = sent_again_ns(outage_ns, hz)
    assert latest_ns <= bound_ns
    after_ns = max(latest_ns, _latest_ns(outage_ns + outage_ns // 20 + 2 * SECOND_NS // hz, hz))
    assert bound_ns <= after_ns * 1.15 + SECOND_NS // 5


def _latest_ns(outage_ns: int, hz: int) -> int:
    """The last repetition of a connection that outlives an outage is the first beyond it."""
    outage = (Effect(mechanism="lost", until_s=outage_ns / SECOND_NS),)
    question = Question(
        Settings(keepalive=False), Machine(hz=hz), outage, 900 * SECOND_NS, writes_ns=(0,)
    )
    return max(high for _, high in established.predict(question).probe_windows_ns)


@sweep(12, exhaustively=300)
@given(
    st.one_of(st.integers(20, 3000), st.integers(3000, 150_000)),
    st.sampled_from((100, 250, 300, 1000)),
)
def test_it_is_given_up_no_later_and_little_sooner(user_timeout_ms: int, hz: int) -> None:
    """The bound is an eighth of the longest timeout's rest above what the oracle computes, at most:
    a bucket's width.
    """
    settings = Settings(keepalive=False, user_timeout_ms=user_timeout_ms)
    lost = (Effect(mechanism="lost"),)
    horizon_ns = user_timeout_ms * 1_250_000 + 10 * SECOND_NS
    question = Question(settings, Machine(hz=hz), lost, horizon_ns, writes_ns=(0,))
    windows = [each.window_ns for each in established.predict(question).outcomes]
    _, latest_ns = hull([each for each in windows if each is not None])
    bound_ns = given_up_ns(user_timeout_ms, hz)
    assert latest_ns <= bound_ns
    assert bound_ns <= latest_ns + min(user_timeout_ms, 120_000) * 125_000 + SECOND_NS // 4
