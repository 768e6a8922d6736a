"""The command line: arguments only. Exit status 0 pass, 1 fail, 2 bad usage or scenario, 3 inconclusive."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness import __version__
from harness.errors import HarnessError, UsageError

if TYPE_CHECKING:
    from harness import batch
    from harness.judge import Verdict
    from harness.plan import Plan

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    options = _parser().parse_args(arguments)
    command: Command = options.command
    try:
        return command(options)
    except HarnessError as error:
        print(f"harness: {error}", file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        print("harness: interrupted; what was recorded is kept", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="harness",
        description="Prove when, and with which error, a TCP peer's death is noticed.",
        epilog="example: harness run outcomes",
    )
    parser.add_argument("--version", action="version", version=f"keepalive-harness {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(
        name: str, command: Callable[[argparse.Namespace], int], text: str, example: str
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=f"{text}.", epilog=f"example: {example}")
        sub.set_defaults(command=command)
        return sub

    words = {"nargs": "*", "metavar": "NAME|PATH", "help": "scenario, folder of the catalogue, or file (default: all)"}
    run = add("run", _run, "Run scenarios, all at the same time, and judge them", "harness run outcomes --json -")
    run.add_argument("words", **words)  # type: ignore[arg-type]
    run.add_argument("--json", metavar="FILE", help="write the results as JSON; - for standard output")
    run.add_argument("--junit", metavar="FILE", help="write the results as JUnit XML")
    run.add_argument("--out", metavar="DIR", help="keep plans, timelines and captures here (default: a state folder)")
    run.add_argument("--jobs", metavar="N", type=_positive, help="at most N scenarios at once (default: all)")

    listing = add("list", _list, "List the scenarios with what they claim", "harness list outcomes")
    listing.add_argument("words", **words)  # type: ignore[arg-type]

    plan = add("plan", _plan, "Show what is predicted for scenarios, without running them", "harness plan outcomes")
    plan.add_argument("words", nargs="+", metavar="NAME", help="scenario, folder of the catalogue, or file")

    judge = add("judge", _judge, "Judge saved runs again", "harness judge results/")
    judge.add_argument("folder", metavar="DIR", type=Path, help="a run directory, or a folder of them")

    _add_predict(add)
    add("doctor", _doctor, "Show what this machine can do, why not, and the mend", "harness doctor")
    clean = add("clean", _clean, "Remove exactly what earlier runs left behind", "harness clean --runs")
    clean.add_argument("--runs", action="store_true", help="also remove the run directories in the state folder")
    return parser


def _add_predict(add: Callable[..., argparse.ArgumentParser]) -> None:
    predict = add(
        "predict",
        _predict,
        "Compute when keepalive gives up on a silent peer",
        "harness predict --idle 7200 --interval 75 --count 9",
    )
    predict.add_argument("--idle", metavar="S", type=int, required=True, help="TCP_KEEPIDLE in seconds, 1 to 32767")
    predict.add_argument("--interval", metavar="S", type=int, required=True, help="TCP_KEEPINTVL in seconds")
    predict.add_argument("--count", metavar="N", type=int, required=True, help="TCP_KEEPCNT, 1 to 127")
    predict.add_argument("--user-timeout", metavar="S", type=float, default=0.0, help="TCP_USER_TIMEOUT in seconds")
    predict.add_argument("--hz", metavar="N", type=int, help="the kernel's HZ (default: this kernel's)")
    predict.add_argument("--json", action="store_true", help="print JSON")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, found {text}")
    return number


def _plans(words: Sequence[str]) -> list[Plan]:
    from harness import capabilities, loader, plan

    machine = capabilities.machine()
    return [plan.make(scenario, machine) for scenario in loader.find(words)]


def _run(options: argparse.Namespace) -> int:
    plans = _plans(options.words)
    out = _out_folder(options.out)
    for file in (options.json, options.junit):
        if file not in (None, "-") and not Path(file).resolve().parent.is_dir():
            raise UsageError(f"expected a folder to write {file} into, found none")
    from harness import batch
    from harness.report import text

    stream = sys.stderr if options.json == "-" else sys.stdout
    longest_s = max(plan.watch_ns for plan in plans) / 1e9
    started = time.monotonic()
    with text.Progress(len(plans), longest_s) as progress:
        results = batch.run(plans, out, progress, options.jobs)
    verdicts = [result.verdict for result in results]
    console = text.console(stream)
    console.print(text.table(verdicts))
    for result in results:
        if result.verdict.verdict != "pass":
            _picture(console.print, result)
    console.print(text.summary(verdicts, time.monotonic() - started))
    console.print(f"plans, timelines and captures: {out}", highlight=False)
    _write_reports(options, results)
    return _status(verdicts)


def _write_reports(options: argparse.Namespace, results: Sequence[batch.Result]) -> None:
    from harness.report import json, junit

    verdicts = [result.verdict for result in results]
    if options.json == "-":
        sys.stdout.buffer.write(json.render(verdicts))
    elif options.json:
        Path(options.json).write_bytes(json.render(verdicts))
    if options.junit:
        Path(options.junit).write_bytes(junit.render(verdicts, {r.plan.name: r.took_s for r in results}))


def _status(verdicts: Sequence[Verdict]) -> int:
    from harness.judge import EXIT_STATUS, worst

    return EXIT_STATUS[worst(verdicts)]


def _out_folder(given: str | None) -> Path:
    """An empty folder for the run's results. Raises UsageError."""
    if given is None:
        from harness.batch import new_folder

        folder = new_folder()
    else:
        folder = Path(given)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"--out: expected an empty or new folder, found {folder} in use")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out: expected a folder that can be made, found {error.strerror} at {folder}") from error
    return folder


