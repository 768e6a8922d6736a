"""How long ends are watched: by the timers that their sockets have, and that data in flight has."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import SubjectError
from harness.examine import bounds
from harness.judge.result import Result
from harness.judge.verdict import Verdict, VerdictName
from harness.plan.planner import make
from harness.timeline import Event
from tests.unit.examining import BASE, MACHINE, SETTINGS, events, segment


def _look(*more: Event, verdict: VerdictName = "pass", **settings: Any) -> Result:
    plan = make(bounds.look(BASE, None), MACHINE)
    told = Verdict(
        name=plan.name,
        verdict=verdict,
        cause="confirmed",
        reason="no client",
        clock="virtual",
        kernel="6.18.0",
        hz=250,
        side="client",
    )
    run = events(*more, settings={**SETTINGS, **settings})
    return Result(plan=plan, events=run, verdict=told)


def test_keepalive_decides_where_it_takes_long() -> None:
    """7200 + 9 x 75 s and what the timer wheel adds; a short one leaves time for other timers."""
    slow = bounds.longest(_look(idle_s=7200, interval_s=75, count=9))["client"]
    assert 7875 + bounds.BEYOND_S < slow <= bounds.LONGEST_S
    assert bounds.longest(_look())["client"] == bounds.OWN_TIMERS_S


def test_without_keepalive_only_data_in_flight_takes_long() -> None:
    """924.6 s or more by tcp_retries2, where the end has written anything."""
    idle = bounds.longest(_look(keepalive=False))
    assert idle["client"] == bounds.OWN_TIMERS_S
    writes = bounds.longest(_look(segment(1, "out"), keepalive=False))
    assert writes["client"] > 924.6
    assert writes["server"] == bounds.OWN_TIMERS_S


def test_settings_that_cannot_be_read() -> None:
    """The longest that Linux's defaults take."""
    assert bounds.longest(_look(idle_s=None))["client"] == bounds.LONGEST_S


def test_without_a_connection_nothing_can_be_examined() -> None:
    """One message, in place of one for each fault."""
    with pytest.raises(SubjectError, match="expected a connection to examine: no client"):
        bounds.longest(_look(verdict="inconclusive"))
