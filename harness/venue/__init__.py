"""Where plans and commands run: here, or in a guest whose clock jumps when it is idle."""

from __future__ import annotations

import argparse

WALL_LIMIT_S = 600.0
"""After so many seconds here a command in a guest is given up, unless told otherwise."""
DOING_VARIABLE = "KEEPALIVE_HARNESS_DOING"
"""In a guest: names a file in which a command may say what it does, for messages about a guest that is stuck."""


PLAN_LIMIT_S = 60.0
"""After so many seconds of a guest's CPU time a plan in it is given up, unless told otherwise."""


def wall_limit(text: str) -> float:
    """A limit in seconds of wall time from the command line, 0 for none. Raises ArgumentTypeError."""
    from harness import durations  # every pytest session loads this package

    try:
        limit_s = durations.seconds(text)
    except ValueError:
        limit_s = -1.0
    if limit_s < 0:
        expected = f"seconds from 0 on (0: no limit), or a duration such as {durations.EXAMPLES}"
        raise argparse.ArgumentTypeError(f"expected {expected}, found {text}")
    return limit_s
