"""A run to what each end did. Nothing was claimed, so nothing is judged here. Pure."""

from __future__ import annotations

from typing import Any

from harness.examine import attribution, recovery, signs
from harness.examine.course import Course
from harness.examine.faults import GridFault
from harness.examine.findings import (
    Attribution,
    CellReport,
    EndReport,
    Finding,
    Grade,
    How,
    Left,
    LeftSocket,
    Recovery,
    Sign,
    SocketSettings,
)
from harness.examine.grid import Cell
from harness.examine.settings import settings_in
from harness.judge.reasons import Cause
from harness.judge.result import Result
from harness.judge.verdict import Verdict
from harness.model.topology import SIDES, Side
from harness.plan.plan import Plan

SETTLED: frozenset[Cause] = frozenset({"confirmed", "fault-met-nothing", "fault-left-no-evidence"})
"""Causes of verdicts on runs that went as planned.

A fault that met no packet refutes nothing, but what the ends did under it can be described.
"""


TOGETHER_S = 0.25
"""Signs that come within so much time are of one detection."""
_TELLING: tuple[How, ...] = (
    "error",
    "exit",
    "heartbeat",
    "reconnect",
    "output",
    "end-of-file",
    "close",
)
"""What says most of the program first. A connection may close without its doing."""


def describe(cell: Cell, result: Result) -> CellReport:
    """What both ends did in one run."""
    plan, verdict = result.plan, result.verdict
    courses = {side: Course(result.events, side) for side in SIDES}
    trouble = _trouble(verdict, courses["client"])
    ends = [_end(cell.fault, plan, courses[side], trouble) for side in SIDES]
    notes = (f"{verdict.reason}",) if not trouble and verdict.cause != "confirmed" else ()
    return CellReport(
        name=plan.name,
        fault=cell.fault.name,
        title=cell.fault.title,
        words=cell.fault.words,
        course=cell.fault.course,
        load=cell.load or "",
        watched_s=courses["client"].watched_s,
        ends=(ends[0], ends[1]),
        trouble=trouble,
        notes=notes,
    )


def _trouble(verdict: Verdict, course: Course) -> str:
    """Why nothing can be said of a run; "" where something can."""
    if verdict.verdict == "inconclusive" and verdict.cause not in SETTLED:
        return verdict.reason
    if course.fault_ns is None:
        return "the fault was never injected: both ends had ended before"
    return ""


def _end(fault: GridFault, plan: Plan, course: Course, trouble: str) -> EndReport:
    side = course.side
    if trouble or course.fault_ns is None:
        return EndReport(side=side, finding="unknown", grade="unknown")
    left, settings = _left(course), settings_in(plan, course)
    ended = course.mine("subject.ended")
    if fault.struck == side:
        return EndReport(side=side, finding="struck", grade="none", settings=settings)
    seen = signs.of(course)
    sign, others = _first(fault, seen)
    counted = (*(() if sign is None else (sign,)), *others)
    recovered = recovery.of(course, fault, counted, left)
    finding = _finding(fault, sign, recovered)
    until_ns = course.end_ns if sign is None else course.fault_ns + round(sign.at_s * 1e9)
    sent = {
        role: len(course.sent(role, course.fault_ns, until_ns))
        for role in ("probe", "retransmit", "data")
    }
    status = ended[-1].data["status"] if ended else None
    return EndReport(
        side=side,
        finding=finding,
        grade=_grade(fault, side, finding, recovered, has_ended=status is not None),
        sign=sign,
        others=others,
        error=signs.error_of(course),
        probes=sent["probe"],
        retransmissions=sent["retransmit"],
        writes=sent["data"],
        attribution=_attribution(plan, course, sign, finding, settings),
        recovery=recovered,
        left=left,
        settings=settings,
        ended=status,
    )


def _first(fault: GridFault, seen: tuple[Sign, ...]) -> tuple[Sign | None, tuple[Sign, ...]]:
    """The sign that counts, and the others.

    It is the first one or, of several that come together, the one that says most of the program.
    Under a harmless fault a line that nobody named as a sign is none.
    """
    counted = [s for s in seen if not (s.guessed and fault.course == "harmless")]
    if not counted:
        return None, ()
    together = [s for s in counted if s.at_s <= counted[0].at_s + TOGETHER_S]
    sign = min(together, key=lambda s: _TELLING.index(s.how))
    return sign, tuple(s for s in counted if s is not sign)


def _finding(fault: GridFault, sign: Sign | None, recovered: Recovery | None) -> Finding:
    if sign is None:
        if fault.course == "lasts" or (fault.course == "ends" and recovered is None):
            return "never"
        return "unaffected"
    if sign.at_s < 0 or fault.course == "harmless":
        return "false-alarm"
    return "detected"


def _grade(
    fault: GridFault,
    side: Side,
    finding: Finding,
    recovered: Recovery | None,
    *,
    has_ended: bool,
) -> Grade:
    """Good: a dead peer is detected, an outage is survived or recovered from, and nothing else.

    A program that ends after an outage leaves it to others to start it again. A server can do
    nothing for a client that does not come back.
    """
    if finding in ("never", "false-alarm"):
        return "bad"
    if fault.course == "ends" and finding == "detected" and side == "client":
        return "good" if recovered is not None or has_ended else "bad"
    return "good"


def _attribution(
    plan: Plan,
    course: Course,
    sign: Sign | None,
    finding: Finding,
    settings: SocketSettings | None,
) -> Attribution | None:
    if sign is None:
        return attribution.of_silence(course, settings) if finding == "never" else None
    return attribution.of_sign(plan, course, sign, settings) if sign.at_s >= 0 else None


def _left(course: Course) -> Left | None:
    found = course.mine("subject.left")
    if not found:
        return None
    data = found[-1].data
    sockets = tuple(_socket(each) for each in data["sockets"])
    return Left(processes=_number(data["processes"]), sockets=sockets)


def _socket(data: dict[str, Any]) -> LeftSocket:
    return LeftSocket(state=data["state"], unsent=data["unsent"], unread=data["unread"])


def _number(processes: Any) -> int:
    return processes if isinstance(processes, int) else len(processes)
