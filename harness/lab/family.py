"""Which processes belong to a program: its session, and what has left that but descends from it.

A process ID may be another process's by the time it is looked at, but not the ID of a session that still has members:
the kernel keeps it (kernel/pid.c). So a session is the program's own where its first process is gone, or was born when
the program was started.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NamedTuple


class _Process(NamedTuple):
    """Of /proc/PID/stat (proc(5)): state, parent, session, and when it was started, in clock ticks since boot."""

    state: bytes
    parent: int
    session: int
    born: int


def born(pid: int) -> int:
    """When a process was started, in clock ticks since boot; 0 where it is gone."""
    found = _read(pid)
    return found.born if found is not None else 0


def members(session: int, began: int) -> list[int]:
    """The processes of a session that a program began at a time (see `born`), and their descendants.

    Those that have ended, and that nobody has asked about yet, are not among them.
    """
    if not session:
        return []
    processes = _all()
    first = processes.get(session)
    if first is not None and first.born != began:
        return []
    found = [pid for pid, process in processes.items() if process.session == session]
    for pid in found:
        found += [child for child, each in processes.items() if each.parent == pid and child not in found]
    return [pid for pid in found if processes[pid].state not in b"ZX"]


def _all() -> dict[int, _Process]:
    with os.scandir("/proc") as folders:
        pids = [int(folder.name) for folder in folders if folder.name.isdigit()]
    return {pid: found for pid in pids if (found := _read(pid)) is not None}


def _read(pid: int) -> _Process | None:
    with suppress(OSError), open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
        fields = file.read(1024).rpartition(b")")[2].split()
        return _Process(fields[0], int(fields[1]), int(fields[3]), int(fields[19]))
    return None
