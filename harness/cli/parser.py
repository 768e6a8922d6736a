"""Commands with their options and help. `harness.cli.main` carries them out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from harness import __version__
from harness.cli import (
    audit_options,
    check_options,
    examine_options,
    guest_options,
    predict_options,
    suggest_options,
)
from harness.cli import options as shared
from harness.system.escapes import visible
from harness.system.passwords import without_password
from harness.system.spelling import did_you_mean

Add = Callable[..., argparse.ArgumentParser]
"""Adds a command: add(name, help, example)."""
_DOCUMENTS = ("verdict", "timeline", "report", "examine", "fuzz", "matrix", "check")
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
            found = without_password(str(value))
            expected = (
                f"expected one of: {', '.join(known)}{did_you_mean(value, known)}, found {found}"
            )
            raise argparse.ArgumentError(action, expected)


def parse(
    arguments: Sequence[str] | None, carry_out: Mapping[str, Callable[[argparse.Namespace], int]]
) -> argparse.Namespace:
    """The options of a command line.

    Where they are wrong, print the subcommand's usage and end the program.
    """
    given = sys.argv[1:] if arguments is None else arguments
    first = given[0] if given and given[0] in carry_out else None
    options, unknown = parser(carry_out, first).parse_known_args(given)
    options.given = tuple(given)
    if unknown:
        command: argparse.ArgumentParser = options.parser
        known = [option for action in command._actions for option in action.option_strings]  # noqa: SLF001 - no other way
        hint = did_you_mean(unknown[0].partition("=")[0], known)
        command.error(
            f"expected arguments that `{command.prog} --help` lists, found "
            f"{' '.join(map(without_password, unknown))}{hint}"
        )
    return options


def parser(
    carry_out: Mapping[str, Callable[[argparse.Namespace], int]], only: str | None = None
) -> argparse.ArgumentParser:
    """The whole command line; `carry_out` has the function of each command by its name, which goes
    to `command`.

    `only`: the command that is called. The others are left out then, as they take time to build.
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

    def add(name: str, text: str, example: str, **more: Any) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name, help=text, description=f"{text}.", epilog=f"example: {example}", **more
        )
        sub.set_defaults(command=carry_out[name], parser=sub)
        return sub

    for names, adder in _ADDERS.items():
        if only is None or only in names:
            adder(add)
    return whole


def _add_judge(add: Add) -> None:
    judge = add("judge", "Judge saved runs again", "harness judge results/")
    judge.add_argument(
        "folder", metavar="DIR", type=Path, help="the folder of one run, or of several"
    )
    judge.add_argument("--json", metavar="FILE", help=shared.JSON_HELP)
    shared.add_html(judge)
    judge.add_argument(
        "--svg",
        metavar="FILE|DIR",
        help="draw the run as an SVG picture: a timeline, and a ladder diagram of its segments; of "
        "several runs one file each in a folder that exists, or whose name ends in /",
    )
    shared.add_trace(judge)


def _add_machine(add: Add) -> None:
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


def _add_schema(add: Add) -> None:
    schema = add(
        "schema",
        "Print the JSON Schema of a kind of files, or of a document that the harness writes",
        "harness schema policy",
    )
    schema.add_argument(
        "kind",
        choices=("policy", "scenario", "suite", *_DOCUMENTS),
        help="files, for editors: policy (POLICY.toml), scenario (*.scenario.toml), suite "
        "(*.suite.toml of libraries); documents, for scripts: verdict (verdict.json), timeline (a "
        "line of timeline.jsonl), report (--json of run and judge), examine, fuzz, matrix, check "
        "(the JSON of these)",
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
    shared.add_html(run)
    shared.add_trace(run)
    run.add_argument(
        "--markdown",
        metavar="FILE",
        help="write an overview as Markdown (in a step of GitHub Actions also into its summary)",
    )
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
    shared.add_html(fuzz)


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
    shared.add_html(matrix)
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


_ADDERS: dict[tuple[str, ...], Callable[[Add], None]] = {
    ("run",): _add_run,
    ("list", "show", "new"): _add_catalogue,
    ("plan",): _add_plan,
    ("judge",): _add_judge,
    ("examine",): examine_options.add_to,
    ("predict",): predict_options.add_to,
    ("check", "explain"): check_options.add_to,
    ("suggest",): suggest_options.add_to,
    ("audit",): audit_options.add_to,
    ("schema",): _add_schema,
    ("kernel", "vtime"): guest_options.add_to,
    ("fuzz",): _add_fuzz,
    ("matrix",): _add_matrix,
    ("inject",): _add_inject,
    ("doctor", "clean"): _add_machine,
}
"""What adds each command, in the order of the help."""
