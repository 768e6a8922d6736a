"""The options of `harness suggest`."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from harness.cli import check_options

FLAGS = (
    "side",
    "detect_within_s",
    "detect_idle_within_s",
    "detect_in_flight_within_s",
    "survive_s",
    "path",
    "hz",
)
"""The keys of a policy that have an option here."""


def add_to(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command."""
    suggest = add(
        "suggest",
        "Find the TCP settings with the least probe traffic that meet demands",
        "harness suggest --path aws-nlb --detect-within 120 --survive 20",
    )
    suggest.add_argument(
        "files",
        metavar="FILE",
        nargs="*",
        help="policies, or configuration of other software, whose settings are to be replaced "
        "(default: POLICY.toml where there is one, unless --side is given)",
    )
    suggest.add_argument(
        "--connection",
        metavar="NAME",
        help="this connection of the files (default: all of them, in a table)",
    )
    suggest.add_argument(
        "--format",
        metavar="NAME",
        help="format of the files (default: told by the name or the content of each)",
    )
    suggest.add_argument(
        "--for",
        dest="target",
        metavar="NAME",
        help="print the lines for this software alone: setsockopt, or a format that can be "
        "written, such as sysctl (a wrong NAME lists them)",
    )
    suggest.add_argument(
        "--output-format",
        choices=("text", "json"),
        default="text",
        help="format of the answer (default: text)",
    )
    check_options.add_side(suggest)
    check_options.add_path(suggest)
    check_options.add_demands(suggest)
