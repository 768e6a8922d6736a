"""Before a command that takes long in real time: it says so, and goes on where somebody agrees."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence

from harness.errors import UsageError
from harness.plan.plan import Plan
from harness.system.escapes import visible
from harness.venue import host

PATIENCE_S = 60
"""The longest that a command may take in real time unless somebody agrees, and a scenario that nobody named."""


def check(options: argparse.Namespace, plans: Sequence[Plan]) -> None:
    """Ask before a run that may take more than a minute of real time.

    Raises UsageError where the answer is no, and where there is neither --yes nor a terminal to ask on.
    """
    takes_s = host.watches_ns(plans, options.jobs) / 1e9
    if options.yes or takes_s <= PATIENCE_S:
        return
    longest = max(plans, key=lambda plan: plan.watch_ns)
    found = f"up to {spelled(takes_s)} of real time ({longest.name} is watched for {spelled(longest.watch_ns / 1e9)})"
    faster = "--clock virtual takes seconds" if options.lab == "netns" else ""
    if sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty():
        hint = f"; {faster}" if faster else ""
        sys.stderr.write(visible(f"harness: this takes {found}{hint}. Go on? [y/N] "))
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
        raise UsageError("expected yes, found another answer: nothing was run")
    fix = f"{faster}, --yes goes on" if faster else "--yes goes on"
    raise UsageError(f"expected at most {PATIENCE_S} s of real time without --yes, found {found}; {fix}")


def spelled(seconds: float) -> str:
    """A duration as people say it, rounded up."""
    whole = math.ceil(seconds)
    minutes, rest = divmod(whole, 60)
    hours, left = divmod(-(-whole // 60), 60)
    if whole < 2 * 60:
        return f"{whole} s"
    if whole < 60 * 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{hours} h {left} min" if left else f"{hours} h"
