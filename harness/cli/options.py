"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import argparse

from harness.cli.predict_options import duration
from harness.venue import DEFAULT_SEED, PLAN_LIMIT_S, seed, wall_limit

KERNEL_HELP = (
    "the kernel to boot in guests, by its name in `harness kernel list` (default: the newest)"
)
JSON_HELP = "write the results as JSON; - writes them to standard output"
HTML_HELP = "write the results as one HTML page, with figures of each run"


def add_html(command: argparse.ArgumentParser) -> None:
    """The results as a page for a browser."""
    command.add_argument("--html", metavar="FILE", help=HTML_HELP)


def add_trace(command: argparse.ArgumentParser) -> None:
    """Runs for a viewer of traces."""
    command.add_argument(
        "--trace",
        metavar="FILE",
        help="write what happened, and when, as a trace that https://ui.perfetto.dev opens (JSON)",
    )


def add_out(command: argparse.ArgumentParser) -> None:
    """Where the run directories go."""
    command.add_argument(
        "--out",
        metavar="DIR",
        help="write plans, timelines and captures to this folder, which must be new or empty "
        "(default: a new folder in ~/.local/state/keepalive-harness)",
    )
    add_keep(command)


def add_keep(command: argparse.ArgumentParser) -> None:
    """How many earlier runs are kept."""
    command.add_argument(
        "--keep",
        metavar="N",
        type=positive,
        default=20,
        help=(
            "without --out: keep the newest N runs, this one included, and delete older ones "
            "(default: 20)"
        ),
    )


def add_repetition(command: argparse.ArgumentParser) -> None:
    """Retries, and --yes."""
    command.add_argument(
        "--retries",
        metavar="N",
        type=_from_zero,
        help="run a scenario again, up to N times, if this machine was too busy to judge it "
        "(default: 1; with --clock virtual 0)",
    )
    command.add_argument(
        "--yes", action="store_true", help="start runs longer than a minute of real time unasked"
    )


def add_clock(command: argparse.ArgumentParser) -> None:
    """Which clock the scenarios run on, and how their hosts are created."""
    command.add_argument(
        "--clock",
        choices=("real", "virtual"),
        default="real",
        help=(
            "virtual: run in User-Mode Linux guests, which skip the time in which nothing "
            "happens (default: real)"
        ),
    )
    command.add_argument("--kernel", metavar="NAME", help=f"with --clock virtual: {KERNEL_HELP}")
    command.add_argument(
        "--lab",
        choices=("netns", "docker"),
        default="netns",
        help="create hosts as network namespaces (netns) or as docker containers (default: netns)",
    )


def add_no_commands(command: argparse.ArgumentParser) -> None:
    """For scenario files that the caller does not trust."""
    command.add_argument(
        "--no-commands",
        action="store_true",
        help=(
            "refuse scenarios that run commands or container images; use it for files that you "
            "do not trust"
        ),
    )


def add_wall_limit(command: argparse.ArgumentParser, condition: str = "") -> None:
    """How long a guest may take for one plan."""
    command.add_argument(
        "--wall-limit",
        metavar="S",
        type=wall_limit,
        help=f"{condition}stop a guest that used S seconds of CPU time on one scenario, or none "
        "for S seconds "
        f"(default: {PLAN_LIMIT_S:g}; 0: never)",
    )


def add_seed(command: argparse.ArgumentParser, condition: str = "") -> None:
    """The seed of the random numbers in guests."""
    command.add_argument(
        "--seed",
        metavar="N",
        type=seed,
        help=(
            f"{condition}seed of the random numbers that programs in the guest get (default: "
            f"{DEFAULT_SEED})"
        ),
    )


def seconds(text: str) -> float:
    """A duration longer than 0. Raises ArgumentTypeError."""
    found = duration(text)
    if found <= 0:
        raise argparse.ArgumentTypeError(f"expected seconds, more than 0, found {text}")
    return found


def positive(text: str) -> int:
    """A whole number from 1 on. Raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, found {text}")
    return int(text)


def _from_zero(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 on, found {text}")
    return int(text)
