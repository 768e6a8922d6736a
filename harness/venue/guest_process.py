"""A guest as a process of this machine: where its memory lives, how it boots, and what it says on
its console.

A `Guest` is one boot with one job. It sees the host's file tree and writes only into the folders it
was given.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import CapabilityError, GuestError, UsageError
from harness.lab.ledger import LEDGER
from harness.lab.processes import MARK_VARIABLE
from harness.system import plain_files, priority
from harness.system.file_descriptors import raise_limit
from harness.venue import init, kernel_files
from harness.venue.kernel import Kernel
from harness.venue.kernel_patch import FREE_READINGS

MEMORY_MB = 512
LEAST_MEMORY_MB = 256
"""Where no folder has room for more, a guest makes do with so much."""
FOLDER_PREFIX = "keepalive-guest-"
"""A guest's folder lies in memory: its job, what it leaves, and for a moment the file that is its
memory.
"""
LAST_WORDS = 12
LEAST_DESCRIPTORS, DESCRIPTORS = 512, 4096
"""The limit of open files that a guest needs, and the one that it gets where it may: it keeps the
host's files open.
"""
LINES_KEPT, LONGEST_LINE = 1000, 65536
"""Of a guest's console; the second in bytes. A program in a guest may write there without end."""
LOOK_S = 0.2
"""How often, in seconds of wall time, who waits for a guest looks whether it is still wanted."""
_TEMPORARY = ("/dev/shm", "/tmp", "/var/tmp")  # noqa: S108 - what is made there has a name by chance
_PYTHON, _INIT = "python", "init.py"


class Guest:
    """One boot: started by `boot`, ended by its job, by `kill`, or by leaving the block."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        folder: Path,
        job: Mapping[str, Any],
        memory_mb: int = MEMORY_MB,
    ) -> None:
        self.process, self.folder, self.job, self.memory_mb = process, folder, job, memory_mb
        self.console: list[str] = []
        self.over = False
        """Whether it has said its last word."""
        self._pending = b""

    def read(self, timeout_s: float) -> list[str] | None:
        """New whole lines on the console, waiting at most so long for one.

        None when the guest has ended.
        """
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], timeout_s)[0]:
            return []
        chunk = os.read(self.process.stdout.fileno(), 65536)
        *lines, self._pending = (self._pending + chunk).split(b"\n")
        if self._pending and (not chunk or len(self._pending) > LONGEST_LINE):
            lines.append(self._pending)
            self._pending = b""
        found = [line.decode(errors="replace").rstrip("\r") for line in lines]
        self.console += [line for line in found if line and not line.startswith("\x1e")]
        del self.console[:-LINES_KEPT]
        self.over = not chunk
        return None if not chunk and not found else found

    def is_confined(self) -> bool:
        """Whether the kernel here lets it write only into its folders.

        To be asked when it has booted.
        """
        return (self.folder / kernel_files.MARK_FILE).exists()

    def last_words(self) -> str:
        """The end of what the guest printed on its console, for messages.

        With the words before it.
        """
        written = ""
        with suppress(OSError):
            written = plain_files.read_text(self.folder / init.ERROR_FILE)
        words = [*self.console, *written.splitlines()]
        return (
            "\n".join(["its last words:", *words[-LAST_WORDS:]])
            if words
            else "nothing on its console"
        )

    def kill(self) -> None:
        """End it at once, with all host processes that belong to it."""
        if (
            self.process.returncode is None
        ):  # nobody has asked: its ID is still that of its group, if it has ended too
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def status(self) -> int:
        """The job's exit status. Raises GuestError where the guest left none."""
        try:
            return int(plain_files.read_text(self.folder / init.STATUS_FILE))
        except (OSError, ValueError):
            raise GuestError(f"the guest {self.ending()}; {self.last_words()}") from None

    def ending(self) -> str:
        """How a guest came to its end that left no result."""
        words = (
            "panicked"
            if any("Kernel panic" in line for line in self.console)
            else "ended without a result"
        )
        if self.memory_mb < MEMORY_MB:
            where = self.folder.parent
            words += (
                f" (with {self.memory_mb} MiB of memory: no folder has {MEMORY_MB} MiB free, "
                f"{where} has the most)"
            )
        return words


