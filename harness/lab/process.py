"""A program on a host: a process of its own in the host's namespace, which faults can kill and
freeze.
"""

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

from harness.errors import FaultError, SubjectError
from harness.lab import dated, processes
from harness.lab.processes import MARK_VARIABLE, Owned
from harness.system import priority, process_tree, stall
from harness.system.file_descriptors import raised, raised_pipe

READ_OCTETS, MOST_READS = 65536, 16
"""How much of a program's output is taken at a time, and how often in a row."""
LONGEST_LINE = READ_OCTETS
"""Octets after which a line is taken for whole."""

Popen = Callable[..., "subprocess.Popen[bytes]"]


class Program:
    """A running process in a session of its own.

    Its output is at `stdout`; standard error goes there too.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        folder: str | None = None,
        *,
        owns_children: bool = False,
        keeps_ended: bool = True,
        popen: Popen = subprocess.Popen,
    ) -> None:
        """Start `argv` in the calling thread's namespace, in a working directory.

        Raises SubjectError.

        `owns_children`: faults kill and freeze the processes that it starts, too, in sessions of
        their own as well; and what it prints has a date, see `written_ns`. `keeps_ended`: see
        `poll`. `popen`: what starts it, with subprocess.Popen's arguments.
        """
        self.name, self.owns_children, self._keeps_ended = name, owns_children, keeps_ended
        self.is_silent = False
        """Whether it will print no more."""
        self._output = dated.make() if owns_children else None
        self._process = self._start(argv, env, folder, popen)
        try:
            self._end = raised(os.pidfd_open(self._process.pid))
        except OSError as error:
            self._process.kill()
            self._process.wait()
            raise SubjectError(
                f"expected to watch over {argv[0]!r}, found {error.strerror}"
            ) from error
        priority.keep_nice(self._process.pid)
        self.born = process_tree.born(self._process.pid)
        mark = (env or {}).get(MARK_VARIABLE, "")
        self.owned: Callable[[], Owned] = lambda: Owned(name, mark, self.pid, self.born)
        """What tells its processes from all others."""
        self.strays: Callable[[], dict[int, int]] = dict
        """Finds other processes that can only be its own: ID to birth."""
        assert self._process.stdin is not None
        self._stdin: IO[bytes] = raised_pipe(self._process.stdin)
        if self._output is None:
            assert self._process.stdout is not None
            self.stdout: IO[bytes] = raised_pipe(self._process.stdout)
        else:
            self.stdout = FileIO(self._output.reading, "rb")
        self._pending = b""
        self._waited_ns = 0

    def _start(
        self, argv: Sequence[str], env: Mapping[str, str] | None, folder: str | None, popen: Popen
    ) -> subprocess.Popen[bytes]:
        """Start the process with its pipes. Raises SubjectError."""
        try:
            return popen(
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
            raise SubjectError(
                f"expected to start {argv[0]!r}{where}, found {error.strerror}"
            ) from error
        finally:
            if self._output is not None:
                os.close(self._output.writing)

    @property
    def pid(self) -> int:
        """The process ID, in the harness's PID namespace."""
        return self._process.pid

    def fileno(self) -> int:
        """Readable when the program has printed something or ended."""
        return self.stdout.fileno()

    def written_ns(self) -> int | None:
        """When it printed something last, at the latest (CLOCK_MONOTONIC in ns).

        None where nothing tells of it.
        """
        return None if self._output is None else dated.written_ns(self._output)

    def _readable(self, timeout_s: float) -> bool:
        """Whether output (or its end) is there, waiting at most so long.

        Not select(2): descriptors pass 1024.
        """
        poller = select.poll()
        poller.register(self.stdout.fileno(), select.POLLIN)
        return bool(poller.poll(timeout_s * 1000))

    def lines(self, *, has_ended: bool = False) -> list[bytes]:
        """The lines printed since the last call, of a megabyte at most; never blocks.

        What has no newline is a line as well at the end of the output, when it is very long, and
        where the program `has_ended`: what it has started may keep its output open.
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
        """The next line, waiting for it at most so long.

        Raises SubjectError with what was printed instead.
        """
        while b"\n" not in self._pending:
            if not self._readable(timeout_s):
                raise SubjectError(
                    f"{self.name}: expected a line within {timeout_s:g} s, found {self._pending!r}"
                )
            chunk = os.read(self.stdout.fileno(), READ_OCTETS)
            if not chunk:
                self._await_end(None)
                raise SubjectError(
                    f"{self.name}: ended with status {self.poll()}, last words {self._pending!r}"
                )
            self._pending += chunk
        line, self._pending = self._pending.split(b"\n", 1)
        return line

    def write(self, data: bytes) -> None:
        """Put something into its standard input. Raises OSError where it reads no more."""
        self._stdin.write(data)
        self._stdin.flush()

    def offer(self, data: bytes) -> bool:
        """Put at most PIPE_BUF octets (4096) into its standard input, without waiting.

        Whether there was room for them, and it still reads.
        """
        poller = select.poll()
        poller.register(self._stdin.fileno(), select.POLLOUT)
        if poller.poll(0) != [(self._stdin.fileno(), select.POLLOUT)]:
            return False
        try:
            os.write(self._stdin.fileno(), data)
        except OSError:
            return False
        return True

    def poll(self) -> int | None:
        """The exit status (negative: the signal), or None while it runs.

        Where it `keeps_ended`, the ended process stays as a zombie until it is killed or closed: so
        its ID remains that of its session, which its children may be in.
        """
        if self._process.returncode is not None or not self._keeps_ended:
            return self._process.poll()
        try:
            found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:  # another part of this process has asked for it
            return self._process.poll()
        if found is None:
            return None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    def waited_ns(self) -> int:
        """How long its process has waited for a CPU so far, all threads added up.

        Less is never said later.
        """
        self._waited_ns = max(self._waited_ns, stall.waited_ns(f"/proc/{self.pid}"))
        return self._waited_ns

    def wait(self, within_s: float) -> int:
        """The exit status, waiting for it at most so long. Raises SubjectError."""
        status = self.poll() if self._await_end(within_s) else None
        if status is None:
            raise SubjectError(
                f"{self.name}: expected an end within {within_s:g} s, found it running"
            )
        return status

    def _await_end(self, within_s: float | None) -> bool:
        """Whether it has ended, waiting for that at most so long; None: for ever."""
        poller = select.poll()
        poller.register(self._end, select.POLLIN)
        return bool(poller.poll(None if within_s is None else within_s * 1000))

    def kill(self) -> list[str]:
        """SIGKILL to it and all that it started, and wait until they are gone.

        The reasons why others are not.

        Its process group goes at once, so that none of it starts another one meanwhile.
        """
        if self._end < 0:
            return []
        others = self._others()
        if self._process.returncode is None:
            priority.lend(
                self.pid
            )  # what is killed needs a CPU to end, and the fault lasts until it has
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except PermissionError:
                return [f"process {self.pid}: not permitted to end it; run as its user"]
            self._await_end(None)
        process_tree.tell(others, signal.SIGKILL)
        left = (
            [why for _, why in processes.end([self.owned()], held=True).left]
            if self.owns_children
            else []
        )
        deadline = time.monotonic() + processes.DYING_S
        while (strays := self.strays()) and time.monotonic() < deadline:
            process_tree.tell(strays, signal.SIGKILL)
            time.sleep(processes.LOOK_S)
        self._process.wait()
        return [*left, *(f"process {pid}: it has not ended after SIGKILL" for pid in strays)]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP for the length of the block, to all that it started too, SIGCONT after it.

        Raises FaultError when it has ended.
        """
        if self.poll() is not None:
            raise FaultError(
                f"expected {self.name} to run, found it ended with status {self.poll()}"
            )
        self._signal(signal.SIGSTOP)
        while self.state() not in "TZX":
            time.sleep(processes.LOOK_S)
        try:
            yield
        finally:
            if self._end >= 0:
                self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        """To its process group, and to each process of its own that is in another one."""
        if self._process.returncode is None:
            os.killpg(self.pid, number)
        process_tree.tell(self._others(), number)

    def running(self) -> list[int]:
        """The IDs of its processes that run: its own first, then those of all that it started."""
        own = [] if self.poll() is not None else [self.pid]
        return own + sorted(self._others())

    def _others(self) -> dict[int, int]:
        """The processes that it started, and those that they started, that still run: ID to
        birth.
        """
        if not self.owns_children:
            return {}
        found = {**processes.of(self.owned()), **self.strays()}
        return {pid: born for pid, born in found.items() if pid != self.pid}

    def state(self) -> str:
        """The state letter of /proc/PID/stat (R, S, T, …), X when it is gone."""
        try:
            with open(
                f"/proc/{self._process.pid}/stat", encoding="ascii", errors="replace"
            ) as file:
                return file.read().rpartition(")")[2].split()[0]
        except OSError:
            return "X"

    def shown_name(self) -> str:
        """What it calls itself in /proc/PID/comm, nothing when it is gone."""
        try:
            with open(
                f"/proc/{self._process.pid}/comm", encoding="utf-8", errors="replace"
            ) as file:
                return file.read().rstrip("\n")
        except OSError:
            return ""

    def close(self) -> None:
        """Kill what still runs and let go of it and of its pipes."""
        if self._end < 0:
            return
        self.kill()
        os.close(self._end)
        self._end = -1
        with suppress(BrokenPipeError):  # what a program that has ended did not read is lost
            self._stdin.close()
        self.stdout.close()
