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


class Event(msgspec.Struct, frozen=True):
    """One thing that happened.

    `t_ns`: since the timeline was opened; `source`: a host, side or part of the harness.

    Kinds, and what `data` holds beside free text:
      opened              monotonic_ns, realtime_ns
      lab.ready           hosts, lab (netns, docker), took_ns
      subject.listening   port (of a server that is a process of its own)
      subject.armed       side, took_ns (the call's duration: the origin is known to within it),
                          lag_ns (how long before the call the kernel last counted a jiffy), local,
                          remote; of a connection that is being made: the call of connect(2)
      subject.detected    side, errno (name), syscall, poll (names of the events), tcp_info
      subject.noticed     side, how (heartbeat|exit|output|close|reconnect), found (in words),
                          reports (or None): the program itself gives the peer up
      subject.reconnected side, remote: a connection that takes the place of the lost one stands;
                          server: its host
      subject.beatless    side, errno, remote: the server of the design "separate" could not connect
                          back
      subject.printed     side, line (of a command's output)
      subject.lives       side, line (a command's sign of life)
      subject.eof         side, poll
      subject.connected   side (a connection that was being made stands)
      subject.wrote       side, written (whether the socket took any of the data), octets (how
                          many), took_ns, lag_ns
      subject.shut        side, done (whether nothing more can be written: the FIN is queued),
                          took_ns
      subject.echoed      side, octets (how many have come to a client that is a process of its own,
                          so far)
      subject.ended       side, status (a process of its own has ended)
      subject.alive       side, echo (whether data still passed at the end)
      fault.injected      index, fault, took_ns
      fault.evidence      index, fault, level, found
      fault.healed        index, fault, took_ns
      segment             host, device, way (in|out), role (probe, answer, rst, …), flags, seq, ack,
                          length, and frame (the first bytes in hexadecimal)
      capture.ended       dropped: frames that did not fit into the capture's buffer
      run.stalled         took_ns: the harness did not run from this moment on, for so long, though
                          it was to; what came in that time is stamped when that was over, unless
                          the kernel has dated it
      program.waited      program, took_ns (how long it waited for a CPU, all threads together,
                          since both sides were armed, or since it was started)
      run.ended           reason
      run.broken          error: the run cannot be judged
    """

    t_ns: int
    kind: str
    source: str
    data: dict[str, Any] = {}


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
