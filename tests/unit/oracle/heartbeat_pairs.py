"""Pairs of heartbeat designs that tests of the oracle share."""

from __future__ import annotations

from harness.model.programs import (
    AnyHeartbeat,
    IdleState,
    IdleTimer,
    Reaper,
    Separate,
    Simple,
    Urgent,
)
from harness.oracle.heartbeat_rules import Bounds

SIMPLE, SEPARATE, TIMER = (Simple(), Simple()), (Separate(), Separate()), (IdleTimer(), Reaper())
STATE = (IdleState(), Reaper(silence_s=90.0))
URGENT = (Urgent(), Urgent(interval_s=1.4))
"""Two intervals, so that the timers of both sides never race."""
PAIRS: tuple[tuple[AnyHeartbeat, AnyHeartbeat], ...] = (SIMPLE, SEPARATE, TIMER, STATE, URGENT)


def in_seconds(bounds: Bounds) -> tuple[tuple[float, float], tuple[float, float]]:
    """Since the last input, since the fault."""
    (a, b), (c, d) = bounds.since_input_ns, bounds.since_fault_ns
    return (a / 1e9, b / 1e9), (c / 1e9, d / 1e9)
