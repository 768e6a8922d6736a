"""The time axis of a figure: seconds to pixels, where long silence takes a fixed, small width.

A gap between two moments is folded where it would leave too little of the width to all others. The
scale is the same on both sides of a fold. Pure.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

LEAST_LENGTH_NS = 1_000_000
"""An axis is at least so long."""
FOLDED_SHARE = 0.8
"""A gap is folded where it is more than this part of all time that is not folded yet."""
LEAST_FOLDED_NS = 5_000_000_000
MOST_FOLDS = 3
FOLD_WIDTH = 36.0
"""Pixels between the two edges of a fold."""
MARGIN_SHARE = 0.04
"""So much of the time that stays visible is shown on either side of a fold, too."""
TICK_SPACING = 68.0
"""Pixels between two labels, at least."""


class Fold(NamedTuple):
    """A part of time, in nanoseconds, that is drawn only `FOLD_WIDTH` wide, from `left` on."""

    from_ns: int
    until_ns: int
    left: float

    @property
    def length_ns(self) -> int:
        """How much time is folded away."""
        return self.until_ns - self.from_ns


class _Stretch(NamedTuple):
    """A part of time that is drawn to scale."""

    from_ns: int
    until_ns: int
    left: float
    right: float


class Axis:
    """Nanoseconds to pixels.

    `moments`: where something happens; only time between two of them is folded.
    """

    def __init__(self, moments: Iterable[int], left: float, right: float) -> None:
        points = sorted(set(moments))
        if not points:
            points = [0]
        if points[-1] < points[0] + LEAST_LENGTH_NS:
            points.append(points[0] + LEAST_LENGTH_NS)
        self.from_ns, self.until_ns = points[0], points[-1]
        self.left, self.right = left, right
        cuts = _cuts(points)
        shown_ns = self.until_ns - self.from_ns - sum(end - start for start, end in cuts)
        self._per_ns = (right - left - FOLD_WIDTH * len(cuts)) / shown_ns
        self.folds: list[Fold] = []
        self._stretches: list[_Stretch] = []
        self._lay_out(cuts)

    def _lay_out(self, cuts: Sequence[tuple[int, int]]) -> None:
        at_ns, x = self.from_ns, self.left
        for start, end in [*cuts, (self.until_ns, self.until_ns)]:
            right = x + (start - at_ns) * self._per_ns
            self._stretches.append(_Stretch(at_ns, start, x, right))
            if end > start:
                self.folds.append(Fold(start, end, right))
            at_ns, x = end, right + FOLD_WIDTH

    def x(self, t_ns: int) -> float:
        """Where a moment is; one beyond an end of the axis is at that end."""
        t_ns = min(max(t_ns, self.from_ns), self.until_ns)
        for stretch in self._stretches:
            if t_ns <= stretch.until_ns:
                if t_ns < stretch.from_ns:  # in the fold before it
                    return stretch.left - FOLD_WIDTH / 2
                return stretch.left + (t_ns - stretch.from_ns) * self._per_ns
        return self.right

    def ticks(self, zero_ns: int) -> list[tuple[float, str]]:
        """Round seconds after `zero_ns`, as (x, label), none of which overlap."""
        step = self._step_s()
        found: list[tuple[float, str]] = []
        free = -math.inf
        for stretch in self._stretches:
            low, high = ((t_ns - zero_ns) / 1e9 for t_ns in (stretch.from_ns, stretch.until_ns))
            numbers = [
                number * step
                for number in range(math.ceil(low / step), math.floor(high / step) + 1)
            ]
            for number in numbers or _roundest(low, high):
                x = stretch.left + (number - low) * 1e9 * self._per_ns
                label = f"{number:.9f}".rstrip("0").rstrip(".")
                half = len(label) * 3.5
                if x - half >= free:
                    found.append((x, label))
                    free = x + half + 6
        return found

    def _step_s(self) -> float:
        least = TICK_SPACING / self._per_ns / 1e9
        power = 10.0 ** math.floor(math.log10(least))
        return next(factor * power for factor in (1, 2, 5, 10, 20) if factor * power >= least)


def _roundest(low: float, high: float) -> list[float]:
    """The number with the fewest digits about midway, if there is one with nine at most."""
    rounded = (round((low + high) / 2, digits) for digits in range(10))
    return [number for number in rounded if low <= number <= high][:1]


def _cuts(points: Sequence[int]) -> list[tuple[int, int]]:
    """Which parts of time are folded, in their order."""
    gaps = sorted(
        ((end - start, start, end) for start, end in itertools.pairwise(points)),
        reverse=True,
    )
    shown = points[-1] - points[0]
    cuts: list[tuple[int, int]] = []
    for length, start, end in gaps[:MOST_FOLDS]:
        rest = shown - length
        if length < max(LEAST_FOLDED_NS, FOLDED_SHARE * shown) or rest < LEAST_LENGTH_NS:
            break
        margin = min(round(rest * MARGIN_SHARE), length // 4)
        cuts.append((start + margin, end - margin))
        shown = rest
    return sorted(cuts)
