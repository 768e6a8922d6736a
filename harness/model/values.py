"""Values that several layers share: times as scenario files state them, a complaint about a value,
and a count.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

LATEST_S = 10_000_000.0
"""The latest moment that a scenario may name, in seconds after arming: nearly four months."""
Seconds = Annotated[float, msgspec.Meta(ge=0, le=LATEST_S)]
"""A moment, in seconds after arming."""
Duration = Annotated[float, msgspec.Meta(gt=0, le=LATEST_S)]
"""A length of time, in seconds."""


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with one value of a scenario: its key, the value that was found, and what was
    expected.
    """

    key: str
    value: object
    expected: str


def count(number: int, noun: str) -> str:
    """A number with its noun, for messages: "1 packet", "2 packets"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
