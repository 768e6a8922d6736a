"""Wakes a run when a program has printed something or has ended, and reads what it printed."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator

from harness.lab.process import Program
from harness.programs.tcp_endpoint import Emit
from harness.subjects.output import ProgramOutput


class OutputWatcher:
    """Watches one program at a time: its output, and its end."""

    def __init__(
        self, program: Program, emit: Emit, *, is_awaited: bool, may_flood: bool = False
    ) -> None:
        """`is_awaited`, `may_flood`: as for `ProgramOutput`."""
        self._emit, self._is_awaited, self._may_flood = emit, is_awaited, may_flood
        self._poller = select.epoll()
        self._watch(program)

    def _watch(self, program: Program) -> None:
        self.program, self._is_open = program, True
        self._output = ProgramOutput(
            program, self._emit, is_awaited=self._is_awaited, may_flood=self._may_flood
        )
        self._process = os.pidfd_open(program.pid)
        self._poller.register(program.fileno(), select.EPOLLIN)
        self._poller.register(self._process, select.EPOLLIN)

    def follow(self, program: Program) -> None:
        """Watch a program that was started in place of the one that has ended."""
        self._stop_reading()
        os.close(self._process)
        self._watch(program)

    def fileno(self) -> int:
        """Readable when the program has printed something or has ended."""
        return self._poller.fileno()

    def close(self) -> None:
        """Close the descriptors; the program is its host's to end."""
        self._poller.close()
        os.close(self._process)

    @property
    def status(self) -> int | None:
        """The program's exit status, negative for a signal; None while it runs."""
        return self.program.poll()

    def read(self, at_ns: int, *, has_ended: bool = False) -> Iterator[tuple[str, int]]:
        """The lines printed since the last call, each with its moment: see `ProgramOutput.read`."""
        if not self._is_open:
            return
        yield from self._output.read(at_ns, has_ended=has_ended)
        if self._output.is_over:
            self._stop_reading()

    def last_words(self) -> str:
        """The program's last lines, for messages."""
        return self._output.last_words()

    def _stop_reading(self) -> None:
        if self._is_open:
            self._is_open = False
            self._poller.unregister(self.program.fileno())
