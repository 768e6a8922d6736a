"""The command line: what each command does. Exit status 0 pass, 1 fail, 2 bad usage or scenario, 3 inconclusive."""

from __future__ import annotations

import argparse
import functools
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.arguments import parse
from harness.errors import HarnessError, UsageError
from harness.signals import Terminated, told_to_end

if TYPE_CHECKING:
    from harness import batch
    from harness.judge import Verdict
    from harness.plan import MachineFacts, Plan
    from harness.scenario import Scenario
    from harness.venue.kernel import Kernel

Command = Callable[[argparse.Namespace], int]


PATIENCE_S = 60
"""The longest that a scenario which nobody named may take in real time."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status, 128 + n where signal n ended it."""
    options = parse(arguments, COMMANDS)
    command: Command = options.command
    kept = "; what was recorded is kept" if command is _run else ""
    try:
        with told_to_end():
            return command(options)
    except HarnessError as error:
        print(f"harness: {error}", file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        where = f" at {error.filename}" if error.filename else ""
        print(f"harness: {error.strerror or error}{where}", file=sys.stderr)
        return UsageError.exit_status
    except KeyboardInterrupt:
        print(f"harness: interrupted{kept}", file=sys.stderr)
        return 128 + signal.SIGINT
    except Terminated as end:
        print(f"harness: ended by {end.signal.name}{kept}", file=sys.stderr)
        return 128 + end.signal


def _plans(options: argparse.Namespace, kernel: Kernel | None, *, patience_s: int | None = None) -> list[Plan]:
    """The plans of what the words name, without those that surely take longer than `patience_s`."""
    from harness import loader, plan

    machine = _machine(options, kernel)
    scenarios = loader.find(options.words, containers=options.lab == "docker", claimed=True)
    if not options.words:
        scenarios = _possible(scenarios)
    if patience_s is None:
        return loader.for_each(scenarios, lambda scenario: plan.make(scenario, machine))
    limit_ns = patience_s * 1_000_000_000
    plans = [plan.make(each, machine) for each in scenarios if not plan.lasts_longer(each, machine, limit_ns)]
    fitting = [each for each in plans if each.watch_ns <= limit_ns]
    if len(fitting) < len(scenarios):
        print(
            f"harness: left out {len(scenarios) - len(fitting)} scenarios that take more than {patience_s} s of real "
            "time: name them, or use --clock virtual",
            file=sys.stderr,
        )
    return fitting


def _possible(scenarios: list[Scenario]) -> list[Scenario]:
    """Those that nobody asked for by name, without what this machine lacks a program for, which is said."""
    from harness import capabilities

    behind = [each for each in scenarios if each.topology.proxied_by == "toxiproxy"]
    server = capabilities.toxiproxy() if behind else None
    if server is None or server.available:
        return scenarios
    print(
        f"harness: left out {len(behind)} scenarios behind a toxiproxy: {server.found}; mend: {server.mend}",
        file=sys.stderr,
    )
    return [each for each in scenarios if each not in behind]


def _machine(options: argparse.Namespace, kernel: Kernel | None) -> MachineFacts:
    """Where scenarios are to run. Raises UsageError."""
    if kernel is None:
        from harness import capabilities

        return capabilities.machine(options.lab)
    if options.lab != "netns":
        raise UsageError(f"--lab {options.lab}: expected --clock real with it, as containers' time is this machine's")
    from harness.venue import uml

    return uml.machine(kernel)


def _run(options: argparse.Namespace) -> int:
    started = time.monotonic()
    kernel = _kernel_of(options) if options.clock == "virtual" else None
    unasked = not options.words and kernel is None
    plans = _plans(options, kernel, patience_s=PATIENCE_S if unasked else None)
    _check_reports(options)
    out = _out_folder(options.out)
    from harness import batch
    from harness.report import text

    stream = sys.stderr if options.json == "-" else sys.stdout
    longest_s = max(plan.watch_ns for plan in plans) / 1e9
    with text.Progress(len(plans), longest_s) as progress:
        results = batch.run(plans, out, progress, _venue(kernel, options.jobs))
    verdicts = [result.verdict for result in results]
    console = text.console(stream)
    console.print(text.VerdictTable(verdicts))
    console.print()
    for result in results:
        if result.verdict.verdict != "pass":
            _picture(console.print, result)
    wall_s = time.monotonic() - started
    console.print(text.summary(verdicts, wall_s))
    console.print(f"plans, timelines and captures: {out}", soft_wrap=True, markup=False)
    _write_reports(options, results, wall_s)
    return _status(verdicts)


def _check_reports(options: argparse.Namespace) -> None:
    """Raise UsageError for reports that could not be written after the run."""
    junit = getattr(options, "junit", None)
    given = {"--json": options.json, "--junit": junit, "--markdown": getattr(options, "markdown", None)}
    for flag, file in given.items():
        if file is None or (flag, file) == ("--json", "-"):
            continue
        path = Path(file)
        target = path if path.exists() else path.resolve().parent
        if path.is_dir() or not target.exists() or not os.access(target, os.W_OK):
            raise UsageError(f"{flag}: expected a file that can be written, found {file}")
    if options.json is not None and options.json == junit:
        raise UsageError(f"--junit: expected another file than --json's, found {junit}")


def _kernel_of(options: argparse.Namespace) -> Kernel:
    from harness.venue import kernel

    return kernel.find(options.kernel)


def _venue(kernel: Kernel | None, jobs: int | None) -> batch.Venue:
    from harness.venue import host, uml

    if kernel is None:
        return functools.partial(host.run_all, jobs=jobs)
    return functools.partial(uml.run_all, kernel=kernel, jobs=jobs)


def _write_reports(options: argparse.Namespace, results: Sequence[batch.Result], wall_s: float) -> None:
    from harness.report import json, junit

    verdicts = [result.verdict for result in results]
    if options.json == "-":
        sys.stdout.buffer.write(json.render(verdicts))
    elif options.json:
        Path(options.json).write_bytes(json.render(verdicts))
    if options.junit:
        took_s = {r.plan.name: max(event.t_ns for event in r.events) / 1e9 for r in results}
        Path(options.junit).write_bytes(junit.render(verdicts, took_s, wall_s))


def _status(verdicts: Sequence[Verdict]) -> int:
    from harness.judge import EXIT_STATUS, worst

    return EXIT_STATUS[worst(verdicts)]


def _out_folder(given: str | None) -> Path:
    """An empty folder for the run's results. Raises UsageError."""
    if given is None:
        from harness.batch import new_folder

        return new_folder()
    folder = Path(given)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        used = any(folder.iterdir())
    except OSError as error:
        raise UsageError(f"--out: expected a folder that can be made, found {error.strerror} at {folder}") from error
    if used or not os.access(folder, os.W_OK):
        raise UsageError(f"--out: expected an empty or new folder that can be written, found {folder} in use")
    return folder


def _list(options: argparse.Namespace) -> int:
    from harness import loader
    from harness.report import text

    text.console(sys.stdout).print(text.listing(loader.find(options.words, containers=True), loader.abouts()))
    return 0


def _show(options: argparse.Namespace) -> int:
    from harness import show

    sys.stdout.write(show.source_of(options.word).read_text(encoding="utf-8"))
    return 0


def _new(options: argparse.Namespace) -> int:
    from harness import show

    file = show.create(options.file, options.origin)
    print(f"wrote {file}; next: harness plan {shlex.quote(str(file))}")
    return 0


def _plan(options: argparse.Namespace) -> int:
    from harness.report.prediction import describe_plan

    kernel = _kernel_of(options) if options.clock == "virtual" else None
    plans = _plans(options, kernel)
    print("\n\n".join(describe_plan(plan) for plan in plans))
    wrong = [plan.name for plan in plans if plan.contradicts and not plan.scenario.known_failure]
    if wrong:
        print(f"harness: expected claims that can hold, found contradictions in {', '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


def _judge(options: argparse.Namespace) -> int:
    from harness import batch
    from harness.report import text

    results = batch.judge_again(options.folder)
    verdicts = [result.verdict for result in results]
    console = text.console(sys.stdout)
    for result in results:
        _picture(console.print, result)
    console.print(text.VerdictTable(verdicts))
    return _status(verdicts)


def _picture(write: Callable[..., None], result: batch.Result) -> None:
    from rich.text import Text

    from harness.report import picture

    lines = picture.draw(result.plan, result.events)
    if lines:
        write(Text("\n".join([result.plan.name, *(f"  {line}" for line in lines), ""])))


def _predict(options: argparse.Namespace) -> int:
    from harness import predict

    answer = predict.answer(options)
    for hint in answer.hints:
        print(f"harness: {hint}", file=sys.stderr)
    if options.json:
        sys.stdout.buffer.write(answer.json)
    else:
        print(answer.text)
    return 0


def _fuzz(options: argparse.Namespace) -> int:
    import secrets

    from harness import batch, fuzz
    from harness.judge import EXIT_STATUS
    from harness.report import fuzz as report
    from harness.report import text
    from harness.venue import uml

    fuzz.check_capable()
    kernel = _kernel_of(options)
    seed = secrets.randbelow(1 << 32) if options.seed is None else options.seed
    _check_reports(options)
    out = _out_folder(options.out)
    started = time.monotonic()
    with report.Progress() as progress:
        venue = _venue(kernel, options.jobs)
        carry = functools.partial(batch.run, watcher=progress, venue=venue)
        tally = fuzz.run(options.cases, seed, uml.machine(kernel), carry, out, progress)
    console = text.console(sys.stderr if options.json == "-" else sys.stdout)
    console.print(*report.describe(tally, time.monotonic() - started), sep="\n")
    if tally.count("unjudged", "disagreed"):
        console.print(f"files and runs that leave a question: {out}", soft_wrap=True, markup=False)
    if options.json == "-":
        sys.stdout.buffer.write(report.as_json(tally))
    elif options.json:
        Path(options.json).write_bytes(report.as_json(tally))
    return EXIT_STATUS[tally.verdict]


def _matrix(options: argparse.Namespace) -> int:
    from harness import batch, matrix, plan
    from harness.report import matrix as report
    from harness.report import text

    found = matrix.find(options.words)
    kernel = _kernel_of(options) if options.clock == "virtual" else None
    machine = _machine(options, kernel)
    plans = [plan.make(scenario, machine) for scenario in found.scenarios]
    _check_reports(options)
    out = _out_folder(options.out)
    longest_s = max(each.watch_ns for each in plans) / 1e9
    with text.Progress(len(plans), longest_s) as progress:
        results = batch.run(plans, out, progress, _venue(kernel, options.jobs))
    verdicts = [result.verdict for result in results]
    rows, circumstances = found.rows(verdicts), text.circumstances(verdicts[0])
    console = text.console(sys.stderr if options.json == "-" else sys.stdout)
    console.print(report.table(rows))
    console.print(f"plans, timelines and captures: {out}", soft_wrap=True, markup=False)
    if options.markdown:
        Path(options.markdown).write_text(report.markdown(rows, circumstances))
    if options.json == "-":
        sys.stdout.buffer.write(report.as_json(rows, circumstances))
    elif options.json:
        Path(options.json).write_bytes(report.as_json(rows, circumstances))
    return _status(verdicts)


def _doctor(options: argparse.Namespace) -> int:
    del options
    from harness import capabilities
    from harness.report import survey

    found = capabilities.survey()
    print("\n".join(survey.describe(found, shutil.get_terminal_size().columns)))
    return 3 if any(item.essential and not item.available for item in found) else 0


def _kernel(options: argparse.Namespace) -> int:
    from harness.report.text import BuildProgress
    from harness.venue import kernel

    if options.verb == "build":
        known = kernel.current(options.hz) if options.if_missing else None
        if known is not None:
            print(known.path)
            return 0
        with BuildProgress() as progress:
            built = kernel.build(options.hz, options.source, options.jobs, progress.tell)
        print(built.path)
    elif options.verb == "list":
        today = kernel.recipe()
        for found in kernel.installed():
            old = "" if found.manifest.recipe == today else "  (built by another version of the harness)"
            print(f"{found.name:<24} {found.manifest.release:<12} HZ={found.manifest.hz:<5} {found.path}{old}")
    else:
        print(kernel.find(options.name).path)
    return 0


def _vtime(options: argparse.Namespace) -> int:
    from harness.venue import vtime

    argv = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
    ended = vtime.run(_kernel_of(options), argv, write=options.write, wall_limit_s=options.wall_limit)
    print(f"harness: {ended.virtual_s:.2f} s of virtual time in {ended.wall_s:.2f} s", file=sys.stderr)
    return ended.status


def _inject(options: argparse.Namespace) -> int:
    from harness import attachment

    fault = attachment.fault_of(options.fault, options.set)
    if fault.lasting and options.for_s is not None:
        raise UsageError(f"--for: expected none with {fault.kind}, which is not undone")
    with attachment.Attachment(options.container, family=options.family, device=options.device) as attached:
        injection = attached.begin(fault)
        ending = "" if fault.lasting else f"; heals after {options.for_s:g} s" if options.for_s else "; ^C heals it"
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's background jobs begin with it ignored
        try:
            print(f"{fault.kind} in {options.container}, here the server{ending}", flush=True)
            if not fault.lasting:
                _sleep(options.for_s)
        except KeyboardInterrupt:
            print(file=sys.stderr)
        finally:
            injection.heal()
        proof = injection.gather()
    healed = "" if fault.lasting else "healed; "
    print(f"{healed}{proof.level}: {proof.found}")
    if proof.level != "bit":
        why = "nothing met the fault while it was on" if proof.level == "in-place" else "the fault left no trace"
        print(f"harness: {why}, so that nothing is proven by it", file=sys.stderr)
    return 0 if proof.level == "bit" else 3


def _sleep(for_s: float | None) -> None:
    """Wait, or wait for an interrupt, with the seconds left on a terminal."""
    from harness.report import text

    end = None if for_s is None else time.monotonic() + for_s
    with text.Countdown() as countdown:
        while end is None or (left := end - time.monotonic()) > 0:
            countdown.show(None if end is None else left)
            time.sleep(1.0 if end is None else min(1.0, left))


def _clean(options: argparse.Namespace) -> int:
    from harness.lab import containers, ledger

    cleaned = ledger.clean()
    done = [*cleaned.done]
    if options.images:
        done += containers.clean_images()
    if options.runs:
        done += ledger.clean_runs()
    for line in done:
        print(line)
    for line in cleaned.kept:
        print(f"harness: left {line}", file=sys.stderr)
    if not done and not cleaned.kept:
        print("nothing to remove")
    return 3 if cleaned.kept else 0


COMMANDS: dict[str, Command] = {
    "run": _run,
    "list": _list,
    "show": _show,
    "new": _new,
    "plan": _plan,
    "judge": _judge,
    "predict": _predict,
    "kernel": _kernel,
    "vtime": _vtime,
    "fuzz": _fuzz,
    "matrix": _matrix,
    "inject": _inject,
    "doctor": _doctor,
    "clean": _clean,
}


if __name__ == "__main__":
    sys.exit(main())
