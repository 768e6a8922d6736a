"""Says that a guest still works, where its command prints nothing for long."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress

from harness.system.escapes import visible

SILENCE_S = 10.0
"""So long, in seconds of wall time, nothing is said, and then again from line to line."""


class Silence:
    """The silence of one command, from now on.

    `on_terminal`: the command has our terminal. Once it has printed or read anything there, nothing
    is written between its own lines.
    """

    def __init__(
        self,
        words: Callable[[], str],
        *,
        on_terminal: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`words`: what to say, computed when it is said."""
        self._words, self._on_terminal, self._clock = words, on_terminal, clock
        self._since = clock()

    def broken(self) -> None:
        """The command has printed something, or something was typed."""
        self._since = float("inf") if self._on_terminal else self._clock()

    def look(self) -> None:
        """Say something where it is due."""
        now = self._clock()
        if now - self._since < SILENCE_S:
            return
        self._since = now
        end = "\r\n" if self._on_terminal else "\n"  # the terminal is raw
        with suppress(OSError):  # nobody reads it
            os.write(2, f"harness: {visible(self._words())}{end}".encode())
