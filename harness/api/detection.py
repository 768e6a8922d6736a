"""What a hand-written test holds against each other: a detection and a prediction.

A time in which this process did not run may decide an assertion: a detection then is seen late, and
what is injected then may be late. `detection in expected` raises StallError where the
answer hangs on that.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from harness.errors import StallError
from harness.oracle.prediction import Outcome


class Detection(msgspec.Struct, frozen=True, kw_only=True):
    """What the observed side detected.

    `after_armed_s` seconds from arming; None, with kind "quiet", for nothing.

    `reports`: with kind "noticed" what a command said of it, or how it showed it. `gaps_s`: from
    when to when, in seconds after arming, this process did not run, in real time.
    """

    kind: str
    errno: str | None = None
    reports: str | None = None
    after_armed_s: float | None = None
    gaps_s: tuple[tuple[float, float], ...] = ()


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction that a Detection can be held against: `detection in expected`.

    Raises StallError.

    `windows_s`: [earliest, latest] after arming for each outcome that ends, without `allowance_s`.
    `changes_s`: from when to when, in seconds after arming, faults were injected and healed.
    """

    outcomes: tuple[Outcome, ...]
    allowance_s: float
    changes_s: tuple[tuple[float, float], ...] = ()

    @property
    def windows_s(self) -> tuple[tuple[float, float], ...]:
        """In the order of the outcomes; those in which nothing is detected are left out."""
        return tuple(
            (o.window_ns[0] / 1e9, o.window_ns[1] / 1e9) for o in self.outcomes if o.window_ns
        )

    def __repr__(self) -> str:
        """As assertions show it."""
        shown = [f"{o.errno or o.kind} {_range_s(o.window_ns)}" for o in self.outcomes]
        return f"<Expected {' or '.join(shown)}, allowance {self.allowance_s:g} s>"

    def __contains__(self, detection: Detection) -> bool:
        held = self._holds(detection)
        gap_s = self._deciding(detection, held=held)
        if gap_s is not None:
            raise StallError(
                *gap_s, f"{detection.errno or detection.kind} in {self!r} may be due to that"
            )
        return held

    def _holds(self, detection: Detection) -> bool:
        for outcome in self._alike(detection):
            if outcome.window_ns is None or detection.after_armed_s is None:
                return True
            lo, hi = outcome.window_ns
            if lo <= detection.after_armed_s * 1e9 <= hi + self.allowance_s * 1e9:
                return True
        return False

    def _alike(self, detection: Detection) -> Iterator[Outcome]:
        """The outcomes that a detection is one of, at whatever moment."""
        wanted = (detection.kind, detection.errno)
        return (outcome for outcome in self.outcomes if (outcome.kind, outcome.errno) == wanted)

    def _deciding(self, detection: Detection, *, held: bool) -> tuple[float, float] | None:
        """The time in which this process did not run that the answer hangs on, None where there is
        none.

        What was detected during such a time, or right after it, may have come at any moment of it.
        Beyond the allowance anything may have come late or not at all, so that nothing is refuted,
        and a program's own timers prove nothing.
        """
        seen_s = detection.after_armed_s
        gaps = [gap for gap in detection.gaps_s if seen_s is None or gap[0] < seen_s]
        for from_s, until_s in gaps:
            is_long = until_s - from_s > self.allowance_s
            changed = any(
                from_s < done_s and until_s > begun_s for begun_s, done_s in self.changes_s
            )
            if is_long and (changed or not held or detection.kind == "noticed"):
                return from_s, until_s
        earliest_s = seen_s
        for from_s, until_s in reversed(gaps):
            if (
                earliest_s is not None
                and seen_s is not None
                and earliest_s <= until_s + self.allowance_s
            ):
                earliest_s = from_s
                if any(earliest_s < edge_s <= seen_s for edge_s in self._edges_s(detection)):
                    return from_s, until_s
        return None

    def _edges_s(self, detection: Detection) -> Iterator[float]:
        """Moments at which the answer changes."""
        for outcome in self._alike(detection):
            if outcome.window_ns is not None:
                yield outcome.window_ns[0] / 1e9
                yield outcome.window_ns[1] / 1e9 + self.allowance_s


def _range_s(window_ns: tuple[int, int] | None) -> str:
    if window_ns is None:
        return "until the end of the watch"
    return f"{window_ns[0] / 1e9:.6f} to {window_ns[1] / 1e9:.6f} s after arming"
