"""The command line: what each command does.

Exit status 0 pass, 1 refuted, 2 bad usage or scenario, 3 inconclusive. 1 means nothing else: a
defect of the harness, a limit of the machine and an output that cannot be written have others.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from harness.cli.parser import parse
from harness.errors import HarnessError, UsageError
from harness.report import ascii_output
from harness.system import streams
from harness.system.escapes import visible
from harness.system.signals import Terminated, told_to_end

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status.

    It is 128 + n where signal n ended the command, and 141 where the reader of its output is gone.
    """
    try:
        streams.fill()
        for stream in (sys.stdout, sys.stderr):
            ascii_output.replace_missing(stream)
        return streams.flushed(_carried_out(arguments))
    except SystemExit as end:  # argparse has printed help, or what is wrong
        raise SystemExit(streams.flushed(int(end.code or 0))) from None
    except BrokenPipeError:
        return streams.flushed(streams.BROKEN_PIPE)
    except KeyboardInterrupt:
        return streams.flushed(128 + signal.SIGINT)
    except Exception as error:  # noqa: BLE001 - the interpreter would end with 1, which is for claims that fail
        return streams.flushed(_defect(error))


def _defect(error: BaseException) -> int:
    """Report an unexpected error. The exit status is 3, whatever else goes wrong meanwhile."""
    try:
        from harness.cli import defects

        defects.tell(error)
    except BrokenPipeError:
        return streams.BROKEN_PIPE
    except BaseException:  # noqa: BLE001 - without memory nothing may be left to tell it with
        with suppress(BrokenPipeError):
            streams.complain(
                "a defect of the harness that could not be printed (there may be no memory left); "
                "nothing is proven or refuted"
            )
    return HarnessError.exit_status


def _carried_out(arguments: Sequence[str] | None) -> int:
    options = parse(arguments, COMMANDS)
    command: Command = options.command
    kept = "; what was recorded is kept" if command in (_run, _matrix, _fuzz, _examine) else ""
    try:
        with told_to_end():
            status = command(options)
            sys.stdout.flush()
    except HarnessError as error:
        streams.complain(str(error))
        return error.exit_status
    except BrokenPipeError:
        return streams.BROKEN_PIPE
    except OSError as error:
        from harness.system import oserrors

        out = getattr(options, "out", None)
        streams.complain(oserrors.in_words(error, None if out is None else Path(out)))
        return oserrors.exit_status(error)
    except KeyboardInterrupt:
        streams.complain(f"interrupted{kept}")
        return 128 + signal.SIGINT
    except Terminated as end:
        streams.complain(f"ended by {end.signal.name}{kept}")
        return 128 + end.signal
    return status


def _run(options: argparse.Namespace) -> int:
    from harness.cli import run_command

    return run_command.run(options)


def _matrix(options: argparse.Namespace) -> int:
    from harness.cli import run_command

    return run_command.matrix(options)


def _examine(options: argparse.Namespace) -> int:
    from harness.cli import examine

    return examine.examine(options)


def _fuzz(options: argparse.Namespace) -> int:
    from harness.cli import run_command

    return run_command.fuzz(options)


def _list(options: argparse.Namespace) -> int:
    from harness.report import fault_listing, text
    from harness.scenario import catalogue, loader

    if options.faults:
        if options.words:
            raise UsageError(
                f"--faults: expected no names of scenarios with it, found {' '.join(options.words)}"
            )
        text.console(sys.stdout).print(fault_listing.render(), soft_wrap=True, highlight=False)
        return 0
    scenarios = catalogue.find(options.words, containers=True, guests=True)
    text.console(sys.stdout).print(text.Listing(scenarios, loader.abouts()))
    return 0


def _show(options: argparse.Namespace) -> int:
    from harness.cli import show

    shown = (
        show.content_of(show.source_of(options.word)).decode(errors="replace").replace("\r\n", "\n")
    )
    sys.stdout.write(visible(shown) if sys.stdout.isatty() else shown)
    return 0


def _new(options: argparse.Namespace) -> int:
    import shlex

    from harness.cli import show
    from harness.scenario import loader

    file = show.create(options.file, options.origin)
    streams.say(f"wrote {file}; next: harness plan {shlex.quote(str(file))}")
    if not file.name.endswith(loader.SUFFIX):
        streams.complain(
            f"name it {file.stem}{loader.SUFFIX}: pytest and commands that are given a folder find "
            f"no other names than *{loader.SUFFIX}"
        )
    return 0


def _plan(options: argparse.Namespace) -> int:
    from harness.cli import request
    from harness.report.plan_text import describe_plan

    kernel = request.kernel(options) if options.clock == "virtual" else None
    plans = request.plans(options, kernel)
    streams.say("\n\n".join(describe_plan(plan) for plan in plans))
    wrong = [plan.name for plan in plans if plan.contradicts and not plan.scenario.known_failure]
    if wrong:
        streams.complain(
            f"expected claims that agree with the prediction, found others in {', '.join(wrong)}"
        )
    return 1 if wrong else 0


def _judge(options: argparse.Namespace) -> int:
    from harness.cli import run_command

    return run_command.judge(options)


def _predict(options: argparse.Namespace) -> int:
    from harness.cli import predict

    answer = predict.answer(options)
    for hint in answer.hints:
        streams.complain(f"{hint}")
    if options.json:
        sys.stdout.buffer.write(answer.json)
    else:
        streams.say(answer.text)
    return 0


