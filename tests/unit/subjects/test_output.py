"""What a command printed, to its last word."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.errors import SubjectError
from harness.lab import dated
from harness.lab.process import Program
from harness.subjects.output import LEFT_OUT, MOST_LINES, ProgramOutput


@contextmanager
def printing(script: str) -> Iterator[tuple[ProgramOutput, list[str]]]:
    """A Python program's output, once the program has ended, and the lines that are written into
    the timeline.
    """
    events: list[str] = []

    def emit(kind: str, at_ns: int | None = None, **data: Any) -> None:
        assert kind == "subject.printed"
        assert at_ns == 5
        events.append(data["line"])

    program = Program("it", [sys.executable, "-I", "-S", "-c", script])
    try:
        program.wait(20.0)
        yield ProgramOutput(program, emit), events
    finally:
        program.close()


def test_the_last_words_need_no_newline() -> None:
    """What a program said last is a line once it has ended, even where a program of its own keeps
    the output open.
    """
    script = """
import os, time
if os.fork() == 0:
    time.sleep(60)
print("connected\\nconnection dead", end="", flush=True)
"""
    with printing(script) as (output, events):
        assert list(output.read(5)) == [("connected", 5)]
        assert not output.is_over
        assert list(output.read(5, has_ended=True)) == [("connection dead", 5)]
        assert events == ["connected", "connection dead"]
        assert output.last_words() == "its last lines: connected | connection dead"


def test_silence() -> None:
    """A program that printed nothing has no last lines."""
    with printing("") as (output, events):
        assert list(output.read(5)) == []
        assert events == []
        assert output.is_over
        assert output.last_words() == "it has printed nothing"


def test_a_silent_program_may_not_flush() -> None:
    """Where a line of it is awaited, the message says why none may have come."""
    with printing("") as (silent, _):
        output = ProgramOutput(silent.program, silent.emit, is_awaited=True)
        list(output.read(5))
        assert output.last_words().startswith(
            "it has printed nothing (if it should have, its output may be buffered"
        )


def test_floods_are_told_with_their_last_lines() -> None:
    """The limit is a number of lines in a run."""
    flood = f"floods its output, {MOST_LINES} lines so far; its last lines: 4996"
    with (
        printing(f"print(*range({MOST_LINES} + 1), sep='\\n')") as (output, _),
        pytest.raises(SubjectError, match=flood),
    ):
        list(output.read(5))


def test_a_line_counts_from_when_it_was_printed() -> None:
    """Not from when a busy harness comes to read it: from the write at the earliest, 50 ms later at
    the latest.
    """
    script = """
import time
time.sleep(0.05)
before = time.monotonic_ns()
print(before, flush=True)
print(time.monotonic_ns(), flush=True)
time.sleep(0.2)
"""
    moments: list[int] = []

    def emit(kind: str, at_ns: int | None = None, **data: Any) -> None:
        assert (kind, list(data)) == ("subject.printed", ["line"])
        assert at_ns is not None
        moments.append(at_ns)

    program = Program("it", [sys.executable, "-I", "-S", "-c", script], owns_children=True)
    try:
        if program.written_ns() is None and not dated.FOLDER.is_mount():
            pytest.skip(f"output has no date where {dated.FOLDER} is no tmpfs")
        program.wait(20.0)
        ended_ns = time.monotonic_ns()
        time.sleep(0.1)
        output = ProgramOutput(program, emit)
        (_, first_ns), (second, second_ns) = output.read(time.monotonic_ns())
    finally:
        program.close()
    assert moments == [first_ns, second_ns]
    assert int(second) <= second_ns < ended_ns


def test_a_pipe_that_cannot_be_made_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither descriptors, of which there may be too few, nor a name."""
    if not dated.FOLDER.is_mount():
        pytest.skip(f"output has no date where {dated.FOLDER} is no tmpfs")
    real, names = os.open, []

    def few(path: Path, flags: int) -> int:
        names.append(path)
        if len(names) == 3:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(path, flags)

    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the folder is gone with the process
    monkeypatch.setattr(os, "open", few)
    with pytest.raises(OSError, match="Too many open files"):
        dated.make()
    monkeypatch.undo()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    assert not names[0].exists()


def test_a_flood_is_left_out_where_it_is_no_fault() -> None:
    """Lines are still read; the timeline says that it does not hold them."""
    with printing(f"print(*range({MOST_LINES} + 3), sep='\\n')") as (strict, events):
        output = ProgramOutput(strict.program, strict.emit, may_flood=True)
        lines = [line for line, _ in output.read(5)]
        assert lines[-1] == str(MOST_LINES + 2)
        assert len(events) == MOST_LINES + 1
        assert events[-1] == LEFT_OUT
        assert output.last_words().endswith(f" | {MOST_LINES + 2}")
