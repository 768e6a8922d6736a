"""`harness examine`: run the grid of faults, describe both ends, compare with a baseline."""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from harness.batch import batch
from harness.cli import html_report, request, run_command
from harness.errors import ScenarioError, UsageError
from harness.examine import baseline as baselines_made
from harness.examine import bounds, grid
from harness.examine.compare import Change, compare
from harness.examine.describe import describe
from harness.examine.findings import Examination
from harness.examine.grid import Grid, LeftOut
from harness.judge.result import Result
from harness.model.machine import MachineFacts
from harness.model.programs import Command, spelled
from harness.model.topology import SIDES, Side
from harness.plan import planner
from harness.plan.plan import Plan
from harness.report import examine_json, examine_text
from harness.report.steps import Steps
from harness.scenario import baselines, catalogue, guesses, suites
from harness.scenario.baselines import Baseline
from harness.scenario.loader import SUITES, checked
from harness.scenario.schema import Endpoint, Expect, Scenario
from harness.system import oserrors
from harness.venue.kernel import Kernel

WORSE = 1
"""The exit status where anything changed for the worse."""
UNKNOWN = 3
"""The exit status where a cell could not be examined."""


def examine(options: argparse.Namespace) -> int:
    """Describe both ends under each fault."""
    request.check_clock(options)
    earlier = None if options.against is None else _earlier(options)
    base = _base(options) if earlier is None else baselines_made.programs(earlier)
    names = [name for name in options.faults.split(",") if name]
    whole = grid.of(base, names) if earlier is None else _again(earlier, names)
    kernel = request.kernel(options) if options.clock == "virtual" else None
    machine = request.machine(options, kernel)
    _check_reports(options)
    console = run_command.console_of(options)
    if earlier is None:
        longest = None if options.bound else _longest(options, base, machine, kernel)
        whole = grid.of(base, names, options.bound, longest)
    chosen, plans = _planned(whole, machine)
    options.words = [plan.name for plan in plans]  # all of them were asked for
    results, out = run_command.carried_out(options, plans, kernel, console)
    found = _examination(base, chosen, results)
    changes = None if earlier is None else compare(earlier, found)
    as_json = examine_json.render(found, changes)
    reports = {options.json: as_json, options.baseline: _baseline(options, base, chosen, found)}
    reports |= _page(options, found, results)
    with oserrors.written(reports):
        told = examine_text.report(found) if changes is None else examine_text.changes(changes)
        console.print(told)
        run_command.say_place(console, out)
        run_command.say_page(console, options)
        if options.json == "-":
            sys.stdout.buffer.write(as_json)
    return _status(found, changes)


def _longest(
    options: argparse.Namespace, base: Scenario, machine: MachineFacts, kernel: Kernel | None
) -> bounds.Longest:
    """Look at both ends without a fault, and tell how long each must be watched after one.

    Raises SubjectError where they make no connection. In real time nothing is looked at.
    """
    if kernel is None:
        return {load: dict.fromkeys(SIDES, bounds.LONGEST_S) for load in grid.loads_of(base)}
    loads = grid.loads_of(base)
    plans = [planner.make(bounds.look(base, load), machine) for load in loads]
    with tempfile.TemporaryDirectory() as folder, Steps("look") as progress:
        venue = run_command.venue_of(kernel, options)
        results = batch.run(plans, Path(folder), progress, venue)
    return {load: bounds.longest(each) for load, each in zip(loads, results, strict=True)}


def _baseline(
    options: argparse.Namespace, base: Scenario, chosen: Grid, found: Examination
) -> bytes:
    if options.baseline is None:
        return b""
    cells = {cell.scenario.name: cell for cell in chosen.cells}
    return baselines_made.as_toml(base, cells, found, Path(options.baseline)).encode()


def _page(
    options: argparse.Namespace, found: Examination, results: Sequence[Result]
) -> dict[str | None, bytes]:
    """The HTML page by the file that it is for; empty where no page is asked for."""
    if options.html is None:
        return {}
    from harness.report import examine_page

    page = examine_page.page(
        found,
        results,
        command=html_report.command_line(options),
        made=html_report.made(),
    )
    return {options.html: html_report.as_bytes(page)}


def _status(found: Examination, changes: Sequence[Change] | None) -> int:
    """1 where anything is worse than in the baseline; 3 where a cell could not be examined."""
    if any(change.direction == "worse" for change in changes or ()):
        return WORSE
    return UNKNOWN if any(cell.trouble for cell in found.cells) else 0