def _list(options: argparse.Namespace) -> int:
    from rich.table import Table

    from harness import loader
    from harness.report import text

    grid = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for scenario in loader.find(options.words):
        grid.add_row(f"[cyan]{scenario.name}[/cyan]", scenario.summary)
    text.console(sys.stdout).print(grid)
    return 0


def _plan(options: argparse.Namespace) -> int:
    from harness.report.prediction import describe_plan

    print("\n\n".join(describe_plan(plan) for plan in _plans(options.words)))
    return 0


def _judge(options: argparse.Namespace) -> int:
    from harness import batch
    from harness.report import text

    results = batch.judge_again(options.folder)
    verdicts = [result.verdict for result in results]
    console = text.console(sys.stdout)
    for result in results:
        _picture(console.print, result)
    console.print(text.table(verdicts))
    return _status(verdicts)


def _picture(write: Callable[..., None], result: batch.Result) -> None:
    from rich.text import Text

    from harness.report import picture

    lines = picture.draw(result.plan, result.events)
    if lines:
        write(Text("\n".join(["", result.plan.name, *(f"  {line}" for line in lines), ""])))


def _predict(options: argparse.Namespace) -> int:
    from harness.report import prediction

    found = prediction.of_options(options.idle, options.interval, options.count, options.user_timeout, options.hz)
    if options.json:
        sys.stdout.buffer.write(prediction.as_json(found))
    else:
        print(prediction.describe(found))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    del options
    from harness import capabilities

    found = capabilities.survey()
    width = max(len(item.name) for item in found)
    for item in found:
        sign = "ok     " if item.available else "MISSING" if item.essential else "without"
        print(f"{sign}  {item.name:<{width}}  {item.found}")
        if item.mend:
            print(f"{'':<{width + 11}}mend: {item.mend}")
    return 3 if any(item.essential and not item.available for item in found) else 0


def _clean(options: argparse.Namespace) -> int:
    from harness.lab import ledger

    removed = ledger.clean()
    if options.runs:
        removed += ledger.clean_runs()
    for line in removed:
        print(f"removed {line}")
    if not removed:
        print("nothing to remove")
    return 0


if __name__ == "__main__":
    sys.exit(main())