class MemoryFolder(NamedTuple):
    """Where a guest's memory can live, and how large it can be there, in MiB."""

    path: Path
    size_mb: int


def memory_folder() -> MemoryFolder:
    """The first temporary folder with room for a whole guest, or else the one with the most.

    Raises CapabilityError.

    The file that is a guest's memory is sparse: it takes what the guest has touched, at worst all
    of it.
    """
    lacks, most = [], MemoryFolder(Path(), 0)
    for name in dict.fromkeys(filter(None, (os.environ.get("TMPDIR"), *_TEMPORARY))):
        path = Path(name).absolute()
        lack = _lack(path)
        free_mb = 0 if lack else _free_mb(path)
        if free_mb >= MEMORY_MB:
            return MemoryFolder(path, MEMORY_MB)
        if free_mb > most.size_mb:
            most = MemoryFolder(path, free_mb)
        lacks.append(lack or f"{path} has {free_mb} MiB free")
    if most.size_mb >= LEAST_MEMORY_MB:
        return most
    fix = (
        f"set TMPDIR to a folder on a file system that is mounted with exec and has {MEMORY_MB} "
        "MiB free"
    )
    raise CapabilityError("memory for a virtual-time guest", "; ".join(lacks), fix)


def _lack(path: Path) -> str:
    """Why no guest's memory can live in a folder, however much room there is; "" where it can."""
    if any(letter.isspace() or letter == '"' for letter in str(path)):
        return (
            f"{path} has a blank or a quote in its path, at which the guest's kernel would split it"
        )
    if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
        return f"{path} is not a folder that can be written"
    return f"{path} is mounted noexec" if os.statvfs(path).f_flag & os.ST_NOEXEC else ""


def _free_mb(path: Path) -> int:
    facts = os.statvfs(path)
    return facts.f_bavail * facts.f_frsize >> 20


@contextmanager
def boot(
    kernel: Kernel,
    job: Mapping[str, Any],
    write: Sequence[Path],
    *,
    prepare: Callable[[Path], Mapping[str, Any]] = lambda _: {},
    words: Sequence[str] = (),
) -> Iterator[Guest]:
    """Boot a guest for `job` (its module, and what that needs); `write`: folders it may write.

    `prepare` may put files into the job's folder and add to the job; `words`: more for the command
    line. Raises CapabilityError, GuestError.
    """
    limit = raise_limit(DESCRIPTORS)
    if limit < LEAST_DESCRIPTORS:
        fix = f"raise it with `ulimit -n {LEAST_DESCRIPTORS}` or more, and the hard limit with it"
        raise CapabilityError("open files", f"a limit of {limit}, fewer than a guest needs", fix)
    memory = memory_folder()
    folder = memory.path / f"{FOLDER_PREFIX}{secrets.token_hex(6)}"
    writable = writable_variables([folder, *write])
    mark = LEDGER.announce("program", f"guest {kernel.name}", folder)
    try:
        whole = _fill(folder, {**job, **_places(folder, write)}, prepare)
        command = _command_line(kernel, folder, memory.size_mb, words)
        with _free_cpu() as cpu, _lifeline() as (far_end, tie):
            running = Guest(
                _start(command, folder, {**writable, MARK_VARIABLE: mark}, cpu, far_end),
                folder,
                whole,
                memory.size_mb,
            )
            try:
                tie(running.process.pid)
                yield running
            finally:
                running.kill()
                for stream in (running.process.stdin, running.process.stdout):
                    assert stream is not None
                    with suppress(BrokenPipeError):
                        stream.close()
    finally:
        LEDGER.settle(mark)  # with the folder


def _fill(
    folder: Path, job: Mapping[str, Any], prepare: Callable[[Path], Mapping[str, Any]]
) -> Mapping[str, Any]:
    """Make the guest's folder and put into it what init needs; returns the whole job.

    Raises CapabilityError.

    Init and its interpreter are reached through links there, as the kernel splits its command line
    at blanks.
    """
    try:
        folder.mkdir(mode=0o700)
        whole = {**job, **prepare(folder)}
        (folder / _PYTHON).symlink_to(whole["python"])
        (folder / _INIT).symlink_to(Path(init.__file__).resolve())
        (folder / init.JOB_FILE).write_text(json.dumps(whole))
    except OSError as error:
        fix = "set TMPDIR to a folder that can be written, on a file system with room"
        raise CapabilityError(
            "a folder for a virtual-time guest", f"{error.strerror} at {folder}", fix
        ) from error
    return whole


