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
