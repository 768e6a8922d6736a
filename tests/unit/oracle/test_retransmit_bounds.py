"""When data in flight is sent again after an outage: bounds over all phases."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.oracle import established
from harness.oracle.effects import Effect
from harness.oracle.established_query import Question
from harness.oracle.prediction import Machine, Settings
from harness.oracle.retransmit_bounds import sent_again_ns
from tests.unit.strategies import sweep

SECOND_NS = 1_000_000_000


@sweep(12, exhaustively=300)
@given(st.integers(1, 400), st.sampled_from((100, 250, 300, 1000)))
def test_it_is_no_sooner_than_the_oracle_says_and_little_later(tenths: int, hz: int) -> None:
    """The last repetition of a connection that outlives an outage is the first beyond it."""
    outage_ns = tenths * SECOND_NS // 10
    outage = (Effect(mechanism="lost", until_s=tenths / 10),)
    question = Question(
        Settings(keepalive=False), Machine(hz=hz), outage, 900 * SECOND_NS, writes_ns=(0,)
    )
    latest_ns = max(high for _, high in established.predict(question).probe_windows_ns)
    bound_ns = sent_again_ns(outage_ns, hz)
    assert latest_ns <= bound_ns
    assert bound_ns <= latest_ns * 1.15 + SECOND_NS // 5