def writable_variables(folders: Sequence[Path]) -> dict[str, str]:
    """What tells our kernels the folders that the guest may write, for their environment.

    Raises UsageError.

    None where the whole tree is writable.
    """
    if Path("/") in folders:
        return {}
    most = kernel_files.MOST_FOLDERS
    if len(folders) > most:
        raise UsageError(
            f"expected at most {most - 1} folders that a guest may write, found {len(folders) - 1}"
        )
    return {f"{kernel_files.VARIABLE}_{number}": str(path) for number, path in enumerate(folders)}


def _start(
    command: Sequence[str],
    folder: Path,
    variables: Mapping[str, str],
    cpu: int | None,
    far_end: int,
) -> subprocess.Popen[bytes]:
    """Start the kernel, on one CPU if one is named, with a lifeline. Raises GuestError."""
    before = os.sched_getaffinity(0)
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    try:
        guest = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"HOME": str(folder), "TMPDIR": str(folder), "PATH": os.defpath, **variables},
            start_new_session=True,
            pass_fds=[far_end],
        )
    except OSError as error:
        raise GuestError(f"expected to start {command[0]}, found {error.strerror}") from error
    finally:
        os.sched_setaffinity(0, before)
    priority.keep_nice(guest.pid)
    return guest


@contextmanager
def _lifeline() -> Iterator[tuple[int, Callable[[int], None]]]:
    """A pipe's far end, for a guest to hold, and what ties its process group to the near end, which
    stays here.

    When the near end closes, however this process ends, the kernel here kills that group. The guest
    itself would not act while a program in it spins.
    """
    far, near = os.pipe()

    def tie(group: int) -> None:
        fcntl.fcntl(far, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(far, fcntl.F_SETOWN, -group)
        fcntl.fcntl(far, fcntl.F_SETFL, fcntl.fcntl(far, fcntl.F_GETFL) | os.O_ASYNC)

    try:
        yield far, tie
    finally:
        os.close(near)
        os.close(far)


@contextmanager
def _free_cpu() -> Iterator[int | None]:
    """A CPU that is no other guest's while this block lasts, this thread's own if it can be.

    None: all are taken.

    The kernel of a guest and the process that its programs run in take turns, at every system call.
    To wake each other across CPUs takes them three times as long where nothing else keeps these
    awake. A CPU is taken by a socket of its name, which is gone with its process.
    """
    here = int(Path("/proc/thread-self/stat").read_text().rpartition(")")[2].split()[36])
    for cpu in sorted(os.sched_getaffinity(0), key=lambda cpu: cpu != here):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as claim:
            try:
                claim.bind(f"\0keepalive-harness-cpu-{cpu}")
            except OSError:
                continue
            yield cpu
            return
    yield None


def _places(folder: Path, write: Sequence[Path]) -> dict[str, object]:
    """The part of a job that init needs."""
    return {
        "folder": str(folder),
        "python": os.path.realpath(
            getattr(sys, "_base_executable", sys.executable)
        ),  # needs no pyvenv.cfg
        "sys_path": _search_path(),
        "write": [str(path) for path in (folder, *write)],
    }


def _search_path() -> list[str]:
    """Where the guest's Python finds what this one finds: the harness first, from wherever it runs
    here.
    """
    here = str(Path(__file__).resolve().parents[2])
    return [here, *(os.path.abspath(p) for p in sys.path if p and p != here)]  # noqa: PTH100


def _command_line(kernel: Kernel, folder: Path, memory_mb: int, words: Sequence[str]) -> list[str]:
    return [
        str(kernel.path),
        f"mem={memory_mb}M",
        "root=/dev/root",
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
        "quiet",
        f"init={folder / _PYTHON}",
        "con=null",
        "con0=fd:0,fd:1",
        "ssl=null",
        "seccomp=auto",
        "time-travel=inf-cpu",
        FREE_READINGS,
        f"uml_dir={folder}/uml",
        "umid=guest",
        f"{init.JOB_VARIABLE}={folder}",
        *words,
        "--",
        "-P",
        "-s",
        "-S",
        str(folder / _INIT),
    ]
