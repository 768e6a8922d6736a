"""The command line's words: commands, options and their help. What they do is `harness.cli.main`'s business."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from harness import __version__
from harness.cli import predict_options
from harness.cli.predict_options import duration
from harness.system.escapes import visible
from harness.system.spelling import did_you_mean
from harness.venue import DEFAULT_SEED, PLAN_LIMIT_S, WALL_LIMIT_S, seed, wall_limit


class _Parser(argparse.ArgumentParser):
    """A parser that suggests the choice that a misspelled word is nearest to."""

    def error(self, message: str) -> NoReturn:
        """End with the usage and a message that may hold words of the command line."""
        super().error(visible(message))

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            expected = f"expected one of: {', '.join(known)}{did_you_mean(value, known)}, found {value}"
            raise argparse.ArgumentError(action, expected)


def parse(
    arguments: Sequence[str] | None, carry_out: Mapping[str, Callable[[argparse.Namespace], int]]
) -> argparse.Namespace:
    """The options of a command line; ends the program with the subcommand's usage where they are wrong."""
    options, unknown = parser(carry_out).parse_known_args(arguments)
    if unknown:
        command: argparse.ArgumentParser = options.parser
        known = [option for action in command._actions for option in action.option_strings]  # noqa: SLF001 - no other way
        hint = did_you_mean(unknown[0].partition("=")[0], known)
        command.error(f"expected arguments that `{command.prog} --help` lists, found {' '.join(unknown)}{hint}")
    return options


def parser(carry_out: Mapping[str, Callable[[argparse.Namespace], int]]) -> argparse.ArgumentParser:
    """The whole command line; `carry_out` has the function of each command by its name, which goes to `command`."""
    whole = _Parser(
        prog="harness",
        description="Prove when, and with which error, a TCP peer's death is noticed.",
        epilog="example: harness run outcomes. Options that take seconds (S) also take durations: 90s, 1m30s, 2h.",
    )
    whole.add_argument("--version", action="version", version=f"keepalive-harness {__version__}")
    commands = whole.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, text: str, example: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=f"{text}.", epilog=f"example: {example}")
        sub.set_defaults(command=carry_out[name], parser=sub)
        return sub

    words = {"nargs": "*", "metavar": "NAME|PATH", "help": "scenario, folder of the catalogue, or file (default: all)"}
    run = add("run", "Run scenarios, all at the same time, and judge them", "harness run outcomes --json -")
    run.add_argument("words", **words)  # type: ignore[arg-type]
    run.add_argument("--json", metavar="FILE", help="write the results as JSON; - for standard output")
    run.add_argument("--junit", metavar="FILE", help="write the results as JUnit XML")
    _add_out(run)
    run.add_argument(
        "--jobs", metavar="N", type=_positive, help="at most N scenarios, or with --clock virtual N guests, at once"
    )
    _add_repetition(run)
    run.add_argument("--quiet", action="store_true", help="print what did not pass and the summary, nothing else")
    _add_clock(run)
    _add_no_commands(run)
    _add_wall_limit(run, "with --clock virtual: ")
    _add_seed(run, "with --clock virtual: ")

    listing = add("list", "List the scenarios with their claims", "harness list outcomes")
    listing.add_argument("words", **words)  # type: ignore[arg-type]

    show = add("show", "Print a scenario's file", "harness show outcomes/peer-down")
    show.add_argument("word", metavar="NAME|PATH", help="scenario of the catalogue, or file")

    new = add(
        "new", "Write a new scenario file: a commented starter, or a copy", "harness new --from link/own-ipv6 mine"
    )
    new.add_argument("--from", dest="origin", metavar="NAME", help="the scenario to copy, as `harness list` names it")
    new.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        type=Path,
        help="the file to write, which must not be there yet; .scenario.toml is added (default: the original's name)",
    )

    plan = add("plan", "Show the predictions for scenarios, without running them", "harness plan outcomes")
    plan.add_argument("words", nargs="+", metavar="NAME|PATH", help="scenario, folder of the catalogue, or file")
    _add_clock(plan)
    _add_no_commands(plan)

    judge = add("judge", "Judge saved runs again", "harness judge results/")
    judge.add_argument("folder", metavar="DIR", type=Path, help="a run directory, or a folder of them")

    predict_options.add_to(add)
    _add_virtual(add)
    _add_fuzz(add)
    _add_matrix(add)
    _add_inject(add)
    add("doctor", "Check requirements and say how to fix what is missing", "harness doctor")
    clean = add("clean", "Remove exactly what earlier, killed runs left behind", "harness clean --runs")
    clean.add_argument("--runs", action="store_true", help="also remove the run directories in the state folder")
    clean.add_argument("--images", action="store_true", help="also remove the empty image of --lab docker")
    return whole


