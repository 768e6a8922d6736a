"""From plans to judged results: run them at a venue, judge each as it ends, leave complete run directories."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from harness import plan as plans_module
from harness import timeline
from harness.errors import UsageError
from harness.judge import Verdict, judge
from harness.lab.ledger import state_folder
from harness.plan import Plan
from harness.report import json, pcapng
from harness.timeline import Event
from harness.venue import host

VERDICT_FILE = "verdict.json"
CAPTURE_FILE = "capture.pcapng"


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


def run(plans: Sequence[Plan], out: Path, watcher: Watcher, jobs: int | None = None) -> list[Result]:
    """Run all plans at once, at most `jobs` at a time; results in the order of the plans.

    Each run's folder below `out` gets plan, timeline, capture and verdict. Raises CapabilityError.
    """
    started = time.monotonic()
    results: dict[str, Result] = {}
    for plan, events in host.run_all(plans, out, watcher.status, jobs):
        verdict = judge(plan, events)
        result = Result(plan=plan, events=events, verdict=verdict, took_s=time.monotonic() - started)
        results[plan.name] = result
        folder = host.folder_of(out, plan)
        pcapng.write(folder / CAPTURE_FILE, events)
        (folder / VERDICT_FILE).write_bytes(msgspec.json.encode(json.as_mapping(verdict)) + b"\n")
        watcher.done(result)
    return [results[plan.name] for plan in plans]


def new_folder() -> Path:
    """A run folder of our own, where the user named none: below the state folder, by date."""
    return state_folder() / "runs" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"


def judge_again(folder: Path) -> list[Result]:
    """Judge every saved run at or below `folder`, from its plan and timeline alone. Raises UsageError."""
    found = sorted(path.parent for path in folder.rglob(plans_module.FILE_NAME))
    if not found:
        raise UsageError(f"expected run directories (with {plans_module.FILE_NAME}) at {folder}, found none")
    results = []
    for place in found:
        plan, events = plans_module.load(place), timeline.load(place)
        results.append(Result(plan=plan, events=events, verdict=judge(plan, events), took_s=0.0))
    return results
