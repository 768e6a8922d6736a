"""Commands with their options and help. `harness.cli.main` carries them out."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from harness import __version__
from harness.cli import audit_options, check_options, predict_options, suggest_options
from harness.cli import options as shared
from harness.system.escapes import visible
from harness.system.spelling import did_you_mean
from harness.venue import WALL_LIMIT_S, wall_limit

Add = Callable[..., argparse.ArgumentParser]
"""Adds a command: add(name, help, example)."""
_NAMES: dict[str, Any] = {
    "nargs": "*",
    "metavar": "NAME|PATH",
    "help": (
        "scenario of the catalogue, topic of the catalogue, or file (default: the whole catalogue)"
    ),
}


class _Parser(argparse.ArgumentParser):
    """A parser whose errors suggest the nearest choice for a misspelled word."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, with control characters escaped, and end the program."""
        super().error(visible(message))

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            expected = (
                f"expected one of: {', '.join(known)}{did_you_mean(value, known)}, found {value}"
            )
            raise argparse.ArgumentError(action, expected)


def parse(
    arguments: Sequence[str] | None, carry_out: Mapping[str, Callable[[argparse.Namespace], int]]
) -> argparse.Namespace:
    """The options of a command line.

    Where they are wrong, print the subcommand's usage and end the program.
    """
    options, unknown = parser(carry_out).parse_known_args(arguments)
    if unknown:
        command: argparse.ArgumentParser = options.parser
        known = [option for action in command._actions for option in action.option_strings]  # noqa: SLF001 - no other way
        hint = did_you_mean(unknown[0].partition("=")[0], known)
        command.error(
            f"expected arguments that `{command.prog} --help` lists, found "
            f"{' '.join(unknown)}{hint}"
        )
    return options


def parser(carry_out: Mapping[str, Callable[[argparse.Namespace], int]]) -> argparse.ArgumentParser:
    """The whole command line; `carry_out` has the function of each command by its name, which goes
    to `command`.
    """
    whole = _Parser(
        prog="harness",
        description="Test when, and with which error, a TCP program detects that its peer is dead.",
        epilog=(
            "example: harness run outcomes. Options that take seconds (S) also take durations: "
            "90s, 1m30s, 2h."
        ),
    )
    whole.add_argument("--version", action="version", version=f"keepalive-harness {__version__}")
    commands = whole.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, text: str, example: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name, help=text, description=f"{text}.", epilog=f"example: {example}"
        )
        sub.set_defaults(command=carry_out[name], parser=sub)
        return sub

    _add_run(add)
    _add_catalogue(add)
    _add_plan(add)
    judge = add("judge", "Judge saved runs again", "harness judge results/")
    judge.add_argument(
        "folder", metavar="DIR", type=Path, help="the folder of one run, or of several"
    )
    predict_options.add_to(add)
    check_options.add_to(add)
    suggest_options.add_to(add)
    audit_options.add_to(add)
    _add_schema(add)
    _add_kernel(add)
    _add_vtime(add)
    _add_fuzz(add)
    _add_matrix(add)
    _add_inject(add)
    add("doctor", "Check requirements and say how to fix what is missing", "harness doctor")
    clean = add("clean", "Remove what killed runs left behind", "harness clean --runs")
    clean.add_argument(
        "--runs",
        action="store_true",
        help="also remove the run directories in ~/.local/state/keepalive-harness",
    )
    clean.add_argument(
        "--images", action="store_true", help="also remove the empty image of --lab docker"
    )
    return whole


def _add_schema(add: Add) -> None:
    schema = add(
        "schema",
        "Print the JSON Schema of a kind of files, with which editors complete and check them",
        "harness schema policy",
    )
    schema.add_argument(
        "kind",
        choices=("policy", "scenario", "suite"),
        help="policy: POLICY.toml; scenario: *.scenario.toml; suite: *.suite.toml of libraries",
    )


def _add_run(add: Add) -> None:
    run = add(
        "run",
        "Run scenarios, all at the same time, and judge them",
        "harness run outcomes --json -",
    )
    run.add_argument("words", **_NAMES)
    run.add_argument("--json", metavar="FILE", help=shared.JSON_HELP)
    run.add_argument("--junit", metavar="FILE", help="write the results as JUnit XML")
    shared.add_out(run)
    run.add_argument(
        "--jobs",
        metavar="N",
        type=shared.positive,
        help="run at most N scenarios, or N guests, at the same time",
    )
    shared.add_repetition(run)
    run.add_argument(
        "--quiet",
        action="store_true",
        help="print only scenarios that did not pass, and the summary",
    )
    shared.add_clock(run)
    shared.add_no_commands(run)
    shared.add_wall_limit(run, "with --clock virtual: ")
    shared.add_seed(run, "with --clock virtual: ")


def _add_catalogue(add: Add) -> None:
    listing = add("list", "List the scenarios with their claims", "harness list outcomes")
    listing.add_argument("words", **_NAMES)
    listing.add_argument(
        "--faults", action="store_true", help="list the kinds of faults and their keys instead"
    )
    show = add("show", "Print the file of a scenario", "harness show outcomes/peer-down")
    show.add_argument("word", metavar="NAME|PATH", help="scenario of the catalogue, or file")
    new = add(
        "new",
        "Write a new scenario file: a commented template, or a copy",
        "harness new --from link/own-ipv6 mine",
    )
    new.add_argument(
        "--from",
        dest="origin",
        metavar="NAME",
        help="copy this scenario, by its name in `harness list`",
    )
    new.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        type=Path,
        help=(
            "the file to write, which must not exist; .scenario.toml is added (default: the name "
            "of the original)"
        ),
    )


