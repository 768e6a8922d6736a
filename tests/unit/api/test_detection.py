"""What is seen against what is predicted, also where this process did not run all the time."""

from __future__ import annotations

import pytest

from harness.api.detection import Detection, Expected
from harness.errors import StallError
from harness.oracle.prediction import Outcome, OutcomeKind


def predicted(kind: OutcomeKind, errno: str | None) -> Outcome:
    """From 2 to 3 s after arming."""
    window_ns = (2_000_000_000, 3_000_000_000)
    return Outcome(
        kind=kind,
        errno=errno,
        window_ns=window_ns,
        probes=(1, 1),
        probes_seen=(1, 1),
        rst=False,
        why="",
    )


def seen(after_s: float, *gaps_s: tuple[float, float], errno: str = "ETIMEDOUT") -> Detection:
    """What a socket detected."""
    return Detection(kind="detected", errno=errno, after_armed_s=after_s, gaps_s=gaps_s)


EXPECTED = Expected(
    outcomes=(predicted("detected", "ETIMEDOUT"),), allowance_s=0.05, changes_s=((0.5, 0.51),)
)


@pytest.mark.parametrize(
    ("after_s", "held"), [(1.99, False), (2.0, True), (3.05, True), (3.06, False)]
)
def test_without_a_gap(after_s: float, held: bool) -> None:  # noqa: FBT001
    """The window with the allowance decides."""
    assert (seen(after_s) in EXPECTED) == held


@pytest.mark.parametrize(
    "detection",
    [
        seen(2.5, (2.1, 2.5)),  # all of the gap is in the window
        seen(2.9, (2.1, 2.5)),  # seen long after it
        seen(2.5, (2.6, 4.0)),  # it came after what was seen
        seen(2.04, (2.0, 2.04)),
        seen(1.0, (0.9, 0.94)),  # shorter than the allowance, and never in the window
        seen(2.5, (0.45, 0.49), (1.0, 1.8)),
    ],
)
def test_gaps_that_change_nothing(detection: Detection) -> None:
    """The answer is the same as without them."""
    assert detection.after_armed_s is not None
    assert (detection in EXPECTED) == (seen(detection.after_armed_s) in EXPECTED)


@pytest.mark.parametrize(
    ("detection", "gap_s"),
    [
        (seen(2.2, (1.5, 2.2)), (1.5, 2.2)),  # it may have come too early
        (seen(2.2, (1.5, 2.03), (2.05, 2.2)), (1.5, 2.03)),  # gaps that follow each other
        (seen(3.5, (2.5, 3.5)), (2.5, 3.5)),  # it may have come in time
        (seen(3.06, (3.0, 3.04)), (3.0, 3.04)),  # so may this, after a short one
        (seen(5.0, (1.0, 2.0)), (1.0, 2.0)),  # the kernel itself may have stood still
        (seen(2.5, (1.0, 1.2), errno="ECONNRESET"), (1.0, 1.2)),
        (seen(2.5, (0.4, 0.6)), (0.4, 0.6)),  # the fault may have been late
        (Detection(kind="quiet", gaps_s=((1.0, 1.2),)), (1.0, 1.2)),
    ],
)
def test_gaps_that_may_decide(detection: Detection, gap_s: tuple[float, float]) -> None:
    """The assertion names the gap."""
    with pytest.raises(StallError, match="found that it did not from") as raised:
        assert detection in EXPECTED
    assert (raised.value.from_s, raised.value.until_s) == gap_s


def test_a_programs_own_timers() -> None:
    """A program that decides by them may have stood still, too."""
    expected = Expected(outcomes=(predicted("noticed", None),), allowance_s=0.05)
    detection = Detection(kind="noticed", after_armed_s=2.5, gaps_s=((1.0, 1.04),))
    assert detection in expected
    with pytest.raises(StallError):
        assert Detection(kind="noticed", after_armed_s=2.5, gaps_s=((1.0, 1.2),)) in expected
