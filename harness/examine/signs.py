"""The signs by which an end showed a detection: told by the run, or guessed from output. Pure."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from harness.examine.course import Course
from harness.examine.findings import How, Sign

_HOW: dict[str, How] = {
    "exit": "exit",
    "output": "output",
    "close": "close",
    "reconnect": "reconnect",
    "heartbeat": "heartbeat",
}
SAID_BEFORE_S = 1.0
"""A line that comes so shortly before another sign belongs to that sign."""
_DIGITS = re.compile(r"\d+")
_NAME = re.compile(r"\b(E[A-Z0-9]{3,})\b")
_BY_WORDS = {
    os.strerror(number).lower(): name
    for number, name in errno.errorcode.items()
    if name in ("ETIMEDOUT", "ECONNRESET", "EPIPE", "EHOSTUNREACH", "ENETUNREACH", "ECONNREFUSED")
}


def of(course: Course) -> tuple[Sign, ...]:
    """Every sign after arming, in the order of time. The end must have met a fault."""
    found = {(sign.how, sign.at_s): sign for sign in (*_told(course), *_of_socket(course))}
    sure = sorted(found.values(), key=lambda sign: sign.at_s)
    guess = _guessed(course)
    if guess is None:
        return tuple(sure)
    for place, sign in enumerate(sure):
        if guess.at_s <= sign.at_s <= guess.at_s + SAID_BEFORE_S:
            return (
                *sure[:place],
                msgspec.structs.replace(sign, said=guess.found),
                *sure[place + 1 :],
            )
    return tuple(sorted([*sure, guess], key=lambda sign: sign.at_s))


def _told(course: Course) -> list[Sign]:
    """What the run itself recognised as a sign."""
    events = course.mine("subject.sign") or course.mine("subject.noticed")
    return [
        Sign(
            how=_HOW[event.data["how"]],
            at_s=course.since_fault_s(event.t_ns),
            found=event.data["found"],
            reports=event.data.get("reports"),
            late_s=event.data.get("late_ns", 0) / 1e9,
        )
        for event in events
        if event.data["how"] in _HOW and not _is_of_another(course, event.data)
    ]


def _is_of_another(course: Course, data: Mapping[str, Any]) -> bool:
    """Whether it is the close of another connection than the watched one."""
    if data["how"] != "close" or course.armed is None or "local" not in data:
        return False
    return bool(data["local"] != course.armed.data.get("local"))


def _of_socket(course: Course) -> list[Sign]:
    """What the built-in program read from its socket."""
    errors = [
        Sign(how="error", at_s=course.since_fault_s(e.t_ns), found=e.data["errno"])
        for e in course.mine("subject.detected")
    ]
    ends = [
        Sign(how="end-of-file", at_s=course.since_fault_s(e.t_ns), found="end of file")
        for e in course.mine("subject.eof")
    ]
    return [*errors, *ends]


def _guessed(course: Course) -> Sign | None:
    """The first line after the fault that, without its digits, was not printed before the fault."""
    assert course.fault_ns is not None
    printed = course.mine("subject.printed")
    known = {shape(e.data["line"]) for e in printed if e.t_ns < course.fault_ns}
    for event in printed:
        line = event.data["line"]
        if event.t_ns >= course.fault_ns and line.strip() and shape(line) not in known:
            at_s = course.since_fault_s(event.t_ns)
            return Sign(how="output", at_s=at_s, found=line, guessed=True)
    return None


def shape(line: str) -> str:
    """A line without its digits, as those of dates and counters change each time."""
    return _DIGITS.sub("#", line.strip())


def error_of(course: Course) -> str | None:
    """The errno that an end has shown after the fault: on its socket, or in its output."""
    detected = course.mine("subject.detected")
    if detected:
        return str(detected[0].data["errno"])
    for event in course.mine("subject.printed"):
        if course.fault_ns is not None and event.t_ns >= course.fault_ns:
            found = error_in(event.data["line"])
            if found is not None:
                return found
    return None


def error_in(line: str) -> str | None:
    """The errno that a line names: ETIMEDOUT, [Errno 110], or "Connection timed out"."""
    for name in _NAME.findall(line):
        if hasattr(errno, name):
            return str(name)
    number = re.search(r"[Ee]rrno\W{0,3}(\d+)", line)
    if number and int(number[1]) in errno.errorcode:
        return errno.errorcode[int(number[1])]
    lower = line.lower()
    return next((name for words, name in _BY_WORDS.items() if words in lower), None)
