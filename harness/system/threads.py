"""Threads, which a limit of processes or of memory may forbid."""

from __future__ import annotations

import threading

from harness.errors import CapabilityError

FIX = (
    "raise the limits of processes (`ulimit -u`) and of memory (`ulimit -v`), or do less at once "
    "with --jobs N"
)


def begin(thread: threading.Thread) -> None:
    """Start a thread that is new. Raises CapabilityError."""
    try:
        thread.start()
    except RuntimeError as error:  # what Python makes of clone(2) with EAGAIN or ENOMEM
        raise CapabilityError("threads", str(error), FIX) from error
