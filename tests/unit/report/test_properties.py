"""What a test case says beside its result."""

from __future__ import annotations

from harness.judge.verdict import judge
from harness.report import properties
from tests.unit.timelines import as_foreseen, unreachable


def test_what_was_claimed_and_where() -> None:
    """The clock and the machine, claim, windows and what was measured, each with its unit and
    origin.
    """
    plan = unreachable(window_s=(5.0, 5.4))
    assert properties.of(judge(plan, as_foreseen(plan)), attempts=2) == {
        "clock": "real",
        "hz": "250",
        "kernel": "6.18.0",
        "lab": "netns",
        "cause": "confirmed",
        "claim": "ETIMEDOUT 5 to 5.4 s after arming",
        "claimed_window": "5.000 to 5.400 s after arming",
        "prediction": "ETIMEDOUT",
        "window": "5.072 to 5.108 s after arming",
        "allowance": "0.05 s",
        "measured": "5.090000 s after arming",
        "attempts": "2",
    }


def test_what_is_not_known_is_left_out() -> None:
    """Of a run that was never armed nothing was measured.

    What was run once has no number of attempts.
    """
    plan = unreachable()
    found = properties.of(judge(plan, []))
    assert not {"measured", "claimed_window", "attempts"} & found.keys()
    assert found["cause"] == "never-armed"
