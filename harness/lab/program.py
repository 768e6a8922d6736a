"""A program on a host: a process of its own in the host's namespace, which faults can kill and freeze."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import FileIO
from typing import IO

from harness.descriptors import raised_pipe
from harness.errors import FaultError, SubjectError
from harness.lab import dated, family

READ_OCTETS, MOST_READS = 65536, 16
"""How much of a program's output is taken at a time, and how often in a row."""
DYING_S = 5.0
"""How long what a program has started may take to be gone once it was killed."""
LOOK_S = 0.0001
"""How often a program that is about to stop is looked at. Not sched_yield(2), which gives way to equals alone."""
LONGEST_LINE = READ_OCTETS
"""Octets after which a line is taken for whole."""

Popen = Callable[..., "subprocess.Popen[bytes]"]


class Program:
    """A running process in a session of its own. Its output is at `stdout`; standard error goes there too."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        folder: str | None = None,
        *,
        breeds: bool = False,
        popen: Popen = subprocess.Popen,
    ) -> None:
        """Start `argv` in the calling thread's namespace, in a working directory. Raises SubjectError.

        `breeds`: it may start processes in sessions of their own, as PostgreSQL does, which go and stop with it; and
        what it prints has a date, see `written_ns`.
        `popen`: what starts it, with subprocess.Popen's arguments.
        """
        self.name, self.breeds = name, breeds
        self.is_silent = False
        """Whether it will print no more."""
        self._output = dated.make() if breeds else None
        try:
            self._process = popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if self._output is None else self._output.writing,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                cwd=folder,
                start_new_session=True,
            )
        except OSError as error:
            if self._output is not None:
                os.close(self._output.reading)
            where = f" in {folder}" if folder else ""
            raise SubjectError(f"expected to start {argv[0]!r}{where}, found {error.strerror}") from error
        finally:
            if self._output is not None:
                os.close(self._output.writing)
        self.born = family.born(self._process.pid)
        assert self._process.stdin is not None
        self._stdin: IO[bytes] = raised_pipe(self._process.stdin)
        if self._output is None:
            assert self._process.stdout is not None
            self.stdout: IO[bytes] = raised_pipe(self._process.stdout)
        else:
            self.stdout = FileIO(self._output.reading, "rb")
        self._pending = b""

    @property
    def pid(self) -> int:
        """The process ID, in the harness's PID namespace."""
        return self._process.pid

    def fileno(self) -> int:
        """Readable when the program has printed something or ended."""
        return self.stdout.fileno()

    def written_ns(self) -> int | None:
        """When it printed something last, at the latest (CLOCK_MONOTONIC in ns); None where nothing tells of it."""
        return None if self._output is None else dated.written_ns(self._output)

    def _readable(self, timeout_s: float) -> bool:
        """Whether output (or its end) is there, waiting at most so long. Not select(2): descriptors pass 1024."""
        poller = select.poll()
        poller.register(self.stdout.fileno(), select.POLLIN)
        return bool(poller.poll(timeout_s * 1000))

    def lines(self, *, has_ended: bool = False) -> list[bytes]:
        """The lines printed since the last call, of a megabyte at most; never blocks.

        What has no newline is a line as well at the end of the output, when it is very long, and where the program
        `has_ended`: what it has started may keep its output open.
        """
        for _ in range(MOST_READS):
            if not self._readable(0):
                break
            chunk = os.read(self.stdout.fileno(), READ_OCTETS)
            if not chunk:
                self.is_silent = True
                break
            self._pending += chunk
        *complete, self._pending = self._pending.split(b"\n")
        if self._pending and (self.is_silent or has_ended or len(self._pending) > LONGEST_LINE):
            complete.append(self._pending)
            self._pending = b""
        return complete

    def read_line(self, timeout_s: float) -> bytes:
        """The next line, waiting for it at most so long. Raises SubjectError with what was printed instead."""
        while b"\n" not in self._pending:
            if not self._readable(timeout_s):
                raise SubjectError(f"{self.name}: expected a line within {timeout_s:g} s, found {self._pending!r}")
            chunk = os.read(self.stdout.fileno(), READ_OCTETS)
            if not chunk:
                self._process.wait()
                raise SubjectError(f"{self.name}: ended with status {self.poll()}, last words {self._pending!r}")
            self._pending += chunk
        line, self._pending = self._pending.split(b"\n", 1)
        return line

    def write(self, data: bytes) -> None:
        """Put something into its standard input. Raises OSError where it reads no more."""
        self._stdin.write(data)
        self._stdin.flush()

    def poll(self) -> int | None:
        """The exit status (negative: the signal), or None while it runs."""
        return self._process.poll()

    def wait(self, within_s: float) -> int:
        """The exit status, waiting for it at most so long. Raises SubjectError."""
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise SubjectError(f"{self.name}: expected an end within {within_s:g} s, found it running") from None

    def kill(self) -> None:
        """SIGKILL to it and all that it started, and wait until it is gone."""
        others = self._others()
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for pid in others:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + DYING_S
        while self.breeds and self._others() and time.monotonic() < deadline:
            time.sleep(0.001)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP for the length of the block, to all that it started too, SIGCONT after it.

        Raises FaultError when it has ended.
        """
        if self._process.poll() is not None:
            raise FaultError(f"expected {self.name} to run, found it ended with status {self.poll()}")
        self._signal(signal.SIGSTOP)
        while self.state() not in "TZX":
            time.sleep(LOOK_S)
        try:
            yield
        finally:
            if self._process.poll() is None:
                self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        """To its session, and to each process below it that has left that."""
        others = self._others()
        os.killpg(self._process.pid, number)
        for pid in others:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _others(self) -> list[int]:
        """The processes that it started, and those that they started, that still run."""
        if not self.breeds:
            return []
        return [pid for pid in family.members(self.pid, self.born) if pid != self.pid]

    def state(self) -> str:
        """The state letter of /proc/PID/stat (R, S, T, …), X when it is gone."""
        try:
            with open(f"/proc/{self._process.pid}/stat", encoding="ascii", errors="replace") as file:
                return file.read().rpartition(")")[2].split()[0]
        except OSError:
            return "X"

    def shown_name(self) -> str:
        """What it calls itself in /proc/PID/comm, nothing when it is gone."""
        try:
            with open(f"/proc/{self._process.pid}/comm", encoding="utf-8", errors="replace") as file:
                return file.read().rstrip("\n")
        except OSError:
            return ""

    def close(self) -> None:
        """Kill what still runs and let go of its pipes."""
        self.kill()
        self._stdin.close()
        self.stdout.close()
