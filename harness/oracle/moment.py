"""Two ways to say when something happens: at a moment that a program chose, or in the handler of a
timer's bucket.
"""

from __future__ import annotations

from typing import NamedTuple


class Moment(NamedTuple):
    """A moment that the program chose, `ns` after arming or up to `slack_ns` later."""

    ns: int
    slack_ns: int = 0


When = int | Moment
"""The jiffy of a timer's bucket, or a moment."""
