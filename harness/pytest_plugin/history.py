"""What happened, as text for a failure's report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from harness.system.escapes import visible

if TYPE_CHECKING:
    from harness.timeline import Event

EVENTS_SHOWN = 60


def last_events(events: Sequence[Event]) -> list[str]:
    """The last events, one a line, after a line that counts the earlier ones."""
    from harness.report import diagram

    lines = diagram.chronicle(events)
    left_out = len(lines) - EVENTS_SHOWN
    return (
        lines
        if left_out <= 0
        else [f"({left_out} earlier events left out)", *lines[-EVENTS_SHOWN:]]
    )


class _Writer(Protocol):
    def line(self, line: str) -> None: ...


class Crash(NamedTuple):
    """A failure in one line, for pytest's summary and for the message in a JUnit report."""

    message: str

    def __str__(self) -> str:
        """For --tb=line."""
        return self.message


class Telling:
    """A failure's report: its first line in summaries, all of it where pytest shows failures."""

    def __init__(self, text: str) -> None:
        self.text = visible(text)
        self.reprcrash = Crash(self.text.partition("\n")[0])

    def __str__(self) -> str:
        """All of it."""
        return self.text

    def toterminal(self, writer: _Writer) -> None:
        """Write all of it, as pytest asks of its own reports."""
        writer.line(self.text)
