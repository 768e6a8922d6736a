"""Which user timeouts give up data in flight in time and outlive an outage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from harness.oracle.effects import Unpredictable
from harness.oracle.prediction import Settings
from harness.policy import answers
from harness.policy.suggest_search import UserTimeouts, first, largest

MOST_MS = 2_147_483_000
"""The longest that the kernel takes, in whole seconds."""
Certainty = Literal["sure", "exact", "hoped"]
"""By bounds, which cost nothing: those that do for sure, and those that may do; or what the oracle
computes in full, which is between the two.
"""


class InFlight(msgspec.Struct, frozen=True, kw_only=True):
    """What is demanded of data in flight at every `hz`: it is given up within so long (None: no
    matter when), and outlives an outage (0: none).
    """

    hz: tuple[int, ...]
    within_ns: int | None = None
    outage_ns: int = 0

    def needs_none(self, certainty: Literal["sure", "exact"] = "exact") -> bool:
        """Whether it is met without a user timeout."""
        return self._is_soon(0, certainty) and self._survives(0, certainty)

    def timeouts(self, grid_ms: int, certainty: Certainty) -> UserTimeouts | None:
        """Those that meet it, in multiples of `grid_ms`; None: none does."""
        every = range(1, MOST_MS // grid_ms + 1)
        # A longer user timeout outlives whatever a shorter one does, and is over later.
        least = 1 + first(every, lambda each: self._survives(each * grid_ms, certainty))
        most = largest(
            lambda each: each == 0 or self._is_soon(each * grid_ms, certainty), 0, every[-1]
        )
        return UserTimeouts(least * grid_ms, most * grid_ms, grid_ms) if least <= most else None

    def _is_soon(self, timeout_ms: int, certainty: Certainty) -> bool:
        within_ns, settings = self.within_ns, _settings(timeout_ms)
        if within_ns is None:
            return True
        if certainty == "hoped":
            return timeout_ms * 1_000_000 < within_ns
        if certainty == "sure":
            every = (answers.in_flight_bounds(settings, hz) for hz in self.hz)
            return all(each.high_ns <= within_ns for each in every)
        return _answered(lambda hz: answers.noticed_in_flight(settings, hz, within_ns)[0], self.hz)

    def _survives(self, timeout_ms: int, certainty: Certainty) -> bool:
        outage_ns, settings = self.outage_ns, _settings(timeout_ms)
        if not outage_ns:
            return True
        if certainty == "hoped":
            return outage_ns < timeout_ms * 1_000_000
        if certainty == "sure":
            return all(
                answers.sent_again_ns(outage_ns, hz)
                <= answers.in_flight_bounds(settings, hz).low_ns
                for hz in self.hz
            )
        return _answered(lambda hz: answers.survives_in_flight(settings, hz, outage_ns), self.hz)


def _settings(timeout_ms: int) -> Settings:
    return Settings(keepalive=False, user_timeout_ms=timeout_ms)


def _answered(is_so: Callable[[int], bool], every_hz: tuple[int, ...]) -> bool:
    """Whether it is so at every HZ; where there is no answer it counts as not so."""
    try:
        return all(is_so(hz) for hz in every_hz)
    except Unpredictable:
        return False
