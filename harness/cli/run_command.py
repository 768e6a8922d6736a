"""The commands that report on runs: `run`, `judge`, `matrix` and `fuzz`."""

from __future__ import annotations

import argparse
import functools
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from harness.batch import batch
from harness.batch import library_matrix as matrices
from harness.cli import confirmation, figures, html_report, request
from harness.errors import UsageError
from harness.fuzz import campaign as fuzzing
from harness.judge.result import Result
from harness.judge.verdict import EXIT_STATUS, Verdict, worst
from harness.plan.plan import Plan
from harness.report import diagram, json, junit, markdown, step_summary, text
from harness.report import fuzz as fuzz_report
from harness.report import library_matrix as matrix_report
from harness.report.html import library_grid
from harness.report.progress import Progress
from harness.report.steps import Steps
from harness.system import oserrors
from harness.system.signals import Terminated
from harness.venue import PLAN_LIMIT_S, host, uml
from harness.venue.kernel import Kernel


def run(options: argparse.Namespace) -> int:
    """Run scenarios and judge them."""
    started = time.monotonic()
    request.check_clock(options)
    kernel = request.kernel(options) if options.clock == "virtual" else None
    unasked = not options.words and kernel is None
    plans = request.plans(
        options, kernel, longest_s=confirmation.LONGEST_UNASKED_S if unasked else None
    )
    request.check_reports(options)
    console = console_of(options)
    results, out = carried_out(options, plans, kernel, console)
    wall_s = time.monotonic() - started
    verdicts = [result.verdict for result in results]
    attempts = {result.plan.name: result.attempts for result in results}
    as_json = json.render(verdicts, attempts)
    cases = [
        junit.Case(verdict=r.verdict, wall_s=r.wall_s or 0.0, attempts=r.attempts) for r in results
    ]
    overview = markdown.of_run(results, "harness run", wall_s)
    step_summary.add(overview)
    title = f"Detection of dead peers: {html_report.what(options.words)}"
    reports = {options.json: as_json, options.junit: junit.render(cases, wall_s)}
    reports |= {options.markdown: overview.encode()}
    reports |= figures.trace(options.trace, results)
    reports |= html_report.of_runs(options, results, title, wall_s=wall_s)
    with oserrors.written(reports):
        shown = [
            result for result in results if not options.quiet or result.verdict.verdict != "pass"
        ]
        if shown:
            console.print(text.VerdictTable([result.verdict for result in shown]))
            console.print()
        for result in shown:
            if result.verdict.verdict != "pass":
                draw(console, result)
        console.print(text.summary(verdicts, wall_s, attempts, brief=options.quiet))
        if shown:
            say_place(console, out)
        say_page(console, options)
        if options.json == "-":
            sys.stdout.buffer.write(as_json)
    return status(verdicts)


def judge(options: argparse.Namespace) -> int:
    """Judge saved runs again."""
    request.check_reports(options)
    console = console_of(options)
    with Steps("run", brief=True) as steps:
        results = batch.judge_again(options.folder, functools.partial(steps.each, "judging"))
    verdicts = [result.verdict for result in results]
    as_json = json.render(verdicts, {result.plan.name: result.attempts for result in results})
    reports = {options.json: as_json} | figures.trace(options.trace, results)
    reports |= figures.pictures(options, results)
    title = f"Saved runs, judged again: {options.folder}"
    reports |= html_report.of_runs(options, results, title)
    with oserrors.written(reports):
        for result in results:
            draw(console, result)
        console.print(text.VerdictTable(verdicts))
        say_page(console, options)
        if options.json == "-":
            sys.stdout.buffer.write(as_json)
    return status(verdicts)


def matrix(options: argparse.Namespace) -> int:
    """Run the suites of client libraries and compare with what they document."""
    request.check_clock(options)
    if options.no_commands:
        raise UsageError(
            "--no-commands: expected another command than matrix, which runs programs of "
            "client libraries"
        )
    found = matrices.find(options.words)
    kernel = request.kernel(options) if options.clock == "virtual" else None
    machine = request.machine(options, kernel)
    plans = request.planned(found.scenarios, machine)
    request.check_reports(options)
    console = console_of(options)
    results, out = carried_out(options, plans, kernel, console)
    verdicts = [result.verdict for result in results]
    rows, circumstances = found.rows(verdicts), text.circumstances(verdicts[0])
    as_json = matrix_report.as_json(rows, circumstances)
    as_markdown = matrix_report.markdown(rows, circumstances)
    step_summary.add(as_markdown)
    title = "What client libraries promise, and what they do"
    reports = {options.json: as_json, options.markdown: as_markdown.encode()}
    reports |= html_report.of_runs(options, results, title, grid=library_grid.grid(rows))
    with oserrors.written(reports):
        console.print(matrix_report.table(rows))
        retried = text.retried(verdicts, {result.plan.name: result.attempts for result in results})
        if retried:
            console.print(retried)
        say_place(console, out)
        say_page(console, options)
        if options.json == "-":
            sys.stdout.buffer.write(as_json)
    return status(verdicts)