def _add_out(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--out",
        metavar="DIR",
        help="keep plans, timelines and captures in this new folder (default: a state folder)",
    )
    _add_keep(command)


def _add_keep(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--keep",
        metavar="N",
        type=_positive,
        default=20,
        help="without --out: keep the newest N runs in the state folder, this one included (default: 20)",
    )


def _add_repetition(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--retries",
        metavar="N",
        type=_from_zero,
        help="run a scenario again, up to N times, where this machine was too busy "
        "(default: 1; with --clock virtual 0)",
    )
    command.add_argument(
        "--yes", action="store_true", help="do not ask before a run that takes more than a minute of real time"
    )


def _add_clock(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--clock",
        choices=("real", "virtual"),
        default="real",
        help="virtual: in User-Mode Linux guests whose clock jumps, one for each core (default: real)",
    )
    command.add_argument("--kernel", metavar="NAME", help="the guests' kernel, see `harness kernel list`")
    command.add_argument(
        "--lab",
        choices=("netns", "docker"),
        default="netns",
        help="how hosts are created: network namespaces, or containers of the docker daemon here (default: netns)",
    )


def _add_no_commands(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--no-commands",
        action="store_true",
        help="refuse scenarios that run commands or images of their own, as files from people you do not trust may",
    )


def _add_wall_limit(command: argparse.ArgumentParser, condition: str = "") -> None:
    command.add_argument(
        "--wall-limit",
        metavar="S",
        type=wall_limit,
        help=f"{condition}give up a scenario after S seconds of its guest's CPU time, or S seconds without any "
        f"(default: {PLAN_LIMIT_S:g}; 0: never)",
    )


def _add_seed(command: argparse.ArgumentParser, condition: str = "") -> None:
    command.add_argument(
        "--seed",
        metavar="N",
        type=seed,
        help=f"{condition}decides the random numbers that programs in the guest get (default: {DEFAULT_SEED})",
    )


def _add_virtual(add: Callable[..., argparse.ArgumentParser]) -> None:
    kernel = add("kernel", "Build and list the kernels for virtual time", "harness kernel build --hz 250")
    verbs = kernel.add_subparsers(dest="verb", metavar="build|list|path", required=True)
    build = verbs.add_parser("build", help="build one", epilog="example: harness kernel build --hz 250")
    build.add_argument("--hz", metavar="N", type=int, default=1000, help="its HZ (default: 1000)")
    build.add_argument("--source", metavar="PATH", type=Path, help="a kernel's source tree or tarball (default: found)")
    build.add_argument("--jobs", metavar="N", type=_positive, help="compilers at once (default: one for each core)")
    build.add_argument(
        "--if-missing", action="store_true", help="only where none with this HZ has been built this way, of any release"
    )
    listing = verbs.add_parser("list", help="those that are built, newest first", epilog="example: harness kernel list")
    path = verbs.add_parser("path", help="where the executable is", epilog="example: harness kernel path")
    path.add_argument("name", nargs="?", metavar="NAME", help="which one (default: the newest)")
    for verb in (build, listing, path):
        verb.set_defaults(parser=verb)
    vtime = add("vtime", "Run any command in virtual time", "harness vtime -- sh -c 'date; sleep 7200; date'")
    vtime.add_argument("--kernel", metavar="NAME", help="the guest's kernel, see `harness kernel list`")
    vtime.add_argument(
        "--wall-limit",
        metavar="S",
        type=wall_limit,
        default=WALL_LIMIT_S,
        help="give up after S seconds here (default: 600; 0: never)",
    )
    _add_seed(vtime)
    vtime.add_argument(
        "--write", metavar="DIR", type=Path, action="append", default=[], help="a folder the command may write (repeat)"
    )
    vtime.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- COMMAND…", help="the command and its arguments")