def _doctor(options: argparse.Namespace) -> int:
    del options
    import shutil

    from harness import capabilities
    from harness.report import doctor

    found = capabilities.survey()
    streams.say("\n".join(doctor.describe(found, shutil.get_terminal_size().columns)))
    return 3 if any(item.essential and not item.available for item in found) else 0


def _kernel(options: argparse.Namespace) -> int:
    from harness.report.progress import BuildProgress
    from harness.venue import kernel, kernel_build, kernel_recipe

    if options.verb == "build":
        known = kernel.current(options.hz) if options.if_missing else None
        if known is not None:
            streams.say(str(known.path))
            return 0
        with BuildProgress() as progress:
            built = kernel_build.build(options.hz, options.source, options.jobs, progress.tell)
        streams.say(str(built.path))
    elif options.verb == "list":
        today = kernel_recipe.recipe()
        installed = kernel.installed()
        width = max((len(found.name) for found in installed), default=0)
        for found in installed:
            old = (
                ""
                if found.manifest.recipe == today
                else "  (built by another version of the harness)"
            )
            streams.say(
                f"{found.name:<{width}}  {found.manifest.release:<10}  "
                f"HZ={found.manifest.hz:<4}  {found.path}{old}"
            )
    else:
        streams.say(str(kernel.find(options.name).path))
    return 0


def _check(options: argparse.Namespace) -> int:
    from harness.cli import check

    return check.run(options)


def _audit(options: argparse.Namespace) -> int:
    from harness.cli import audit

    return audit.run(options)


def _suggest(options: argparse.Namespace) -> int:
    from harness.cli import suggest

    return suggest.run(options)


def _explain(options: argparse.Namespace) -> int:
    from harness.cli import check

    return check.explain(options)


def _schema(options: argparse.Namespace) -> int:
    from harness.cli import schema

    streams.put(schema.render(options.kind))
    return 0


def _vtime(options: argparse.Namespace) -> int:
    from harness.cli import request
    from harness.venue import seeding, vtime

    argv = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
    kernel = request.kernel(options)
    words = seeding.words(kernel, options.seed)
    ended = vtime.run(
        kernel, argv, write=options.write, wall_limit_s=options.wall_limit, words=words
    )
    streams.complain(f"{ended.virtual_s:.2f} s of virtual time in {ended.wall_s:.2f} s")
    return ended.status


def _inject(options: argparse.Namespace) -> int:
    from harness.api import container_session

    fault = container_session.fault_of(options.fault, options.set)
    if fault.lasting and options.for_s is not None:
        raise UsageError(
            f"--for: expected no duration with {fault.kind}, which cannot be undone, found "
            f"{options.for_s:g} s"
        )
    with container_session.Attachment(
        options.container, family=options.family, device=options.device
    ) as attached:
        injection = attached.begin(fault)
        ending = (
            ""
            if fault.lasting
            else f"; removed after {options.for_s:g} s"
            if options.for_s
            else "; Ctrl-C removes it"
        )
        signal.signal(
            signal.SIGINT, signal.default_int_handler
        )  # a script's background jobs begin with it ignored
        try:
            streams.say(f"{fault.kind} in {options.container}, here the server{ending}")
            sys.stdout.flush()
            if not fault.lasting:
                _sleep(options.for_s)
        except KeyboardInterrupt:
            sys.stderr.write("\n")
        finally:
            injection.heal()
        proof = injection.gather()
    removed = "" if fault.lasting else "removed; "
    streams.say(f"{removed}{_PROOF[proof.level]}: {proof.found}")
    if proof.level != "bit":
        streams.complain("nothing is proven: no traffic met the fault while it was on")
    return 0 if proof.level == "bit" else 3


_PROOF = {"bit": "it acted", "in-place": "it was in place", "none": "it left no trace"}
"""The levels of evidence, for people."""


def _sleep(for_s: float | None) -> None:
    """Wait so long, or until an interrupt; a terminal shows the seconds that are left."""
    from harness.report.progress import Countdown

    end = None if for_s is None else time.monotonic() + for_s
    with Countdown() as countdown:
        while end is None or (left := end - time.monotonic()) > 0:
            countdown.show(None if end is None else left)
            time.sleep(1.0 if end is None else min(1.0, left))


def _clean(options: argparse.Namespace) -> int:
    from harness.lab import docker_images, leftovers, run_folders

    done, kept = leftovers.clean()
    if options.images:
        done += docker_images.clean_images()
    if options.runs:
        runs = run_folders.clean()
        done, kept = done + runs.done, kept + runs.kept
    for line in done:
        streams.say(line)
    for line in kept:
        streams.complain(f"left {line}")
    if not done and not kept:
        streams.say("nothing to remove")
    return 3 if kept else 0


COMMANDS: dict[str, Command] = {
    "run": _run,
    "list": _list,
    "show": _show,
    "new": _new,
    "plan": _plan,
    "judge": _judge,
    "predict": _predict,
    "check": _check,
    "suggest": _suggest,
    "explain": _explain,
    "audit": _audit,
    "schema": _schema,
    "kernel": _kernel,
    "vtime": _vtime,
    "examine": _examine,
    "fuzz": _fuzz,
    "matrix": _matrix,
    "inject": _inject,
    "doctor": _doctor,
    "clean": _clean,
}


if __name__ == "__main__":
    sys.exit(main())
