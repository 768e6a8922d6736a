"""The options of `harness audit`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from harness.cli import check_options
from harness.cli import options as shared


def add_to(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command."""
    audit = add(
        "audit",
        "Show the TCP keepalive settings of running programs, and check them against demands",
        "harness audit --detect-within 120",
    )
    whose = audit.add_mutually_exclusive_group()
    whose.add_argument(
        "--pid",
        metavar="N",
        type=shared.positive,
        action="append",
        help="read the sockets of process N (repeatable)",
    )
    whose.add_argument(
        "--container",
        metavar="NAME",
        help="read the sockets of a running container's processes, by its name or ID",
    )
    whose.add_argument(
        "--all", action="store_true", help="read the sockets of all processes (the default)"
    )
    audit.add_argument(
        "--policy",
        metavar="FILE",
        type=Path,
        help="policy whose connections say with `match` which sockets they are about",
    )
    audit.add_argument(
        "--watch",
        metavar="S",
        type=shared.seconds,
        help="look again every S seconds and print what has changed, until Ctrl-C",
    )
    check_options.add_output(audit)
    check_options.add_rules(audit)
    more = ", for sockets for which --policy does not state them"
    check_options.add_path(audit, more=more, hz="this kernel's")
    check_options.add_demands(audit, more=more)
