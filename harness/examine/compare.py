"""An examination against a baseline: what changed, for better or for worse, cell by cell. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from harness.examine.baseline import measured
from harness.examine.findings import CellReport, Examination
from harness.model.topology import SIDES, Side
from harness.model.values import count
from harness.scenario.baselines import Baseline, BaselineCell, MeasuredEnd

Direction = Literal["worse", "better", "different", "unknown"]
Aspect = Literal["finding", "time", "sign", "error", "cause", "recovery", "left", "run"]
_RANK = {"unaffected": 0, "detected": 1, "never": 2, "false-alarm": 3}
"""The higher, the worse; of recoveries, too."""
_RECOVERIES = {"same": 0, "new": 1, "": 2}
_FINDINGS = {
    "unaffected": "not affected",
    "detected": "detected",
    "never": "never detected",
    "false-alarm": "a false alarm",
}


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as the baseline has it."""

    cell: str
    """The name of the cell."""
    side: Side
    """Which end."""
    aspect: Aspect
    """What differs: the finding, the time, the sign, the error, the cause (which timer decided),
    the recovery, what was left, or the run, which could not be examined.
    """
    direction: Direction
    """worse, better, different (neither), or unknown where the cell could not be examined."""
    was: str
    """What the baseline says, in words."""
    is_now: str
    """What was measured now, in words."""


def compare(baseline: Baseline, report: Examination) -> tuple[Change, ...]:
    """What changed since the baseline, in the order of its cells.

    Worse: a fault is detected later or never; a false alarm; an end that went on, or worked again,
    does so later or no more; more sockets are left open. Better: the other way round. Another sign,
    error or cause is different, and neither.
    """
    now = {cell.name: cell for cell in report.cells}
    found: list[Change] = []
    for cell in baseline.cells:
        for side in SIDES:
            if cell.name in now and cell.end(side).finding != "struck":
                found += _Comparison(cell, now[cell.name], side, report.clock).changes()
    return tuple(found)


class _Comparison:
    """One end in one cell, then and now."""

    def __init__(self, cell: BaselineCell, now: CellReport, side: Side, clock: str) -> None:
        self.cell, self.now, self.side, self.clock = cell, now, side, clock
        self.was, self.end = cell.end(side), now.end(side)

    def changes(self) -> Iterator[Change]:
        if self.end.finding in ("unknown", "struck"):
            yield self._change("run", "unknown", _finding(self.was), self.now.trouble)
            return
        again = measured(self.end, self.clock)
        yield from self._of_finding(again)
        if again.finding == self.was.finding:
            yield from self._of_sign(again)
        yield from self._of_recovery(again)
        was, now = self.was.left_open, again.left_open
        if was != now:
            yield self._change("left", "worse" if now > was else "better", _open(was), _open(now))

    def _of_finding(self, again: MeasuredEnd) -> Iterator[Change]:
        was = self.was
        if again.finding != was.finding:
            worse = _RANK[again.finding] > _RANK[was.finding]
            direction: Direction = "worse" if worse else "better"
            yield self._change("finding", direction, _finding(was), _finding(again))
        elif was.window_s is not None and self.end.sign is not None:
            at_s = self.end.sign.at_s
            if not was.window_s[0] <= at_s <= was.window_s[1]:
                direction = "better" if at_s < was.window_s[0] else "worse"
                after = f"detected after {at_s:.3f} s"
                yield self._change("time", direction, _finding(was), after)

    def _of_sign(self, again: MeasuredEnd) -> Iterator[Change]:
        was = self.was
        if (was.how, was.status) != (again.how, again.status):
            yield self._change("sign", "different", _sign(was), _sign(again))
        if was.error != again.error:
            yield self._change(
                "error", "different", was.error or "no error", again.error or "no error"
            )
        if was.by != again.by:
            yield self._change("cause", "different", was.by or "nothing", again.by or "nothing")

    def _of_recovery(self, again: MeasuredEnd) -> Iterator[Change]:
        was, recovered = self.was, self.end.recovery
        if was.recovers != again.recovers:
            worse = _RECOVERIES[again.recovers] > _RECOVERIES[was.recovers]
            direction: Direction = "worse" if worse else "better"
            yield self._change("recovery", direction, _recovery(was), _recovery(again))
        elif was.recovers_s is not None and recovered is not None:
            earliest, latest = was.recovers_s
            if not earliest <= recovered.after_s <= latest:
                direction = "better" if recovered.after_s < earliest else "worse"
                yield self._change("recovery", direction, _recovery(was), _recovery(again))

    def _change(self, aspect: Aspect, direction: Direction, was: str, is_now: str) -> Change:
        return Change(
            cell=self.cell.name,
            side=self.side,
            aspect=aspect,
            direction=direction,
            was=was,
            is_now=is_now,
        )


def _finding(end: MeasuredEnd) -> str:
    words = _FINDINGS[end.finding]
    return words if end.window_s is None else f"{words} after {_span(end.window_s)}"


def _sign(end: MeasuredEnd) -> str:
    return f"{end.how}: {end.found}" if end.how else "no sign"


def _recovery(end: MeasuredEnd) -> str:
    if not end.recovers:
        return "does not work again"
    when = "" if end.recovers_s is None else f" after {_span(end.recovers_s)}"
    return f"works again on {'the same' if end.recovers == 'same' else 'a new'} connection{when}"


def _open(number: int) -> str:
    return f"{count(number, 'socket')} left open"


def _span(window_s: tuple[float, float]) -> str:
    return f"{window_s[0]:.3f} to {window_s[1]:.3f} s"
