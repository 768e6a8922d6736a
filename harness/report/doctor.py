"""What this machine can do, for people: `harness doctor`."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.capabilities import Capability

WIDEST = 100
_INDENT = " " * 9


def describe(found: Sequence[Capability], columns: int) -> list[str]:
    """A line for each capability, more where one is missing, and what follows from it all.

    At most `columns` wide.
    """
    margin = len(_INDENT) + max(len(item.name) for item in found) + 2
    width = max(min(columns, WIDEST), margin + 30)
    lines = []
    for item in found:
        sign = "ok" if item.available else "MISSING" if item.essential else "without"
        head = f"{sign:<{len(_INDENT)}}{item.name}".ljust(margin)
        lines += _wrapped(item.found, width, head, " " * margin)
        if not item.available:
            lines += _wrapped(f"needed for {item.needed_for}", width, _INDENT, _INDENT + "  ")
            lines += _wrapped(f"fix: {item.fix}", width, _INDENT, _INDENT + "  ")
    return [*lines, "", *_wrapped(_conclusion(found), width, "", "")]


def _wrapped(text: str, width: int, first: str, later: str) -> list[str]:
    # Commands and paths are to be copied: no word is broken.
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _conclusion(found: Sequence[Capability]) -> str:
    missing = [item.name for item in found if item.essential and not item.available]
    without = [item.name for item in found if not item.essential and not item.available]
    if missing:
        text = f"This machine cannot run the scenarios in real time: {', '.join(missing)} missing."
        virtual = next((item for item in found if item.name == "virtual time"), None)
        if virtual is None:
            return text
        return (
            f"{text} With --clock virtual it "
            f"can{'' if virtual.available else ', once it has what that needs'}."
        )
    text = "This machine can run the scenarios"
    return f"{text}, all but those that need {' or '.join(without)}." if without else f"{text}."
