"""Noticing that this process did not run: by a stop, seen by the ticking thread, and by waiting for
a CPU.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.lab.process import Program
from harness.system import stall
from harness.system.stall import Queueing, watched

STOPPED_S = 0.1
_WATCHES = """
import sys, time
from harness.system.stall import watched
with watched() as found:
    print("watching", flush=True)
    sys.stdin.readline()
    print([tuple(each) for each in found()])
"""


def test_a_stop_is_noticed_from_its_beginning_to_its_end() -> None:
    """Whatever else this machine does meanwhile, one account holds all of the stop."""
    argv = [sys.executable, "-c", _WATCHES]
    folder = Path(stall.__file__).parents[2]
    with subprocess.Popen(
        argv, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        stopped_ns = time.monotonic_ns()
        time.sleep(STOPPED_S)
        continued_ns = time.monotonic_ns()
        os.kill(process.pid, signal.SIGCONT)
        said, _ = process.communicate("\n")
    found = [tuple(map(int, each.split(", "))) for each in said.strip()[2:-2].split("), (")]
    assert any(from_ns <= stopped_ns and until_ns >= continued_ns for from_ns, until_ns in found), (
        found
    )


def test_watching_ends_with_its_last_user() -> None:
    """One thread ticks for all runs, and none when there is no run."""

    def ticking() -> int:
        return sum(thread.name == "stall" for thread in threading.enumerate())

    with watched(), watched():
        assert ticking() == 1
    deadline = time.monotonic() + 60
    while ticking():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_what_a_program_waited_is_known_after_its_end() -> None:
    """The kernel tells of it until the harness lets go of the process; what it has told stays."""
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(
            0, {min(allowed)}
        )  # the program shares a CPU with the loop below, and so has to wait
        program = Program("sh", ["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"])
        deadline = time.monotonic() + 60
        while program.poll() is None:
            assert time.monotonic() < deadline
    finally:
        os.sched_setaffinity(0, allowed)
    waited_ns = program.waited_ns()
    program.close()
    assert not Path(f"/proc/{program.pid}").exists()
    assert program.waited_ns() == waited_ns > 0


def test_waiting_for_a_cpu_is_told_by_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call tells of the time since the one before.

    A kernel that does not tell of it makes no difference.
    """
    told = tmp_path / "schedstat"
    told.write_text("12 500 3\n")
    place = os.open
    monkeypatch.setattr(
        os, "open", lambda path, flags: place(told if "schedstat" in str(path) else path, flags)
    )
    queueing = Queueing()
    told.write_text("12 30000500 4\n")
    assert [queueing.waited_ns(), queueing.waited_ns()] == [30_000_000, 0]
    queueing.close()
    told.unlink()
    silent = Queueing()
    assert silent.waited_ns() == 0
    silent.close()
