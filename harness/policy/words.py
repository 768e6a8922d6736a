"""Times and lists in the words of findings."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.policy.answers import SECOND_NS, Window


def seconds(duration_ns: float) -> str:
    """To the hundredth, without zeros at the end: "372.77 s"."""
    return f"{plain(duration_ns / SECOND_NS)} s"


def plain(number: float) -> str:
    """To the hundredth, without zeros at the end."""
    return f"{number:.2f}".rstrip("0").rstrip(".")


def plain_up(number: float) -> str:
    """The same, rounded up."""
    return plain(math.ceil(round(number * 100, 6)) / 100)


def window(found: Window) -> str:
    """From the earliest to the latest."""
    if found.low_ns == found.high_ns:
        return seconds(found.high_ns)
    return f"{plain(found.low_ns / SECOND_NS)} to {seconds(found.high_ns)}"


def ends(found: Window) -> tuple[float, float]:
    """Earliest and latest in seconds, for programs."""
    return found.low_ns / SECOND_NS, found.high_ns / SECOND_NS


def enumerated(parts: Sequence[str]) -> str:
    """One after the other: "idle_s, interval_s and count"."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
