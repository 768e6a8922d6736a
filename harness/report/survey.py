"""What this machine can do, for people: `harness doctor`."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.capabilities import Capability

WIDEST = 100


def describe(found: Sequence[Capability], columns: int) -> list[str]:
    """A line for each capability, more where one is missing, and what follows from it all; at most `columns` wide."""
    margin = len("MISSING  ") + max(len(item.name) for item in found) + 2
    width = max(min(columns, WIDEST), margin + 30)
    lines = []
    for item in found:
        sign = "ok" if item.available else "MISSING" if item.essential else "without"
        head = f"{sign:<9}{item.name}".ljust(margin)
        lines += textwrap.wrap(item.found, width, initial_indent=head, subsequent_indent=" " * margin)
        if not item.available:
            lines += _block("mend: ", item.mend, width, margin)
            lines += _block("needed for ", item.needed_for, width, margin)
    return [*lines, "", *textwrap.wrap(_conclusion(found), width)]


def _block(label: str, text: str, width: int, margin: int) -> list[str]:
    # Commands in a mend are to be copied: no word is broken.
    indent = " " * margin
    return textwrap.wrap(
        label + text,
        width,
        initial_indent=indent,
        subsequent_indent=indent + " " * 6,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _conclusion(found: Sequence[Capability]) -> str:
    missing = [item.name for item in found if item.essential and not item.available]
    without = [item.name for item in found if not item.essential and not item.available]
    if missing:
        return f"This machine cannot run the scenarios: {', '.join(missing)} missing."
    text = "This machine can run the scenarios"
    return f"{text}, all but those that need {' or '.join(without)}." if without else f"{text}."