def _add_fuzz(add: Callable[..., argparse.ArgumentParser]) -> None:
    fuzz = add(
        "fuzz",
        "Compare the oracle with a guest's kernel on random scenarios, in virtual time",
        "harness fuzz --cases 1000 --seed 7",
    )
    fuzz.add_argument("--cases", metavar="N", type=_positive, default=300, help="number of scenarios (default: 300)")
    fuzz.add_argument(
        "--seed", metavar="S", type=int, help="seed of the random scenarios (default: random, and printed)"
    )
    fuzz.add_argument("--kernel", metavar="NAME", help="the guests' kernel, see `harness kernel list`")
    fuzz.add_argument("--jobs", metavar="N", type=_positive, help="at most N guests at once (default: one a core)")
    _add_wall_limit(fuzz)
    fuzz.add_argument("--out", metavar="DIR", help="write disagreements as scenarios here (default: a state folder)")
    _add_keep(fuzz)
    fuzz.add_argument("--json", metavar="FILE", help="write the results as JSON; - for standard output")


INJECTABLE = (
    "address-removed",
    "blackhole",
    "container-kill",
    "container-pause",
    "container-restart",
    "fin-swallowed",
    "link-down",
    "network-disconnect",
    "syn-drop",
    "synack-drop",
)
"""The kinds of `harness.api.container_session.FITTING`, which takes longer to import than help to print."""


def _add_inject(add: Callable[..., argparse.ArgumentParser]) -> None:
    inject = add(
        "inject",
        "Inject a fault into a running container, prove that it acted, and remove it",
        "harness inject blackhole --container shop-db-1 --for 30",
    )
    inject.add_argument("fault", metavar="FAULT", help=f"its kind, one of {', '.join(INJECTABLE)}")
    inject.add_argument("--container", metavar="NAME", required=True, help="which one, by name or ID")
    inject.add_argument(
        "--for",
        dest="for_s",
        metavar="S",
        type=_seconds,
        help="remove the fault after S seconds (default: when interrupted)",
    )
    inject.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="one of the fault's keys; the container is server, what it talks to is client (repeat; example: "
        "--set direction=to-server)",
    )
    inject.add_argument("--family", choices=("ipv4", "ipv6"), default="ipv4", help="of its addresses (default: ipv4)")
    inject.add_argument("--device", metavar="NAME", default="", help="its interface (default: of its default route)")


def _add_matrix(add: Callable[..., argparse.ArgumentParser]) -> None:
    matrix = add(
        "matrix",
        "Run the suites of client libraries, and compare them with their documentation",
        "harness matrix libraries --clock virtual --markdown libraries.md",
    )
    matrix.add_argument("words", nargs="+", metavar="NAME", help="libraries, or one of them: libraries/redis-py")
    matrix.add_argument("--markdown", metavar="FILE", help="write the table as Markdown")
    matrix.add_argument("--json", metavar="FILE", help="write the results as JSON; - for standard output")
    _add_out(matrix)
    matrix.add_argument("--jobs", metavar="N", type=_positive, help="at most N scenarios or guests at once")
    _add_repetition(matrix)
    _add_clock(matrix)
    _add_no_commands(matrix)
    _add_wall_limit(matrix, "with --clock virtual: ")


def _seconds(text: str) -> float:
    """More than none of them."""
    found = duration(text)
    if found <= 0:
        raise argparse.ArgumentTypeError(f"expected seconds, more than 0, found {text}")
    return found


def _from_zero(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 on, found {text}")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, found {text}")
    return int(text)
