"""Batches as tests run them: unseen, and run again where the machine was too busy.

What is run again is reported.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.batch import batch
from harness.judge.result import Result
from harness.plan.plan import Plan
from harness.venue import host, uml
from harness.venue.kernel import Kernel
from tests import documents

EXHAUSTIVE = bool(os.environ.get("EXHAUSTIVE"))
"""Whether to try all that there is time for: for a nightly run (EXHAUSTIVE=1 ci/test)."""
RETRIED: list[str] = []
"""What the running test has run again. tests/conftest.py moves it to the test's report and prints
it at the end.
"""

TOGETHER = frozenset(
    [
        *(
            f"tests/live/test_{name}.py"
            for name in ("cases", "command_line", "daemons", "evidence", "examples")
        ),
        "tests/unit/report/html/test_in_browser.py",
        "tests/unit/fuzz/test_campaign.py",
    ]
)
"""Files whose tests share one run, or look at all processes of this machine: one worker of
pytest-xdist has each.
"""


def group_of(nodeid: str) -> str:
    """What one worker runs as a whole: a file of `TOGETHER`, else a single test."""
    file = nodeid.partition("::")[0]
    return file if file in TOGETHER else nodeid


class Silent:
    """Watches a batch without a word."""

    def status(self, name: str, what: str | None, until_ns: int | None) -> None:
        """Nobody looks."""

    def done(self, result: Result) -> None:
        """Nobody looks."""


def note_retry(names: Iterable[str], why: str) -> None:
    """Have the session's summary say that the running test runs these again."""
    RETRIED.extend(f"{name} ({why})" for name in names)


def in_guests(plans: Sequence[Plan], out: Path, kernel: Kernel) -> list[Result]:
    """In virtual time, which no load disturbs; as many guests at once as there are CPUs."""
    results = batch.run(plans, out, Silent(), functools.partial(uml.run_all, kernel=kernel))
    return _documented(results, out)


def undisturbed(plans: Sequence[Plan], out: Path, jobs: int | None = None) -> list[Result]:
    """In real time, `jobs` at once.

    Where the machine was too busy for that again, at most four at once, then alone.
    """
    results = batch.run(plans, out, Silent(), functools.partial(host.run_all, jobs=jobs), retries=2)
    again = [result for result in results if result.attempts > 1]
    note_retry(
        (f"{r.plan.name}, {r.attempts - 1} times" for r in again),
        "this machine was too busy; then few at once",
    )
    return _documented(results, out)


def _documented(results: list[Result], out: Path) -> list[Result]:
    """The same; what was written is as the published schemas say."""
    for result in results:
        documents.check_run(host.folder_of(out, result.plan))
    return results
