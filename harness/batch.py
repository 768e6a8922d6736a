"""From plans to judged results: run them at a venue, judge each as it ends, leave complete run directories."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

import msgspec

from harness import plan as plans_module
from harness import timeline
from harness.errors import UsageError
from harness.judge import Verdict, judge
from harness.lab.ledger import new_run_folder
from harness.lab.places import state_folder
from harness.plan import Plan
from harness.report import json, pcapng
from harness.run import Status
from harness.timeline import Event
from harness.venue import host

VERDICT_FILE = "verdict.json"


Venue = Callable[[Sequence[Plan], Path, Status], Generator[tuple[Plan, tuple[Event, ...]]]]
"""Where plans are carried out: `venue.host.run_all`, or `venue.uml.run_all` with a kernel bound to it.

Closed before its end, as after an interrupt, it takes down what it had made.
"""


class Watcher(Protocol):
    """Told how the batch goes."""

    def status(self, name: str, what: str, until_ns: int | None) -> None:
        """A scenario awaits something, until when in CLOCK_MONOTONIC nanoseconds."""

    def done(self, result: Result) -> None:
        """A scenario has been judged and its run directory is complete."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One run, judged; `took_s` is its wall time in seconds since the batch began."""

    plan: Plan
    events: tuple[Event, ...]
    verdict: Verdict
    took_s: float


def run(plans: Sequence[Plan], out: Path, watcher: Watcher, venue: Venue = host.run_all) -> list[Result]:
    """Run all plans at a venue; results in the order of the plans.

    Each run's folder below `out` gets plan, timeline, verdict and a capture for each end. Raises CapabilityError.
    """
    started = time.monotonic()
    results: dict[str, Result] = {}
    with closing(venue(plans, out, watcher.status)) as running:
        for plan, events in running:
            verdict = judge(plan, events)
            result = Result(plan=plan, events=events, verdict=verdict, took_s=time.monotonic() - started)
            results[plan.name] = result
            folder = host.folder_of(out, plan)
            if any(event.kind == "opened" for event in events):  # it relates the frames' times to the wall clock
                pcapng.write(folder, events, observer=plan.scenario.expect.side)
            (folder / VERDICT_FILE).write_bytes(msgspec.json.encode(json.as_mapping(verdict)) + b"\n")
            watcher.done(result)
    return [results[plan.name] for plan in plans]


def new_folder() -> Path:
    """Make a run folder of our own, where the user named none: below the state folder, by date. Raises UsageError."""
    try:
        return new_run_folder(f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}")
    except OSError as error:
        raise UsageError(
            f"expected room for run directories in {state_folder()}, found {error.strerror}; name a folder for them"
        ) from error


def judge_again(folder: Path) -> list[Result]:
    """Judge every saved run at or below `folder`, from its plan and timeline alone. Raises UsageError.

    A plan without a timeline is of a run that was killed before it began: nothing happened in it.
    """
    found = sorted(path.parent for path in folder.rglob(plans_module.FILE_NAME))
    if not found:
        raise UsageError(f"expected run directories (with {plans_module.FILE_NAME}) at {folder}, found none")
    results = []
    for place in found:
        plan = plans_module.load(place)
        events = timeline.load(place) if (place / timeline.FILE_NAME).exists() else ()
        results.append(Result(plan=plan, events=events, verdict=judge(plan, events), took_s=0.0))
    return results