def _examination(base: Scenario, chosen: Grid, results: Sequence[Result]) -> Examination:
    verdict = results[0].verdict
    guessed = [
        words
        for side in SIDES
        if (command := base.endpoint(side).command) is not None
        for words in _guesses(command, side)
    ]
    return Examination(
        client=_spelled(base, "client"),
        server=_spelled(base, "server"),
        clock=verdict.clock,
        kernel=verdict.kernel,
        hz=verdict.hz,
        cells=tuple(
            describe(cell, result) for cell, result in zip(chosen.cells, results, strict=True)
        ),
        left_out=tuple((each.fault, each.reason) for each in chosen.left_out),
        guesses=tuple(guessed),
    )


def _guesses(command: Command, side: Side) -> Iterator[str]:
    """What is taken for granted of a command, in words."""
    told = msgspec.structs.replace(command, detects=guesses.detects(command.detects))
    yield from guesses.in_words(told, side)
    if not command.detects.prints:
        yield (
            f"a detection of the {side} shows in its end, in the close of its connection, in a new "
            "connection, or in a line unlike those that it printed before the fault (not stated: "
            "detects.prints)"
        )


def _spelled(base: Scenario, side: Side) -> str:
    command = base.endpoint(side).command
    return f"the built-in {side}" if command is None else spelled(command.argv)


def _planned(chosen: Grid, machine: MachineFacts) -> tuple[Grid, list[Plan]]:
    """The cells that this machine can run, with their plans. Raises UsageError where none is left.

    In real time nobody can set the clock.
    """
    cells, plans, left_out = [], [], list(chosen.left_out)
    for cell in chosen.cells:
        try:
            plans.append(planner.make(cell.scenario, machine))
            cells.append(cell)
        except ScenarioError as error:
            left_out.append(LeftOut(cell.scenario.name, f"expected {error.expected}"))
    if not plans:
        raise UsageError(f"expected a fault that can be injected here, found: {left_out[0].reason}")
    return Grid(tuple(cells), tuple(left_out)), plans


# --- what is examined ---------------------------------------------------------------------------


def _again(earlier: Baseline, names: Sequence[str]) -> Grid:
    """The cells of a baseline; `names`: of faults, all of them where there are none."""
    cells = baselines_made.cells_of(earlier)
    known = list(dict.fromkeys(cell.fault.name for cell in cells))
    for name in names:
        if name not in known:
            raise UsageError(f"--faults: expected one of: {', '.join(known)}, found {name}")
    return Grid(tuple(each for each in cells if not names or each.fault.name in names), ())


def _earlier(options: argparse.Namespace) -> Baseline:
    """The baseline to compare with. Raises UsageError for options that it leaves no room for."""
    for option in ("word", "client", "server", "bound"):
        if getattr(options, option) is not None:
            flag = "NAME|PATH" if option == "word" else f"--{option}"
            raise UsageError(f"{flag}: expected none with --against, whose file says it")
    return baselines.load(options.against)


def _base(options: argparse.Namespace) -> Scenario:
    """Client, server and network. Raises UsageError and ScenarioError."""
    if options.word is None and options.client is None and options.server is None:
        raise UsageError("expected --client, --server, or a scenario to take them from, found none")
    base = Scenario() if options.word is None else _taken_from(options.word)
    for side in SIDES:
        words = getattr(options, side)
        if words is not None:
            base = msgspec.structs.replace(base, **{side: Endpoint(command=_command(side, words))})
    unclaimed = msgspec.structs.replace(base, expect=Expect(outcome="any", bound_s=1))
    return checked(unclaimed, "the programs to examine")


def _command(side: Side, words: str) -> Command:
    try:
        argv = tuple(shlex.split(words))
    except ValueError as error:
        raise UsageError(f"--{side}: expected a command, found {words!r}: {error}") from error
    if not argv:
        raise UsageError(f"--{side}: expected a command, found an empty one")
    return Command(argv=argv, folder=str(Path.cwd()))


def _taken_from(word: str) -> Scenario:
    """The programs and the network of a scenario, or of a suite."""
    if word.split("/", maxsplit=1)[0] == SUITES:
        found = [scenario for suite in suites.find([word]) for scenario in suites.cells(suite)][:1]
    else:
        found = catalogue.find([word])
    if len(found) != 1:
        raise UsageError(
            f"expected the name of one scenario or suite, found {len(found)} under {word}"
        )
    scenario = found[0]
    return Scenario(
        topology=scenario.topology,
        client=scenario.client,
        server=scenario.server,
        proxy=scenario.proxy,
        standby=scenario.standby,
    )


def _check_reports(options: argparse.Namespace) -> None:
    """Raise UsageError for reports that could not be written after the run."""
    request.check_reports(options)
    file = options.baseline
    if file is not None and not file.endswith(baselines.SUFFIX):
        raise UsageError(
            f"--baseline: expected a name that ends in {baselines.SUFFIX}, found {file}"
        )
