"""Guests: User-Mode Linux kernels whose clock jumps whenever everything in them sleeps.

A `Guest` is one boot with one job. It sees the host's file tree and writes only into the folders it was given. Time
in it has nothing to do with time here, so the watchdog sits out here and counts wall time.
"""

from __future__ import annotations

import json
import os
import queue
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from harness import timeline
from harness.errors import CapabilityError, HarnessError
from harness.lab.ledger import LEDGER, MARK_VARIABLE
from harness.plan import MachineFacts, Plan
from harness.plan import save as save_plan
from harness.run import Status
from harness.timeline import Event
from harness.venue import guest, init
from harness.venue.host import folder_of, given_up
from harness.venue.kernel import Kernel

MEMORY_MB = 512
WALL_LIMIT_S = 60.0
"""How long a plan may take on the wall before its guest counts as stuck."""
LAST_WORDS = 12
_LEAST_FREE_MB = 64


class GuestError(HarnessError):
    """A guest did not boot, panicked, got stuck or ended without a result."""


class Guest:
    """One boot: started by `boot`, ended by its job, by `kill`, or by leaving the block."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, job: Mapping[str, Any]) -> None:
        self.process, self.folder, self.job = process, folder, job
        self.console: list[str] = []
        self._pending = b""

    def read(self, timeout_s: float) -> list[str] | None:
        """New whole lines on the console, waiting at most so long for one; None when the guest has ended."""
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], timeout_s)[0]:
            return []
        chunk = os.read(self.process.stdout.fileno(), 65536)
        *lines, self._pending = (self._pending + chunk).split(b"\n")
        if not chunk and self._pending:
            lines.append(self._pending)
            self._pending = b""
        found = [line.decode(errors="replace").rstrip("\r") for line in lines]
        self.console += [line for line in found if line and not line.startswith("\x1e")]
        return None if not chunk and not found else found

    def last_words(self) -> str:
        """The end of what the guest printed, for messages."""
        error = self.folder / init.ERROR_FILE
        words = [*self.console, *(error.read_text().splitlines() if error.exists() else [])]
        return "\n".join(words[-LAST_WORDS:]) or "(it printed nothing)"

    def kill(self) -> None:
        """End it at once, with all host processes that belong to it."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def status(self) -> int:
        """The job's exit status. Raises GuestError where the guest left none."""
        try:
            return int((self.folder / init.STATUS_FILE).read_text())
        except (OSError, ValueError):
            what = "panicked" if any("Kernel panic" in line for line in self.console) else "ended without a result"
            raise GuestError(
                f"the guest {what} (exit {self.process.poll()}); its last words:\n{self.last_words()}"
            ) from None


def memory_folder() -> Path:
    """Where guest memory can live: writable, executable, with room. Raises CapabilityError."""
    tried = []
    for name in (os.environ.get("TMPDIR"), "/dev/shm", "/tmp", "/var/tmp"):  # noqa: S108 - UML makes and unlinks its own
        if not name or not os.access(name, os.W_OK):
            continue
        facts = os.statvfs(name)
        free_mb = facts.f_bavail * facts.f_frsize >> 20
        if facts.f_flag & os.ST_NOEXEC:
            tried.append(f"{name} is mounted noexec")
        elif free_mb < _LEAST_FREE_MB:
            tried.append(f"{name} has {free_mb} MiB free")
        else:
            return Path(name)
    found = "; ".join(tried) or "no temporary folder can be written"
    mend = "set TMPDIR to a folder on a file system that is mounted with exec and has room"
    raise CapabilityError("memory for a virtual-time guest", found, mend)


@contextmanager
def boot(
    kernel: Kernel,
    job: Mapping[str, Any],
    write: Sequence[Path],
    *,
    prepare: Callable[[Path], Mapping[str, Any]] = lambda _: {},
) -> Iterator[Guest]:
    """Boot a guest for `job` (its module, and what that needs); `write`: folders it may write.

    `prepare` may put files into the job's folder and add to the job. Raises CapabilityError, GuestError.
    """
    memory = memory_folder()
    folder = Path(tempfile.mkdtemp(prefix="keepalive-guest-", dir=memory))
    mark = LEDGER.announce("program", f"guest {kernel.name}")
    try:
        places = {"folder": str(folder), "sys_path": _search_path(), "write": [str(path) for path in (folder, *write)]}
        whole = {**job, **places, **prepare(folder)}
        (folder / init.JOB_FILE).write_text(json.dumps(whole))
        process = subprocess.Popen(
            _command_line(kernel, folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"HOME": str(folder), "TMPDIR": str(memory), "PATH": os.defpath, MARK_VARIABLE: mark},
            start_new_session=True,
        )
        running = Guest(process, folder, whole)
        try:
            yield running
        finally:
            running.kill()
            for stream in (process.stdin, process.stdout):
                assert stream is not None
                with suppress(BrokenPipeError):
                    stream.close()
    except OSError as error:
        raise GuestError(f"expected to start {kernel.path}, found {error.strerror}") from error
    finally:
        LEDGER.settle(mark)
        shutil.rmtree(folder, ignore_errors=True)


