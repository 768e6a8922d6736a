"""Where plans and commands run: here, or in a guest whose clock jumps when it is idle."""

from __future__ import annotations

import argparse

WALL_LIMIT_S = 600.0
"""After so many seconds here a command in a guest is given up, unless told otherwise."""
DOING_VARIABLE = "KEEPALIVE_HARNESS_DOING"
"""In a guest: names a file in which a command may say what it does, for messages about a guest that
is stuck.
"""


PLAN_LIMIT_S = 60.0
"""After so many seconds of a guest's CPU time a plan in it is given up, unless told otherwise."""

DEFAULT_SEED = 0
"""Of the random numbers that programs in a guest get, unless told otherwise."""
MOST_SEED = 2**63 - 1


def seed(text: str) -> int:
    """A seed from the command line. Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdigit() and int(text) <= MOST_SEED):
        raise argparse.ArgumentTypeError(
            f"expected a whole number from 0 to {MOST_SEED}, found {text}"
        )
    return int(text)


def wall_limit(text: str) -> float:
    """A limit in seconds of wall time from the command line, 0 for none.

    Raises ArgumentTypeError.
    """
    from harness.model import durations  # every pytest session loads this package

    try:
        limit_s = durations.seconds(text)
    except ValueError:
        limit_s = -1.0
    if limit_s < 0:
        expected = f"seconds from 0 on (0: no limit), or a duration such as {durations.EXAMPLES}"
        raise argparse.ArgumentTypeError(f"expected {expected}, found {text}")
    return limit_s
