"""Where plans and commands run: here, or in a guest whose clock jumps when it is idle."""

from __future__ import annotations

import argparse
import math

WALL_LIMIT_S = 600.0
"""After so many seconds here a command in a guest is given up, unless told otherwise."""


def wall_limit(text: str) -> float:
    """A limit in seconds of wall time from the command line, 0 for none. Raises ArgumentTypeError."""
    try:
        limit_s = float(text)
    except ValueError:
        limit_s = math.nan
    if not (math.isfinite(limit_s) and limit_s >= 0):
        raise argparse.ArgumentTypeError(f"expected seconds from 0 on (0: no limit), found {text}")
    return limit_s