def fuzz(options: argparse.Namespace) -> int:
    """Compare the oracle with a guest's kernel on random scenarios."""
    fuzzing.check_capable()
    kernel = request.kernel(options)
    seed = secrets.randbelow(1 << 32) if options.seed is None else options.seed
    request.check_reports(options)
    console = console_of(options)
    out = request.out_folder(options)
    started = time.monotonic()
    try:
        with Steps("case") as progress:
            carry = functools.partial(batch.run, watcher=progress, venue=venue_of(kernel, options))
            tally = fuzzing.run(options.cases, seed, uml.machine(kernel), carry, out, progress)
    except (KeyboardInterrupt, Terminated):
        console.print(
            f"interrupted; to run it again: harness fuzz --seed {seed} --cases {options.cases}",
            highlight=False,
        )
        say_place(console, out)
        raise
    as_json, wall_s = fuzz_report.as_json(tally), time.monotonic() - started
    with oserrors.written(
        {options.json: as_json, options.html: _fuzz_page(options, tally, wall_s)}
    ):
        console.print(*fuzz_report.describe(tally, wall_s), sep="\n")
        if tally.count("unjudged", "disagreed"):
            console.print(f"scenarios and runs to look at: {out}", soft_wrap=True, markup=False)
        say_page(console, options)
        if options.json == "-":
            sys.stdout.buffer.write(as_json)
    return EXIT_STATUS[tally.verdict]


def _fuzz_page(options: argparse.Namespace, tally: fuzzing.Tally, wall_s: float) -> bytes:
    if options.html is None:
        return b""
    from harness.report.html import fuzz_page

    command = html_report.command_line(options)
    page = fuzz_page.page(tally, command=command, wall_s=wall_s, made=html_report.made())
    return html_report.as_bytes(page)


def say_page(console: Console, options: argparse.Namespace) -> None:
    """Say where the HTML page is, where one was written."""
    if options.html is not None:
        console.print(f"report: {options.html}", soft_wrap=True, markup=False, highlight=False)


def draw(console: Console, result: Result) -> None:
    """Print the diagram of a run, if it has one."""
    lines = diagram.draw(result.plan, result.events)
    if lines:
        console.print(Text("\n".join([result.plan.name, *(f"  {line}" for line in lines), ""])))


def status(verdicts: Sequence[Verdict]) -> int:
    """The exit status: that of the worst verdict."""
    return EXIT_STATUS[worst(verdicts)]


def carried_out(
    options: argparse.Namespace, plans: Sequence[Plan], kernel: Kernel | None, console: Console
) -> tuple[list[Result], Path]:
    """The results, and the folder with the run directories.

    An interrupt shows what is done so far.
    """
    if kernel is None and options.words:  # a run without names has short scenarios only
        confirmation.ask(options, plans)
    out = request.out_folder(options)
    retries = batch.default_retries(plans) if options.retries is None else options.retries
    progress = Progress(plans, at_once=options.jobs, quiet=getattr(options, "quiet", False))
    try:
        with progress:
            results = batch.run(plans, out, progress, venue_of(kernel, options), retries=retries)
    except (
        KeyboardInterrupt,
        Terminated,
        OSError,
        MemoryError,
    ):  # of the last two: nothing can be recorded any more
        _show_interrupted(console, progress.verdicts, len(plans), out)
        raise
    return results, out


def _show_interrupted(console: Console, done: Sequence[Verdict], total: int, out: Path) -> None:
    if done:
        console.print(text.VerdictTable(done))
        console.print()
    console.print(f"interrupted: {len(done)} of {total} scenarios are done", highlight=False)
    say_place(console, out)


def console_of(options: argparse.Namespace) -> Console:
    """The stream for text: standard error where JSON goes to standard output."""
    return text.console(sys.stderr if options.json == "-" else sys.stdout)


def say_place(console: Console, out: Path) -> None:
    """Print where the run directories are."""
    console.print(f"plans, timelines and captures: {out}", soft_wrap=True, markup=False)


def venue_of(kernel: Kernel | None, options: argparse.Namespace) -> batch.Venue:
    """Where plans are carried out: in guests with this kernel, or here."""
    if kernel is None:
        return functools.partial(host.run_all, jobs=options.jobs)
    limit_s = PLAN_LIMIT_S if options.wall_limit is None else options.wall_limit
    return functools.partial(uml.run_all, kernel=kernel, jobs=options.jobs, wall_limit_s=limit_s)
