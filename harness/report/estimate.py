"""How long work has gone on and how long it still takes, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

FIRST_S = 1.0
"""Before that nothing is said of how long it still takes: the first steps also start things."""


def rough(seconds: float) -> str:
    """A duration in at most two units: "34 s", "2 min 10 s", "1 h 5 min", "11 d 13 h"."""
    left = max(0, round(seconds))
    parts: list[tuple[int, str]] = []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        number, left = divmod(left, length)
        if number or (unit == "s" and not parts):
            parts.append((length, f"{number} {unit}"))
    first = parts[0][0]
    return " ".join(text for length, text in parts if length * 60 >= first or length == first)


def by_steps(done: float, total: float, gone_s: float) -> float | None:
    """Seconds left if the other steps take as long as those that are done; None: not known yet."""
    if done <= 0 or gone_s < FIRST_S:
        return None
    return gone_s * (total - done) / done


def in_real_time(running_s: Sequence[float], waiting_s: Iterable[float], at_once: int) -> float:
    """Seconds that runs take at most in real time, of which `at_once` go on at the same time.

    `running_s`: how long each may still be watched; `waiting_s`: the same of those that wait.
    """
    ends = sorted(running_s, reverse=True)[:at_once]
    ends += [0.0] * (at_once - len(ends))
    for length in waiting_s:
        first = ends.index(min(ends))
        ends[first] += length
    return max(ends, default=0.0)
