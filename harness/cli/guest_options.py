"""The options of `harness kernel` and `harness vtime`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from harness.cli import options as shared
from harness.venue import WALL_LIMIT_S, wall_limit

Add = Callable[..., argparse.ArgumentParser]


def add_to(add: Add) -> None:
    """Add both commands."""
    _add_kernel(add)
    _add_vtime(add)


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
