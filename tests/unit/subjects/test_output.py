"""What a command printed, to its last word."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from harness.errors import SubjectError
from harness.lab.program import Program
from harness.subjects.output import MOST_LINES, Output


@contextmanager
def printing(script: str) -> Iterator[tuple[Output, list[str]]]:
    """A Python program's output, once the program has ended, and the lines that are written into the timeline."""
    events: list[str] = []

    def emit(kind: str, at_ns: int | None = None, **data: Any) -> None:
        assert kind == "subject.printed"
        assert at_ns == 5
        events.append(data["line"])

    program = Program("it", [sys.executable, "-I", "-S", "-c", script])
    try:
        program.wait(20.0)
        yield Output(program, emit), events
    finally:
        program.close()


def test_the_last_words_need_no_newline() -> None:
    """What a program said last is a line once it has ended, even where a program of its own keeps the output open."""
    script = """
import os, time
if os.fork() == 0:
    time.sleep(60)
print("connected\\nconnection dead", end="", flush=True)
"""
    with printing(script) as (output, events):
        assert list(output.read(5)) == ["connected"]
        assert not output.is_over
        assert list(output.read(5, has_ended=True)) == ["connection dead"] == events[1:]
        assert output.last_words() == "its last lines: connected | connection dead"


def test_silence() -> None:
    """A program that printed nothing has no last lines."""
    with printing("") as (output, events):
        assert list(output.read(5)) == events == []
        assert output.is_over
        assert output.last_words() == "it has printed nothing"


def test_floods_are_told_with_their_last_lines() -> None:
    """The limit is a number of lines in a run."""
    flood = f"floods its output, {MOST_LINES} lines so far; its last lines: 4996"
    with (
        printing(f"print(*range({MOST_LINES} + 1), sep='\\n')") as (output, _),
        pytest.raises(SubjectError, match=flood),
    ):
        list(output.read(5))
