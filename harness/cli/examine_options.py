"""The options of `harness examine`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from harness.cli import options as shared

Add = Callable[..., argparse.ArgumentParser]
FAULTS = (
    "blackhole",
    "blackhole-to-server",
    "blackhole-to-client",
    "client-frozen",
    "client-killed",
    "client-rebooted",
    "client-suspended",
    "server-frozen",
    "server-killed",
    "server-rebooted",
    "server-suspended",
    "client-link-down",
    "server-link-down",
    "firewall-drops",
    "firewall-resets",
    "proxied",
    "outage",
    "flapping",
    "slow-lossy",
    "clock-forward",
    "clock-back",
)
"""The names of the faults of `harness.examine.faults`, which takes time to import."""


def add_to(add: Add) -> None:
    """Add the command."""
    examine = add(
        "examine",
        "Describe what any client and server do under a grid of faults, without a claim",
        "harness examine --client './client {server} {port}' --server './server {port}'",
    )
    _add_programs(examine)
    _add_grid(examine)
    examine.add_argument("--json", metavar="FILE", help=shared.JSON_HELP)
    shared.add_html(examine)
    shared.add_out(examine)
    examine.add_argument(
        "--jobs",
        metavar="N",
        type=shared.positive,
        help="run at most N guests, or N faults, at the same time",
    )
    shared.add_repetition(examine)
    examine.add_argument(
        "--clock",
        choices=("real", "virtual"),
        default="virtual",
        help="virtual: in User-Mode Linux guests, which skip the time in which nothing happens; "
        "real: on this machine's clock, for hours (default: virtual)",
    )
    examine.add_argument(
        "--kernel", metavar="NAME", help=f"with --clock virtual: {shared.KERNEL_HELP}"
    )
    shared.add_wall_limit(examine, "with --clock virtual: ")
    shared.add_seed(examine, "with --clock virtual: ")
    examine.set_defaults(lab="netns", quiet=False)


def _add_programs(examine: argparse.ArgumentParser) -> None:
    examine.add_argument(
        "word",
        nargs="?",
        metavar="NAME|PATH",
        help="take client, server and network from this scenario, or from this suite of a library "
        "(libraries/redis-py); its faults and its claim do not count",
    )
    for side, example in (
        ("client", "{server} and {port} in it are the address to connect to"),
        ("server", "{port} in it is the port to listen at"),
    ):
        examine.add_argument(
            f"--{side}",
            metavar="CMD",
            help=f"the command that is the {side}, with quotes as for a shell; {example}, {{load}} "
            "the load: idle, trickle or full (default: the built-in one)",
        )


def _add_grid(examine: argparse.ArgumentParser) -> None:
    examine.add_argument(
        "--faults",
        metavar="A,B",
        default="",
        help=f"only these faults of the grid (default: all): {', '.join(FAULTS)}",
    )
    examine.add_argument(
        "--bound",
        metavar="S",
        type=shared.seconds,
        help="watch both ends for S seconds after each fault (default: as long as their kernels "
        "may take to detect it, 400 s at least and 3h at most)",
    )
    examine.add_argument(
        "--baseline",
        metavar="FILE",
        help="write what was measured to FILE, which must end in .baseline.toml; `harness run` and "
        "pytest hold later versions to it",
    )
    examine.add_argument(
        "--against",
        metavar="FILE",
        type=Path,
        help="run the cells of this baseline again and print what changed; exit status 1 if "
        "anything changed for the worse",
    )
