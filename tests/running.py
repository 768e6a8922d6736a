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


def undisturbed(plans: Sequence[Plan], out: Path, jobs: int) -> list[batch.Result]:
    """In real time, so many at once; what a busy machine came too late for is run again, a few at a time."""
    results = batch.run(plans, out, Silent(), functools.partial(host.run_all, jobs=jobs))
    disturbed = [r.plan for r in results if r.verdict.verdict == "inconclusive" and "busy" in r.verdict.reason]
    again = {}
    if disturbed:
        few_at_once = functools.partial(host.run_all, jobs=FEW)
        again = {r.plan.name: r for r in batch.run(disturbed, out.with_name("again"), Silent(), few_at_once)}
    return [again.get(result.plan.name, result) for result in results]
