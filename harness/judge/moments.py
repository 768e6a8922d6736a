"""Times in messages: in seconds, with digits enough to tell apart what was compared, and with their
origin. Pure.
"""

from __future__ import annotations

from decimal import Decimal

from harness.judge.history import History

ORIGINS: dict[str, str] = {
    "armed": "arming",
    "fault": "the fault",
    "healed": "the removal of the last fault",
    "last-received": "the last segment received",
}
"""What times count from, in words, for "after ..."."""
_DIGITS = (3, 6, 9)
"""Milliseconds, microseconds, nanoseconds: finer there is nothing."""


def seconds(measured_ns: int, *others_ns: int) -> list[str]:
    """Each with its unit: to the millisecond, or as fine as tells the first from the others that
    differ from it.
    """
    different = [time_ns for time_ns in others_ns if time_ns != measured_ns]
    digits = next(
        (
            digits
            for digits in _DIGITS
            if _text(measured_ns, digits) not in [_text(each, digits) for each in different]
        ),
        _DIGITS[-1],
    )
    return [_text(time_ns, digits) for time_ns in (measured_ns, *others_ns)]


def _text(time_ns: int, digits: int) -> str:
    return f"{Decimal(time_ns).scaleb(-9):z.{digits}f} s"


def secs(time_ns: int) -> str:
    """One time, with its unit, to the millisecond."""
    return seconds(time_ns)[0]


def plain(time_s: float) -> str:
    """A time as a scenario has it: no digit is lost, and none added."""
    return f"{Decimal(repr(time_s)):f}".removesuffix(".0")


class Clock:
    """One origin for all times of a result: the scenario's own, or arming where that never came."""

    def __init__(self, history: History) -> None:
        name, self.shift_ns = history.counts_from
        self.origin = ORIGINS[name]

    def times(self, measured_ns: int, *others_ns: int) -> list[str]:
        """Moments after arming, as seconds after the origin."""
        return seconds(*(time_ns - self.shift_ns for time_ns in (measured_ns, *others_ns)))

    def moment(self, since_armed_ns: int) -> str:
        """One of them, with the origin."""
        return f"{self.times(since_armed_ns)[0]} after {self.origin}"
