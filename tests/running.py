"""Batches as tests run them: unseen, and once more what a busy machine came too late for."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from harness import batch
from harness.plan import Plan
from harness.venue import host

FEW = 4
"""So many scenarios at once leave even a busy machine time to inject each fault when it is due."""


class Silent:
    """Watches a batch without a word."""

    def status(self, name: str, what: str, until_ns: int | None) -> None:
        """Nobody looks."""

    def done(self, result: batch.Result) -> None:
        """Nobody looks."""


def undisturbed(plans: Sequence[Plan], out: Path, jobs: int | None = None) -> list[batch.Result]:
    """In real time, so many at once; what a busy machine came too late for is run again, by few, then alone."""
    results: dict[str, batch.Result] = {}
    left = list(plans)
    for at_once in (jobs, FEW, 1):
        ran = batch.run(left, out, Silent(), functools.partial(host.run_all, jobs=at_once))
        results |= {result.plan.name: result for result in ran}
        left = [r.plan for r in ran if r.verdict.cause == "machine-too-busy"]
        if not left:
            break
        out /= "again"
    return [results[plan.name] for plan in plans]
