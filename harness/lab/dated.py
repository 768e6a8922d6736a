"""A pipe whose last write has a date, so that a line counts from when it was printed, however late
it is read.

The kernel keeps that date for a named pipe (fifo(7)) as the modification time of the file, by the
clock of its last tick; for pipe(2) it keeps none since Linux 6.15. The pipe loses its name at once.
It is made in memory alone: on a disk a write may wait for the file system, which stores the date.
"""

from __future__ import annotations

import os
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from harness.system import wall_clock
from harness.system.file_descriptors import raised

FOLDER = Path("/dev/shm")  # noqa: S108 - the file has a random name, and loses it at once
"""A tmpfs, as in shm_overview(7)."""
LATE_NS = 50_000_000
"""How much older than the write its date may be: a tick, which a busy machine may count late (40 ms
were seen).
"""


class DatedPipe(NamedTuple):
    """Both ends as descriptors, and the date that the pipe was made with (CLOCK_REALTIME in ns)."""

    reading: int
    writing: int
    made_ns: int


def make() -> DatedPipe | None:
    """A pipe, None where there is no tmpfs to make it in."""
    path = FOLDER / f"keepalive-output-{uuid.uuid4().hex}"
    if not path.parent.is_mount():
        return None
    try:
        os.mkfifo(path, 0o600)
    except OSError:
        return None
    with ExitStack() as undone:
        try:
            both = os.open(path, os.O_RDWR | os.O_CLOEXEC)  # an end waits for the other one
            undone.callback(os.close, both)
            reading = raised(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            undone.callback(os.close, reading)
            writing = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        finally:
            path.unlink()
        undone.pop_all()
    os.close(both)
    return DatedPipe(reading, writing, os.fstat(reading).st_mtime_ns)


def written_ns(pipe: DatedPipe) -> int | None:
    """When the last write into the pipe was over (CLOCK_MONOTONIC): not before that, and LATE_NS
    after it at most.

    None where the pipe was never written to, or in the tick in which it was made; and where the
    clock was set since, so that the date may be of another one.
    """
    date_ns = os.fstat(pipe.reading).st_mtime_ns
    if date_ns == pipe.made_ns:
        return None
    written = date_ns + LATE_NS - (time.time_ns() - time.monotonic_ns())
    return None if written < wall_clock.last_moved_ns() else written
