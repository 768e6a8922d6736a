"""A program is watched until it ends, and after it the one that takes its place."""

from __future__ import annotations

import select
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from harness.lab.process import Program
from harness.subjects.output_watcher import OutputWatcher

DESCRIPTORS = Path("/proc/self/fd")


def program(script: str) -> Program:
    """A Python program."""
    return Program("it", [sys.executable, "-I", "-S", "-c", script])


def emit(kind: str, at_ns: int | None = None, **_: Any) -> None:
    """As of a timeline."""
    assert (kind, at_ns is None) == ("subject.printed", False)


def lines(watcher: OutputWatcher, least: int) -> list[str]:
    """What is printed, once it is so many lines."""
    found: list[str] = []
    while len(found) < least:
        assert select.select([watcher], [], [], 20.0)[0]
        found += [line for line, _ in watcher.read(5)]
    return found


def test_it_is_readable_for_output_and_for_the_end() -> None:
    """Output that is over wakes nobody any more; the end goes on doing so."""
    with closing(program("print('one'); print('two')")) as first:
        watcher = OutputWatcher(first, emit, is_awaited=True)
        assert lines(watcher, 2) == ["one", "two"]
        first.wait(20.0)
        assert list(watcher.read(5, has_ended=True)) == []
        assert (watcher.status, watcher.last_words()) == (0, "its last lines: one | two")
        assert select.select([watcher], [], [], 20.0)[0]
        watcher.close()


def test_it_follows_the_program_that_takes_the_place() -> None:
    """Its descriptor stays the same; the last words are of the new program."""
    with (
        closing(program("print('one')")) as first,
        closing(program("print('two'); input()")) as second,
    ):
        watcher = OutputWatcher(first, emit, is_awaited=True)
        number = watcher.fileno()
        assert lines(watcher, 1) == ["one"]
        first.kill()
        watcher.follow(second)
        assert lines(watcher, 1) == ["two"]
        assert (watcher.fileno(), watcher.status) == (number, None)
        assert (watcher.program, watcher.last_words()) == (second, "its last lines: two")
        watcher.close()


def test_closing_gives_all_descriptors_back() -> None:
    """Also those of the program that was followed first."""
    with closing(program("")) as first, closing(program("")) as second:
        before = set(DESCRIPTORS.iterdir())
        watcher = OutputWatcher(first, emit, is_awaited=False)
        watcher.follow(second)
        watcher.close()
        assert set(DESCRIPTORS.iterdir()) <= before
