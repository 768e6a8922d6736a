"""What happened, as lines of text for a failure's report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.timeline import Event

EVENTS_SHOWN = 60


def last_events(events: Sequence[Event]) -> list[str]:
    """The last events, one a line, after a line that counts the earlier ones."""
    from harness.report import picture

    lines = picture.chronicle(events)
    left_out = len(lines) - EVENTS_SHOWN
    return lines if left_out <= 0 else [f"({left_out} earlier events left out)", *lines[-EVENTS_SHOWN:]]
