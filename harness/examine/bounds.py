"""How long both ends must be watched: told by a look at them without a fault. Pure.

Each wake-up of a program costs time in a guest, and some programs wake up ten times a second. So
the ends are not watched for hours unless a timer of their sockets takes hours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from harness.errors import SubjectError
from harness.examine.course import Course
from harness.examine.settings import as_oracle_takes, settings_in
from harness.judge.result import Result
from harness.model.programs import Load
from harness.model.topology import SIDES, Side
from harness.oracle.effects import Effect
from harness.oracle.established import predict
from harness.oracle.established_query import Question, longest_ns
from harness.oracle.prediction import Machine, Settings
from harness.plan.allowances import tolerances
from harness.scenario.schema import Expect, Scenario

LOOK_S = 300.0
"""So long a connection without a fault is looked at."""
OWN_TIMERS_S = 400.0
"""So long both ends are watched at least, for timers of the programs themselves."""
BEYOND_S = 30.0
"""So much longer than the kernel may take."""
LONGEST_S = 10_800.0
"""So long an end is watched whose settings cannot be read: longer than keepalive with Linux's
defaults takes on any kernel, 7200 + 9 x 75 s, rounded up by the timer wheel.
"""

Longest = Mapping[Load | None, Mapping[Side, float]]
"""How long each end must be watched, in seconds after a fault, by the load."""


def look(base: Scenario, load: Load | None) -> Scenario:
    """Both ends under this load, without a fault."""
    return msgspec.structs.replace(
        base,
        name="look" if load is None else f"look-{load}",
        summary="both ends, without a fault",
        faults=(),
        expect=Expect(outcome="any", bound_s=LOOK_S),
    )


def longest(found: Result) -> dict[Side, float]:
    """How long each end must be watched so that its kernel can detect any fault.

    Raises SubjectError where the connection was not made.
    """
    if found.verdict.verdict == "inconclusive":
        raise SubjectError(f"expected a connection to examine: {found.verdict.reason}")
    return {side: _of_end(found, side) for side in SIDES}


def _of_end(found: Result, side: Side) -> float:
    plan, course = found.plan, Course(found.events, side)
    read = settings_in(plan, course)
    if read is None:
        return LONGEST_S
    settings = as_oracle_takes(read, plan, course)
    kernel_ns = _keepalive_ns(settings, tolerances(plan.machine)) if read.keepalive else 0
    if any(event.data["way"] == "out" and event.data.get("length") for event in course.since_armed):
        kernel_ns = max(kernel_ns, longest_ns(settings, plan.machine.hz))
    return min(LONGEST_S, max(OWN_TIMERS_S, math.ceil(kernel_ns / 1e9) + BEYOND_S))


def _keepalive_ns(settings: Settings, machine: Machine) -> int:
    """The latest moment at which keepalive detects a dead peer, after the last segment from it."""
    cut = Effect(mechanism="lost")
    found = predict(Question(settings, machine, (cut,), round(2 * LONGEST_S * 1e9)))
    windows = [outcome.window_ns[1] for outcome in found.outcomes if outcome.window_ns]
    return max(windows, default=round(LONGEST_S * 1e9))
