"""Formats with a connection on each line, as tests ask them."""

from __future__ import annotations

import pytest

from harness.errors import PolicyError
from harness.policy.format import Format
from harness.policy.settings import Connection


def only(made: Format, text: str) -> Connection:
    """The one connection of a text, which stands in "x"."""
    (found,) = made.read(text, "x")
    return found


def refusal(made: Format, text: str) -> str:
    """What the format says of a text that it refuses."""
    with pytest.raises(PolicyError) as caught:
        made.read(text, "x")
    return str(caught.value)
