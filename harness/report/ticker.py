"""Calls a function again and again while work goes on: plain lines of progress in a file."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from harness.errors import CapabilityError
from harness.system.threads import begin

EVERY_S = 10.0
"""A log does not get lines of progress more often."""


class Ticker:
    """Calls `tick` when nothing was said for so long, from a thread of its own.

    Where a limit forbids another thread, it is never called.
    """

    def __init__(self, tick: Callable[[], None], every_s: float = EVERY_S) -> None:
        self._tick, self._every_s = tick, every_s
        self._said, self._over = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to count; only the first call does anything."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._count, name="progress", daemon=True)
            with suppress(CapabilityError):
                begin(self._thread)

    def said(self) -> None:
        """Something else was said: the next call is due in a whole interval."""
        self._said.set()

    def stop(self) -> None:
        """No further call; waits for one that goes on."""
        self._over.set()
        self._said.set()
        if self._thread is not None and self._thread.ident is not None:
            self._thread.join()

    def _count(self) -> None:
        while not self._over.is_set():
            if self._said.wait(self._every_s):
                self._said.clear()
            elif not self._over.is_set():
                self._tick()
