"""One run with its verdict: what reports are made of."""

from __future__ import annotations

import msgspec

from harness.judge.end_timeline import of_end
from harness.judge.verdict import Verdict
from harness.plan.plan import Plan
from harness.timeline import Event


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One run, judged.

    `attempts`: how often it was run, as this machine was too busy before the last time.

    `wall_s`: how long the last attempt took here, whatever its clock; None where that is not known
    any more.
    """

    plan: Plan
    events: tuple[Event, ...]
    verdict: Verdict
    attempts: int = 1
    wall_s: float | None = None

    @property
    def word(self) -> str:
        """The verdict in a word. A run of which nothing is claimed has described its ends."""
        claims_nothing = self.plan.scenario.expect.outcome == "any"
        is_described = claims_nothing and self.verdict.verdict == "pass"
        return "described" if is_described else self.verdict.verdict

    @property
    def of_ends(self) -> tuple[Result, ...]:
        """A result for each judged end: this one, where that is one end.

        Of both, each has the plan, the events and the verdict of that end alone.
        """
        if not self.plan.ends:
            return (self,)
        return tuple(
            msgspec.structs.replace(
                self, plan=plan, events=tuple(of_end(plan, self.events)), verdict=verdict
            )
            for plan, verdict in zip(self.plan.ends, self.verdict.ends, strict=True)
        )
