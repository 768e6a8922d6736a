"""From plans to judged results: run them at a venue, judge each as it ends, leave complete run
directories.
"""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

from harness import timeline
from harness.errors import LabError, UsageError
from harness.judge.result import Result
from harness.judge.verdict import judge
from harness.lab import run_folders
from harness.plan import plan_file
from harness.plan.plan import Plan
from harness.report import json, pcapng
from harness.runner.execute import Status
from harness.system import plain_files
from harness.system.user_dirs import state_folder
from harness.venue import host
from harness.venue.host import Carried

VERDICT_FILE = "verdict.json"
ATTEMPTS_FOLDER = "attempts"
"""In a run directory: one folder for each earlier attempt, "1" for the first."""
FEW = 4
"""So many scenarios at once leave even a busy machine time to inject each fault when it is due."""
KEPT_RUNS = 20
"""How many folders of run directories stay in the state folder unless told otherwise."""


Venue = Callable[[Sequence[Plan], Path, Status], Generator[Carried]]
"""Where plans are carried out: `venue.host.run_all`, or `venue.uml.run_all` with a kernel bound to
it.

Closed before its end, as after an interrupt, it takes down what it had made.
"""


class BatchWatcher(Protocol):
    """Told how the batch goes."""

    def status(self, name: str, what: str | None, until_ns: int | None) -> None:
        """What a scenario waits for, and its deadline in CLOCK_MONOTONIC nanoseconds.

        None: it has ended.
        """

    def done(self, result: Result) -> None:
        """A scenario has been judged and its run directory is complete."""


def run(
    plans: Sequence[Plan],
    out: Path,
    watcher: BatchWatcher,
    venue: Venue = host.run_all,
    *,
    retries: int = 0,
) -> list[Result]:
    """Run all plans at a venue; results in the order of the plans.

    Each run's folder below `out` gets plan, timeline, verdict and a capture for each end. What
    cannot be judged because this machine was too busy is run again after the others, at most
    `retries` times: first by few at once, then alone. The files of an earlier attempt go to
    `attempts/N` in the run's folder. Raises CapabilityError.
    """
    results: dict[str, Result] = {}
    left = list(plans)
    for attempt in range(1, retries + 2):
        busy: list[Plan] = []
        for some in _at_once(left, attempt):
            for result in _judged(some, out, watcher, venue, attempt):
                results[result.plan.name] = result
                if attempt <= retries and result.verdict.cause == "machine-too-busy":
                    watcher.status(
                        result.plan.name, "another attempt, as this machine was too busy", None
                    )
                    busy.append(result.plan)
                else:
                    watcher.done(result)
        left = busy
        for plan in left:
            _set_aside(host.folder_of(out, plan))
    return [results[plan.name] for plan in plans]


def default_retries(plans: Sequence[Plan]) -> int:
    """One in real time. In virtual time load makes no difference."""
    return int(any(plan.machine.clock == "real" for plan in plans))


def gives_up_after_ns(plans: Sequence[Plan], retries: int) -> int:
    """How long `run` may take on this kernel, in nanoseconds of the plans' clock, if all of them
    are run again.
    """
    attempts = range(1, retries + 2)
    return sum(
        host.gives_up_after_ns(some) for attempt in attempts for some in _at_once(plans, attempt)
    )


def _at_once(plans: Sequence[Plan], attempt: int) -> Sequence[Sequence[Plan]]:
    """What is run at the same time: all at the first attempt, then few that take about as long,
    then each alone.
    """
    if attempt == 1:
        return [plans]
    by_length = sorted(plans, key=lambda plan: plan.watch_ns)
    size = FEW if attempt == 2 else 1
    return [by_length[start : start + size] for start in range(0, len(by_length), size)]


def _judged(
    plans: Sequence[Plan], out: Path, watcher: BatchWatcher, venue: Venue, attempt: int
) -> Iterator[Result]:
    """Each plan's result as it ends, with its folder complete."""
    with closing(venue(plans, out, watcher.status)) as running:
        for plan, events, wall_s in running:
            verdict = judge(plan, events)
            folder = host.folder_of(out, plan)
            if any(
                event.kind == "opened" for event in events
            ):  # it relates the frames' times to the wall clock
                pcapng.write(folder, events, observer=plan.side)
            plain_files.write(folder / VERDICT_FILE, json.verdict_file(verdict, attempt))
            yield Result(plan=plan, events=events, verdict=verdict, attempts=attempt, wall_s=wall_s)


def _set_aside(folder: Path) -> None:
    """Make room for the next attempt.

    The folders in a run's folder are those of scenarios below its name.

    There may be attempts of an earlier batch: a pytest session may run a scenario twice.
    """
    place = next(
        place for number in itertools.count(1) if not (place := _attempt(folder, number)).exists()
    )
    place.mkdir(parents=True)
    for path in list(folder.iterdir()):
        if not path.is_dir():
            path.rename(place / path.name)


def _attempt(folder: Path, number: int) -> Path:
    """The folder of an earlier attempt of the run in `folder`."""
    return folder / ATTEMPTS_FOLDER / str(number)


def _later_attempts(place: Path) -> set[Path]:
    """Where a later attempt than the one in a run directory would be; nowhere for a run's last."""
    if place.parent.name != ATTEMPTS_FOLDER or not place.name.isdecimal():
        return set()
    folder = place.parent.parent
    return {folder, _attempt(folder, int(place.name) + 1)}


def new_folder(keep: int = KEPT_RUNS) -> Path:
    """Make a run folder of our own, where the user named none: below the state folder, by date.

    Raises UsageError.

    Of the earlier ones the newest stay, so that there are `keep` of them with the new one.
    """
    try:
        folder = run_folders.new(f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}")
    except OSError as error:
        raise UsageError(
            f"expected room for run directories in {state_folder()}, found {error.strerror}; "
            "name a folder for them"
        ) from error
    except LabError as error:
        raise UsageError(f"{error}; or name a folder for run directories") from error
    run_folders.trim(keep)
    return folder


def judge_again(
    folder: Path, watched: Callable[[Sequence[Path]], Iterable[Path]] = iter
) -> list[Result]:
    """Judge every saved run at or below `folder`, from its plan and timeline alone.

    `watched`: given all run directories, hands them over one by one. Raises UsageError.

    A plan without a timeline is of a run that was killed before it began: nothing happened in it.
    An attempt is left out where a later one was begun.
    """
    found = sorted(path.parent for path in folder.rglob(plan_file.FILE_NAME))
    found = [place for place in found if _later_attempts(place).isdisjoint(found)]
    if not found:
        raise UsageError(
            f"expected run directories (with {plan_file.FILE_NAME}) at {folder}, found none"
        )
    results = []
    for place in watched(found):
        plan = plan_file.load(place)
        events = timeline.load(place) if (place / timeline.FILE_NAME).exists() else ()
        attempts = 1 + sum(1 for _ in place.glob(f"{ATTEMPTS_FOLDER}/*"))
        results.append(
            Result(plan=plan, events=events, verdict=judge(plan, events), attempts=attempts)
        )
    return results
