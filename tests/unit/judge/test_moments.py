"""Times in messages: digits enough to see a difference, and one origin for a whole result."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from harness.judge.history import History
from harness.judge.moments import Clock, plain, seconds, secs
from harness.judge.reasons import claim, clipped, oracle_says, seen
from harness.scenario.schema import Origin
from tests.unit.judge.test_verdict_programs import foreseen, run, segment
from tests.unit.judging import verdict
from tests.unit.timelines import SECOND, as_foreseen, unreachable


def test_what_is_equal_to_the_millisecond_has_more_digits() -> None:
    """As many as it takes; what is the same stays short."""
    assert seconds(5_090_000_000, 5_072_000_000, 5_108_000_000) == ["5.090 s", "5.072 s", "5.108 s"]
    assert seconds(60_000_052_889, 60_000_000_000, 60_000_040_000) == [
        "60.000053 s",
        "60.000000 s",
        "60.000040 s",
    ]
    assert seconds(60_000_000_000, 59_999_999_999) == ["60.000000000 s", "59.999999999 s"]
    assert seconds(1, 1) == ["0.000 s", "0.000 s"]
    assert secs(-1) == "0.000 s"
    assert secs(-500_000_000) == "-0.500 s"


@given(st.integers(-(2**60), 2**60), st.lists(st.integers(-(2**60), 2**60), max_size=3))
def test_different_times_never_look_the_same(measured_ns: int, others_ns: list[int]) -> None:
    """Whatever is compared."""
    found, *others = seconds(measured_ns, *others_ns)
    assert [other == found for other in others] == [
        other_ns == measured_ns for other_ns in others_ns
    ]


def test_a_scenarios_own_times_keep_their_digits() -> None:
    """Also where there are many."""
    assert [plain(time_s) for time_s in (5.0, 0.25, 433047.928, 2000, 1e-5)] == [
        *("5", "0.25", "433047.928", "2000", "0.00001")
    ]


def test_an_edge_is_printed_as_it_was_compared() -> None:
    """A program that was some microseconds late for an exact window is told so."""
    plan = msgspec.structs.replace(foreseen(), allowance_ns=0)
    events = run(2_200_052_889, segment(SECOND, "in", 1))
    words = "detected 1.200053 s after the last data came, the oracle says 1.000000 s to 1.200000 s"
    verdict(plan, events, "fail", words)


def test_times_count_from_the_scenarios_origin() -> None:
    """In what was seen, what was predicted and what is claimed."""
    cases: dict[Origin, tuple[str, str]] = {
        "armed": ("5.090", "arming"),
        "fault": ("4.590", "the fault"),
    }
    for origin, (at, name) in cases.items():
        plan = unreachable(origin=origin, window_s=(4.0, 5.25))
        history = History(plan, as_foreseen(plan))
        assert Clock(history).origin == name
        assert seen(history) == f"ETIMEDOUT {at} s after {name}"
        assert oracle_says(plan, history).count(f"s after {name}") == 1
        assert claim(plan) == f"ETIMEDOUT 4 to 5.25 s after {name}"


def test_an_origin_that_never_came_leaves_arming() -> None:
    """And it is named."""
    plan = unreachable(origin="fault", window_s=(4.0, 5.0))
    history = History(
        plan, [event for event in as_foreseen(plan) if event.kind != "fault.injected"]
    )
    assert seen(history) == "ETIMEDOUT 5.090 s after arming"


def test_a_programs_words_are_cut() -> None:
    """At a length, with a sign that there is more."""
    assert clipped("word", 8) == "word"
    assert clipped("many words", 8) == "many ..."