def _search_path() -> list[str]:
    """Where the guest's Python finds what this one finds: the harness first, from wherever it runs here."""
    here = str(Path(__file__).resolve().parents[2])
    return [here, *(os.path.abspath(p) for p in sys.path if p and p != here)]  # noqa: PTH100


def _command_line(kernel: Kernel, folder: Path) -> list[str]:
    python = os.path.realpath(sys.executable)
    return [
        str(kernel.path),
        f"mem={MEMORY_MB}M",
        "root=/dev/root",
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
        "quiet",
        f"init={python}",
        "con=null",
        "con0=fd:0,fd:1",
        "ssl=null",
        "seccomp=auto",
        "time-travel=inf-cpu",
        f"uml_dir={folder}/uml",
        "umid=guest",
        f"{init.JOB_VARIABLE}={folder}",
        "PYTHONHASHSEED=0",  # chance must not decide how often the clock is read, which takes time there
        "--",
        "-P",
        "-s",
        "-S",
        str(Path(init.__file__).resolve()),
    ]


def machine(kernel: Kernel) -> MachineFacts:
    """What a plan needs to know of a guest with this kernel."""
    return MachineFacts(
        kernel=kernel.manifest.release,
        hz=kernel.manifest.hz,
        hz_source=f"kernel {kernel.name}",
        cpus=1,
        clock="virtual",
    )


def run_all(
    plans: Sequence[Plan], out: Path, status: Status, kernel: Kernel, jobs: int | None = None
) -> Iterator[tuple[Plan, tuple[Event, ...]]]:
    """Carry out plans in guests, one guest a core, each plan on its own; yields each as it ends.

    A plan whose guest gets stuck or dies is inconclusive, and the next plans go on in a fresh guest.
    """
    for plan in plans:
        folder_of(out, plan).mkdir(parents=True, exist_ok=True)
        save_plan(plan, folder_of(out, plan))
    ended: queue.SimpleQueue[tuple[Plan, tuple[Event, ...]] | BaseException] = queue.SimpleQueue()
    crews = min(len(plans), jobs or os.cpu_count() or 1)
    workers = [
        threading.Thread(
            target=_work,
            args=(list(plans[n::crews]), out.resolve(), status, kernel, ended),
            name=f"guest-{n}",
            daemon=True,
        )
        for n in range(crews)
    ]
    for worker in workers:
        worker.start()
    for _ in plans:
        result = ended.get()
        if isinstance(result, BaseException):
            raise result
        yield result
    for worker in workers:
        worker.join()  # each has its guest's folder to take away


def _work(
    share: list[Plan],
    out: Path,
    status: Status,
    kernel: Kernel,
    ended: queue.SimpleQueue[tuple[Plan, tuple[Event, ...]] | BaseException],
) -> None:
    """Give one guest after the other what is left of a share, until nothing is."""
    try:
        while share:
            done = 0
            for plan, events in _one_guest(share, out, status, kernel):
                ended.put((plan, events))
                status(plan.name, "done", None)
                done += 1
            share = share[done:]
    except BaseException as error:  # noqa: BLE001 - it is raised again where the results are collected
        ended.put(error)


def _one_guest(
    share: list[Plan], out: Path, status: Status, kernel: Kernel
) -> Iterator[tuple[Plan, tuple[Event, ...]]]:
    """Boot a guest and yield its results in order; the last one is of the plan that broke it, if one did."""
    folders = [str(folder_of(out, plan)) for plan in share]
    for plan in share:
        status(plan.name, "a guest", None)
    with boot(kernel, {"module": guest.__name__, "folders": folders}, [out]) as running:
        done = 0
        deadline = time.monotonic() + WALL_LIMIT_S
        while (lines := running.read(max(0.0, deadline - time.monotonic()))) is not None:
            for line in lines:
                if line.startswith(guest.BEGIN):
                    status(share[done].name, "its verdict in virtual time", None)
                elif line.startswith(guest.END):
                    yield share[done], timeline.load(folder_of(out, share[done]))
                    done += 1
                    deadline = time.monotonic() + WALL_LIMIT_S
            if time.monotonic() >= deadline:
                break
        if done < len(share):
            stuck = running.process.poll() is None
            what = f"got stuck for {WALL_LIMIT_S:g} s of wall time" if stuck else "ended early"
            yield (
                share[done],
                given_up(folder_of(out, share[done]), f"the guest {what}; its last words:\n{running.last_words()}"),
            )
