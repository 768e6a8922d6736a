"""Plans, kernel, folders and reports of a command line, checked before anything runs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.system import streams

if TYPE_CHECKING:
    from harness.model.machine import MachineFacts
    from harness.plan.plan import Plan
    from harness.scenario.schema import Scenario
    from harness.venue.kernel import Kernel


def plans(
    options: argparse.Namespace, kernel: Kernel | None, *, longest_s: int | None = None
) -> list[Plan]:
    """The plans of the scenarios that the words name, without those that take longer than
    `longest_s`.
    """
    from harness.plan import planner
    from harness.scenario import catalogue

    machine_facts = machine(options, kernel)
    scenarios = catalogue.find(
        options.words,
        containers=options.lab == "docker",
        guests=machine_facts.clock == "virtual",
        claimed=True,
    )
    _say_unclaimed(options.words)
    if not options.words:
        scenarios = _possible(scenarios)
    if options.no_commands:
        scenarios = _without_programs(scenarios, named=bool(options.words))
    quiet = getattr(options, "quiet", False)
    if longest_s is None:
        return planned(scenarios, machine_facts, quiet=quiet)
    limit_ns = longest_s * 1_000_000_000
    short = [each for each in scenarios if not planner.lasts_longer(each, machine_facts, limit_ns)]
    made = planned(short, machine_facts, quiet=quiet)
    fitting = [each for each in made if each.watch_ns <= limit_ns]
    if len(fitting) < len(scenarios):
        streams.complain(
            f"left out {len(scenarios) - len(fitting)} scenarios that take more than {longest_s} "
            "s of real "
            "time: name them, or use --clock virtual",
        )
    return fitting


def _say_unclaimed(words: Sequence[str]) -> None:
    """Say which cells of baselines are left out, and why."""
    from harness.scenario import baselines

    for word in words:
        if word.endswith(baselines.SUFFIX):
            for name, why in baselines.unclaimed(baselines.load(Path(word))).items():
                streams.complain(f"left out {name} of {word}: {why}")


def planned(
    scenarios: Sequence[Scenario], machine_facts: MachineFacts, *, quiet: bool = False
) -> list[Plan]:
    """The plan of each scenario; says how far it is, unless `quiet`.

    Raises ScenarioError, or ScenarioErrors for several.
    """
    from harness.plan import planner
    from harness.report.steps import Steps
    from harness.scenario import catalogue

    def make(scenario: Scenario) -> Plan:
        return planner.make(scenario, machine_facts)

    if quiet:
        return catalogue.for_each(scenarios, make)
    with Steps("scenario", brief=True) as steps:
        return catalogue.for_each(steps.each("planning", scenarios), make)


def _possible(scenarios: list[Scenario]) -> list[Scenario]:
    """The scenarios that this machine has the programs for; says how many are left out."""
    from harness import capabilities

    behind = [each for each in scenarios if each.topology.proxied_by == "toxiproxy"]
    server = capabilities.toxiproxy() if behind else None
    if server is None or server.available:
        return scenarios
    streams.complain(
        f"left out {len(behind)} scenarios behind a toxiproxy: {server.found}; fix: {server.fix}",
    )
    return [each for each in scenarios if each not in behind]


def _without_programs(scenarios: list[Scenario], *, named: bool) -> list[Scenario]:
    """Those without a program of their own.

    Raises ScenarioError or ScenarioErrors for others that were asked for.
    """
    from harness.scenario import catalogue, loader

    if named:
        catalogue.for_each(scenarios, loader.refuse_programs)
        return scenarios
    found = [each for each in scenarios if not each.programs]
    if len(found) < len(scenarios):
        streams.complain(
            f"left out {len(scenarios) - len(found)} scenarios that run commands, by --no-commands"
        )
    return found


def machine(options: argparse.Namespace, kernel: Kernel | None) -> MachineFacts:
    """Where scenarios are to run. Raises UsageError."""
    if kernel is None:
        from harness.plan.local_machine import local_machine

        return local_machine(options.lab)
    if options.lab != "netns":
        raise UsageError(
            f"--lab {options.lab}: expected --clock real with it, as containers' time is "
            "this machine's"
        )
    from harness.venue import uml

    return uml.machine(kernel, getattr(options, "seed", None))


def check_clock(options: argparse.Namespace) -> None:
    """Raise UsageError for an option that is for guests alone, where none is wanted."""
    for option, value in {
        "--wall-limit": options.wall_limit,
        "--seed": getattr(options, "seed", None),
    }.items():
        if options.clock == "real" and value is not None:
            raise UsageError(f"{option}: expected --clock virtual with it, as it is for guests")


def kernel(options: argparse.Namespace) -> Kernel:
    """The guests' kernel. Raises CapabilityError where none is built."""
    from harness.venue import kernel as kernels

    return kernels.find(options.kernel)


def check_reports(options: argparse.Namespace) -> None:
    """Raise UsageError for reports that could not be written after the run."""
    given = {f"--{name}": getattr(options, name, None) for name in _REPORTS}
    owners: dict[Path, str] = {}
    for flag, file in given.items():
        if file is None or (flag, file) == ("--json", "-"):
            continue
        if file == "-":
            raise UsageError(f"{flag}: expected a file (only --json may be -), found -")
        path = Path(file)
        target = path if path.exists() else path.resolve().parent
        if path.is_dir() or not target.exists() or not os.access(target, os.W_OK):
            raise UsageError(f"{flag}: expected a file that can be written, found {file}")
        owner = owners.setdefault(path.resolve(), flag)
        if owner != flag:
            raise UsageError(f"{flag}: expected another file than {owner}'s, found {file}")


_REPORTS = ("json", "junit", "markdown", "html", "trace", "baseline")
"""The options that name a file for a report."""


def out_folder(options: argparse.Namespace) -> Path:
    """An empty folder for the run's results. Raises UsageError."""
    if options.out is None:
        from harness.batch.batch import new_folder

        return new_folder(options.keep)
    folder = Path(options.out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        used = any(folder.iterdir())
    except OSError as error:
        raise UsageError(
            f"--out: expected a folder that can be made, found {error.strerror} at {folder}"
        ) from error
    if used or not os.access(folder, os.W_OK):
        raise UsageError(
            f"--out: expected an empty or new folder that can be written, found {folder} in use"
        )
    return folder