def _add_plan(add: Add) -> None:
    plan = add(
        "plan",
        "Show what is predicted for scenarios, without running them",
        "harness plan outcomes",
    )
    plan.add_argument(
        "words", **{**_NAMES, "nargs": "+", "help": "scenario or topic of the catalogue, or file"}
    )
    shared.add_clock(plan)
    shared.add_no_commands(plan)


def _add_kernel(add: Add) -> None:
    kernel = add(
        "kernel", "Build and list the kernels for virtual time", "harness kernel build --hz 250"
    )
    verbs = kernel.add_subparsers(dest="verb", metavar="build|list|path", required=True)
    build = verbs.add_parser(
        "build", help="build a kernel", epilog="example: harness kernel build --hz 250"
    )
    build.add_argument(
        "--hz", metavar="N", type=int, default=1000, help="its timer frequency, HZ (default: 1000)"
    )
    build.add_argument(
        "--source",
        metavar="PATH",
        type=Path,
        help="source tree or tarball of a kernel (default: linux-source in /usr/src, or from apt)",
    )
    build.add_argument(
        "--jobs",
        metavar="N",
        type=shared.positive,
        help="run N compilers at the same time (default: one for each core)",
    )
    build.add_argument(
        "--if-missing",
        action="store_true",
        help="do nothing if a kernel with this HZ, of any release, is built already",
    )
    listing = verbs.add_parser(
        "list", help="list built kernels, newest first", epilog="example: harness kernel list"
    )
    path = verbs.add_parser(
        "path", help="print the path of a kernel", epilog="example: harness kernel path"
    )
    path.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="its name in `harness kernel list` (default: the newest)",
    )
    for verb in (build, listing, path):
        verb.set_defaults(parser=verb)


def _add_vtime(add: Add) -> None:
    vtime = add(
        "vtime",
        "Run any command in virtual time",
        "harness vtime -- sh -c 'date; sleep 7200; date'",
    )
    vtime.add_argument("--kernel", metavar="NAME", help=shared.KERNEL_HELP)
    vtime.add_argument(
        "--wall-limit",
        metavar="S",
        type=wall_limit,
        default=WALL_LIMIT_S,
        help="stop the command after S seconds of real time (default: 600; 0: never)",
    )
    shared.add_seed(vtime)
    vtime.add_argument(
        "--write",
        metavar="DIR",
        type=Path,
        action="append",
        default=[],
        help="let the command write here (repeatable)",
    )
    vtime.add_argument(
        "argv",
        nargs=argparse.REMAINDER,
        metavar="-- COMMAND…",
        help="the command and its arguments",
    )


def _add_fuzz(add: Add) -> None:
    fuzz = add(
        "fuzz",
        "Compare the oracle's predictions with a kernel in virtual time, on random scenarios",
        "harness fuzz --cases 1000 --seed 7",
    )
    fuzz.add_argument(
        "--cases",
        metavar="N",
        type=shared.positive,
        default=300,
        help="number of scenarios (default: 300)",
    )
    fuzz.add_argument(
        "--seed",
        metavar="S",
        type=int,
        help="seed of the random scenarios (default: random, and printed)",
    )
    fuzz.add_argument("--kernel", metavar="NAME", help=shared.KERNEL_HELP)
    fuzz.add_argument(
        "--jobs",
        metavar="N",
        type=shared.positive,
        help="run at most N guests at the same time (default: one a core)",
    )
    shared.add_wall_limit(fuzz)
    fuzz.add_argument(
        "--out",
        metavar="DIR",
        help=(
            "write scenarios whose prediction was wrong to this folder (default: as for harness "
            "run)"
        ),
    )
    shared.add_keep(fuzz)
    fuzz.add_argument("--json", metavar="FILE", help=shared.JSON_HELP)


def _add_matrix(add: Add) -> None:
    matrix = add(
        "matrix",
        "Run the suites of client libraries, and compare the results with their documentation",
        "harness matrix libraries --clock virtual --markdown libraries.md",
    )
    matrix.add_argument(
        "words", nargs="+", metavar="NAME", help="libraries, or one of them: libraries/redis-py"
    )
    matrix.add_argument("--markdown", metavar="FILE", help="write the table as Markdown")
    matrix.add_argument("--json", metavar="FILE", help=shared.JSON_HELP)
    shared.add_out(matrix)
    matrix.add_argument(
        "--jobs",
        metavar="N",
        type=shared.positive,
        help="run at most N scenarios, or N guests, at the same time",
    )
    shared.add_repetition(matrix)
    shared.add_clock(matrix)
    shared.add_no_commands(matrix)
    shared.add_wall_limit(matrix, "with --clock virtual: ")


def _add_inject(add: Add) -> None:
    inject = add(
        "inject",
        "Inject a fault into a running container, prove that it acted, and remove it",
        "harness inject blackhole --container shop-db-1 --for 30",
    )
    inject.add_argument(
        "fault", metavar="FAULT", help="kind of the fault, see `harness list --faults`"
    )
    inject.add_argument(
        "--container", metavar="NAME", required=True, help="name or ID of the container"
    )
    inject.add_argument(
        "--for",
        dest="for_s",
        metavar="S",
        type=shared.seconds,
        help="remove the fault after S seconds (default: at Ctrl-C)",
    )
    inject.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="set a key of the fault, in which the container is the server and its peers are the "
        "client "
        "(repeatable; example: --set direction=to-server)",
    )
    inject.add_argument(
        "--family",
        choices=("ipv4", "ipv6"),
        default="ipv4",
        help="family of the addresses (default: ipv4)",
    )
    inject.add_argument(
        "--device",
        metavar="NAME",
        default="",
        help="interface of the container (default: that of its default route)",
    )
