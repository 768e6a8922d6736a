"""The question before a run that takes more than a minute of real time."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence

from harness.errors import UsageError
from harness.plan.plan import Plan
from harness.system.escapes import visible
from harness.venue import host

LONGEST_UNASKED_S = 60
"""A run that may take longer needs a yes. A scenario that takes longer runs only if it is named."""


def ask(options: argparse.Namespace, plans: Sequence[Plan]) -> None:
    """Ask for a yes, unless there is --yes or the run is short.

    Raises UsageError if the answer is no, and if there is neither --yes nor a terminal to ask on.
    """
    takes_s = host.watches_ns(plans, options.jobs) / 1e9
    if options.yes or takes_s <= LONGEST_UNASKED_S:
        return
    longest = max(plans, key=lambda plan: plan.watch_ns)
    found = (
        f"up to {spelled(takes_s)} of real time ({longest.name} is watched for "
        f"{spelled(longest.watch_ns / 1e9)})"
    )
    faster = "--clock virtual takes seconds" if options.lab == "netns" else ""
    if sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty():
        hint = f"; {faster}" if faster else ""
        sys.stderr.write(visible(f"harness: this takes {found}{hint}. Continue? [y/N] "))
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
        raise UsageError("expected yes, found another answer: nothing was run")
    fix = f"{faster}, --yes starts it anyway" if faster else "--yes starts it anyway"
    raise UsageError(
        f"expected at most {LONGEST_UNASKED_S} s of real time without --yes, found {found}; {fix}"
    )


def spelled(seconds: float) -> str:
    """A duration in hours, minutes and seconds, rounded up."""
    whole = math.ceil(seconds)
    minutes, rest = divmod(whole, 60)
    hours, left = divmod(-(-whole // 60), 60)
    if whole < 2 * 60:
        return f"{whole} s"
    if whole < 60 * 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{hours} h {left} min" if left else f"{hours} h"
