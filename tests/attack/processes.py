"""Processes that descend from this one, orphans too: the kernel gives them to it (prctl(2),
PR_SET_CHILD_SUBREAPER).

So what an attack leaves behind is a child of this process, whatever it has done to its session, its
environment or its network.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from harness.system.stall import waited_ns

_SET_CHILD_SUBREAPER = 36
_PATIENCE_S = 10.0
_LOOK_S = 0.02


class Process(NamedTuple):
    """One process: its ID, its parent's, its state as in proc(5), and its command line."""

    pid: int
    parent: int
    state: str
    words: str

    def __str__(self) -> str:
        return f"{self.pid} ({self.state}) {self.words}"


def adopt_orphans() -> None:
    """From now on orphans among the descendants become children of this process."""
    if ctypes.CDLL(None, use_errno=True).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def descendants(root: int) -> list[Process]:
    """What descends from a process, parents first, without those that have ended."""
    everything = _everything()
    found, parents = [], [root]
    for parent in parents:
        children = [each for each in everything if each.parent == parent]
        found += [child for child in children if child.state not in "ZX"]
        parents += [child.pid for child in children]
    return found


def end_leftovers() -> list[Process]:
    """End all that descends from this process; what was still there.

    It must have no children that it wants to keep.
    """
    left = descendants(os.getpid())
    deadline = time.monotonic() + _PATIENCE_S
    while (there := descendants(os.getpid())) and time.monotonic() < deadline:
        for each in there:
            with suppress(ProcessLookupError):
                os.kill(each.pid, signal.SIGKILL)
        _reap()
        time.sleep(_LOOK_S)
    _reap()
    return left


def computes(pid: int) -> bool:
    """Whether a process runs or waits for a CPU, and not for anything else."""
    found = _read(pid)
    return found is not None and found.state == "R"


def waited_s(root: int) -> float:
    """How long a process and what descends from it have waited for a CPU, without those that have
    ended.
    """
    return (
        sum(waited_ns(f"/proc/{pid}") for pid in (root, *(each.pid for each in descendants(root))))
        / 1e9
    )


def _reap() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def _everything() -> list[Process]:
    found = (_read(int(name)) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 - it is done often
    return [each for each in found if each is not None]


def _read(pid: int) -> Process | None:
    folder = Path("/proc", str(pid))
    try:
        stat = (folder / "stat").read_bytes()
        words = (folder / "cmdline").read_bytes()
    except OSError:  # it has ended
        return None
    name, fields = stat.partition(b"(")[2].rpartition(b")")[::2]
    state, parent = fields.split()[:2]
    shown = words.replace(b"\0", b" ").strip() or name
    return Process(
        pid, int(parent), state.decode(), repr(shown.decode(errors="replace"))[1:-1][:200]
    )
