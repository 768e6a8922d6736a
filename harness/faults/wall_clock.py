"""Wall clock: CLOCK_REALTIME steps, as when NTP corrects it or somebody sets the date.

Linux has one wall clock for all of a machine: no namespace has its own. So the clock of the whole
guest steps, of every host in it at once, and in real time the fault is refused. CLOCK_MONOTONIC and
the kernel's timers go on as before: TCP's timers count jiffies, which know nothing of the date.
Evidence: CLOCK_REALTIME against CLOCK_MONOTONIC, read before and after.

A clock that drifts is no fault here: the kernel gains or loses time on CLOCK_MONOTONIC as well
(adjtimex(2), kernel/time/ntp.c), by which the harness itself measures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec

from harness.errors import FaultError
from harness.faults.base import Evidence, Fault
from harness.model.topology import Layout, Side
from harness.model.values import LATEST_S, Problem
from harness.oracle.effects import Effect
from harness.system import kernel_clock, wall_clock

if TYPE_CHECKING:
    from harness.lab.host import Lab

Step = Annotated[float, msgspec.Meta(ge=-LATEST_S, le=LATEST_S)]


class WallClock(Fault, frozen=True, kw_only=True, tag="wall-clock"):
    """`step_s`: by how many seconds the clock is set forward, or back where it is negative.

    It is the clock of all hosts. Removing the fault sets it back by the same step, so that it is
    right again.
    """

    step_s: Step
    """By how many seconds the clock of all hosts is set forward, or back where it is negative."""

    summary: ClassVar[str] = "the wall clock of all hosts is set forward or back; timers go on"
    also_called: ClassVar[tuple[str, ...]] = (
        *("clock", "clock-step", "clock-jump", "clock-skew", "time-jump", "time-step"),
        *("date", "ntp"),
    )
    of_guests: ClassVar[bool] = True
    undrawn: ClassVar[str] = "no prediction depends on it, and a test of its own shows that"

    def misplaced(self, layout: Layout) -> Iterator[Problem]:
        if not self.step_s:
            yield Problem("step_s", self.step_s, "seconds to set the clock forward, or back (-60)")

    def hosts(self, layout: Layout) -> frozenset[str]:
        return frozenset()  # none of their namespaces

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        return ()

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        if kernel_clock.clock() != "virtual":
            raise FaultError(
                f"{self.kind}: expected a guest, whose clock may be set, found this machine's "
                "own kernel; fix: --clock virtual"
            )
        for name in lab.layout.host_names:
            tracker = lab.host(name).flow_tracker
            if tracker is not None:
                tracker()  # what was captured until now has stamps of the clock as it was
        step_ns = round(self.step_s * 1e9)
        before_ns, moved_before_ns = wall_clock.ahead_ns(), wall_clock.moved_ns()
        _move(self.kind, step_ns)
        stepped_ns = wall_clock.ahead_ns() - before_ns

        def evidence() -> Evidence:
            others_ns = wall_clock.moved_ns() - moved_before_ns - step_ns
            now_ns = wall_clock.ahead_ns() - before_ns - others_ns
            found = f"CLOCK_REALTIME of all hosts stepped by {stepped_ns / 1e9:+.3f} s"
            if abs(now_ns - step_ns) > wall_clock.TOLERANCE_NS:
                found += f", and somebody set it since: {now_ns / 1e9:+.3f} s"
                return Evidence(level="none", found=found)
            return Evidence(level="bit", found=f"{found} against CLOCK_MONOTONIC")

        try:
            yield evidence
        finally:
            _move(self.kind, -step_ns)


def _move(kind: str, by_ns: int) -> None:
    """Move the clock. Raises FaultError."""
    try:
        wall_clock.move(by_ns)
    except OSError as error:
        raise FaultError(
            f"{kind}: expected to set the clock by {by_ns / 1e9:+g} s, found {error}"
        ) from error
