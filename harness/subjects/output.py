"""What a command prints: taken line by line with the moment it was printed, and the last lines kept
for messages.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.errors import SubjectError
from harness.lab.process import Program
from harness.model.programs import UNFLUSHED
from harness.programs.tcp_endpoint import Emit

MOST_LINES = 5000
"""Of a command's output in one run; a program that prints more floods it."""
LEFT_OUT = f"(the harness keeps {MOST_LINES} lines, and leaves out the rest)"
"""Stands in a timeline for what a program prints after that, where it may."""
LAST_LINES = 5
LONGEST_LINE = 500
"""Characters of a line that are kept."""


class ProgramOutput:
    """Reads a program's output and writes it into the timeline."""

    def __init__(
        self, program: Program, emit: Emit, *, is_awaited: bool = False, may_flood: bool = False
    ) -> None:
        """`is_awaited`: lines of it mean something, so that a message about a silent program says
        why it may be so. `may_flood`: what is too much is left out of the timeline.
        """
        self.program, self.emit, self._is_awaited = program, emit, is_awaited
        self._may_flood, self._lines = may_flood, 0
        self._printed: list[str] = []
        self._read_ns = 0

    @property
    def is_over(self) -> bool:
        """Whether the program will print no more."""
        return self.program.is_silent

    def read(self, at_ns: int, *, has_ended: bool = False) -> Iterator[tuple[str, int]]:
        """The lines printed since the last call, with the moment of each, which is not after
        `at_ns`.

        Lines that are read together have the moment of the last one. `has_ended`: what comes after
        the last newline is a line as well. Raises SubjectError where the program floods its output.
        """
        lines = self.program.lines(has_ended=has_ended)
        written_ns = self.program.written_ns()
        moment_ns = at_ns if written_ns is None else max(min(at_ns, written_ns), self._read_ns)
        self._read_ns = at_ns
        for raw in lines:
            line = raw.decode(errors="replace").rstrip("\r")
            self._printed = [*self._printed[1 - LAST_LINES :], line[:LONGEST_LINE]]
            self._lines += 1
            if self._lines > MOST_LINES and not self._may_flood:
                flood = f"floods its output, {MOST_LINES} lines so far; {self.last_words()}"
                raise SubjectError(f"{self.program.name}: {flood}")
            if self._lines <= MOST_LINES:
                self.emit("subject.printed", at_ns=moment_ns, line=line[:LONGEST_LINE])
            elif self._lines == MOST_LINES + 1:
                self.emit("subject.printed", at_ns=moment_ns, line=LEFT_OUT)
            yield line, moment_ns

    def last_words(self) -> str:
        """The last lines, for messages."""
        if not self._printed:
            return (
                f"it has printed nothing ({UNFLUSHED})"
                if self._is_awaited
                else "it has printed nothing"
            )
        return "its last lines: " + " | ".join(self._printed)
