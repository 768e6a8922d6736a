"""Comparisons that narrow the interval of arming instants, or fork."""

from __future__ import annotations

from harness.oracle.connection_state import ConnectionState
from harness.oracle.moment import Moment
from harness.oracle.phase_interval import Branch, PhaseInterval

TICK_NS = 4_000_000


def interval(
    script: list[Branch] | None = None, *, late: int = 0, drift_ns: int = 0
) -> PhaseInterval:
    """Armed 1 ms into jiffy 1000."""
    state = ConnectionState(late=0, is_first_keepalive=False, icmp_tokens=0, drift_ns=drift_ns)
    script = [] if script is None else script
    return PhaseInterval(
        1000 * TICK_NS + 1_000_000, script, state, tick=TICK_NS, late=late, lag=0, rows=False
    )


def test_a_decision_narrows_the_interval_to_the_instants_that_decide_alike() -> None:
    """Bucket 1002 is 7 ms after arming: 5 ms have passed for each instant up to 2 ms later, and for
    no later one.
    """
    phase = interval()
    assert phase.decide_past(1002, 5_000_000)
    assert phase.room_ns == 2_000_000
    assert not phase.decide_past(1002, 7_000_001)
    assert phase.room_ns == 2_000_000
    assert phase.decide_surely_past(1002, 6_000_000)
    assert phase.room_ns == 1_000_000
    assert phase.forks == 0


def test_lateness_forks_and_the_script_says_which_way() -> None:
    """A handler that may be a jiffy late: 9 ms after arming it may run, or not yet."""
    script: list[Branch] = []
    assert interval(script, late=1).decide_past(1002, 9_000_000)
    assert script == [True]
    other = interval([False], late=1)
    assert not other.decide_past(1002, 9_000_000)
    assert other.forks == 1


def test_the_drift_of_the_connection_forks() -> None:
    """What may come later because the program's own moments may."""
    assert interval(drift_ns=3_000_000).decide_past(1002, 9_000_000)
    assert not interval([False], drift_ns=3_000_000).decide_past(1002, 9_000_000)


def test_waiting_between_two_handlers_and_between_moments() -> None:
    """Whole jiffies between handlers, whichever phase; a moment's own jiffy counts."""
    phase = interval()
    assert phase.decide_waited(1010, 1005, 5)
    assert not phase.decide_waited(1010, 1005, 6)
    assert phase.decide_waited(Moment(19_000_000), Moment(2_000_000), 5)
    assert phase.forks == 0
    assert phase.room_ns == 999_999


def test_milliseconds_between_late_handlers_fork() -> None:
    """At HZ=250 every jiffy is 4 ms; one that may be late leaves the limit open within 4 ms."""
    assert interval().decide_waited_ms(1010, 1005, 20)
    assert not interval().decide_waited_ms(1010, 1005, 21)
    phase = interval([False], late=1)
    assert not phase.decide_waited_ms(1010, 1005, 20)
    assert phase.forks == 1
