"""One run with its verdict: what reports are made of."""

from __future__ import annotations

import msgspec

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
