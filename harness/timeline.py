"""The timeline: everything that happened in a run, in order, and the only input of the judge beside
the plan.

Each event is one JSON line, on disk before the next thing happens, so a killed run keeps all that
it saw. Times are nanoseconds of CLOCK_MONOTONIC since the timeline was opened; the first line says
what that was in both clocks.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from harness.errors import UsageError
from harness.system import plain_files
from harness.system.file_descriptors import raised
from harness.system.monotonic import KernelClock, MonotonicClock

FILE_NAME = "timeline.jsonl"
FORMAT = 1
"""In the data of the first event."""


class Event(msgspec.Struct, frozen=True):
    """One thing that happened. `harness.model.events` has the type of each kind's data."""

    t_ns: int
    """Nanoseconds since the timeline was opened."""
    kind: str
    """What happened: a key of `harness.model.events.KINDS`."""
    source: str
    """A host, an end of the connection, or a part of the harness."""
    data: dict[str, Any] = {}
    """What the kind's type says, and nothing else."""


URGENT = frozenset({"subject.printed"})
"""What a program under test said last is wanted most where it computes for ever and nobody else
gets a turn.
"""
_recording = True


def stop_recording() -> None:
    """Write nothing more, of any run: the harness is ending, and what happens now is its own
    doing.
    """
    global _recording  # noqa: PLW0603 - of the process, as its end is
    _recording = False


class Timeline:
    """An append-only list of events, written through to a file where there is one."""

    def __init__(
        self,
        folder: Path | None = None,
        secure: Callable[[int], None] = lambda _: None,
        clock: MonotonicClock | None = None,
    ) -> None:
        """Open `folder`'s file, where there is one.

        `secure`: makes sure that what was written to a descriptor stays.

        It is called for each event of `URGENT`, where whoever writes the timeline may not come to
        write more. `clock`: the clock of the whole run, by default CLOCK_MONOTONIC of this kernel.
        """
        self.events: list[Event] = []
        self.clock = clock or KernelClock()
        self._secure = secure
        self._file: BinaryIO | None = None
        self._path = None if folder is None else folder / FILE_NAME
        if self._path is not None:
            opened = os.open(
                self._path,
                os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC,
                0o644,
            )
            self._file = os.fdopen(raised(opened), "wb", buffering=0)
        self._encoder = msgspec.json.Encoder()
        self.opened_ns = self.clock.now_ns()
        self.realtime_offset_ns = time.time_ns() - self.opened_ns
        self.add(
            "opened",
            "harness",
            at_ns=self.opened_ns,
            monotonic_ns=self.opened_ns,
            realtime_ns=self.opened_ns + self.realtime_offset_ns,
            format=FORMAT,
        )

    def add(self, kind: str, source: str, *, at_ns: int | None = None, **data: Any) -> Event:
        """Append an event that happened at `at_ns` (CLOCK_MONOTONIC; now when None)."""
        moment = self.clock.now_ns() if at_ns is None else at_ns
        event = Event(moment - self.opened_ns, kind, source, data)
        self.events.append(event)
        if self._file is not None and _recording:
            self._write(self._file, self._encoder.encode(event) + b"\n", urgent=kind in URGENT)
        return event

    def _write(self, file: BinaryIO, line: bytes, *, urgent: bool) -> None:
        """Write a line; where it does not fit, as on a full disk, the run goes on unwritten and
        cannot be judged.
        """
        left = memoryview(line)
        try:
            while left:
                left = left[file.write(left) :]
            if urgent:
                self._secure(file.fileno())
        except OSError as error:
            self.close()
            found = f"expected room for the timeline, found {error.strerror} at {self._path}"
            self.add("run.broken", "harness", error=found)

    def close(self) -> None:
        """Close the file; the events stay."""
        if self._file is not None:
            self._file.close()
            self._file = None


def append(folder: Path, event: Event) -> None:
    """Add an event to a timeline that another thread or process may still be writing."""
    with open(folder / FILE_NAME, "ab", buffering=0, opener=plain_files.plain) as file:
        file.write(msgspec.json.encode(event) + b"\n")


def load(folder: Path) -> tuple[Event, ...]:
    """Read a saved timeline. A torn last line (a killed run) is left out. Raises UsageError."""
    path = folder / FILE_NAME
    try:
        lines = plain_files.read(path).split(b"\n")
    except OSError as error:
        raise UsageError(f"expected a run's timeline, found {error.strerror} at {path}") from error
    decoder = msgspec.json.Decoder(Event)
    events = []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            events.append(decoder.decode(line))
        except msgspec.DecodeError as error:
            if number == len(lines):
                break
            raise UsageError(
                f"{path}:{number}: expected an event as JSON, found {error}"
            ) from error
    return tuple(events)
