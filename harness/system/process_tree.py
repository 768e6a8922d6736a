"""Which processes belong to a program: its session, and what has left that but descends from it.

A process ID may be another process's by the time it is looked at, and so may the number of a
session whose members are all gone. The kernel keeps the number for as long as the first process is
there, if only as a zombie (kernel/pid.c). So a session is known to be the program's own while its
first process is there and was born when the program was started.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import NamedTuple


class ProcessStat(NamedTuple):
    """Of /proc/PID/stat (proc(5)): state, parent, group, session, and its birth, in clock ticks
    since boot.
    """

    state: bytes
    parent: int
    group: int
    session: int
    born: int

    @property
    def has_ended(self) -> bool:
        """Whether it has, and nobody has asked about it yet."""
        return self.state in b"ZX"


def born(pid: int) -> int:
    """When a process was started, in clock ticks since boot; 0 where it is gone."""
    found = read(pid)
    return found.born if found is not None else 0


def members(session: int, began: int) -> dict[int, int]:
    """The processes of a session that a program began at a time (see `born`), and their
    descendants: ID to birth.

    Those that have ended, and that nobody has asked about yet, are not among them. None where the
    first one is gone.
    """
    processes = everyone() if session else {}
    first = processes.get(session)
    if first is None or first.born != began:
        return {}
    found = [pid for pid, process in processes.items() if process.session == session]
    for pid in found:
        found += [
            child for child, each in processes.items() if each.parent == pid and child not in found
        ]
    return {pid: processes[pid].born for pid in found if not processes[pid].has_ended}


def orphans(session: int, began: int) -> list[int]:
    """The processes of a session of that number whose first process is gone: the program's, or
    another's by now.
    """
    processes = everyone() if session else {}
    if session in processes:
        return []
    alike = (
        pid for pid, each in processes.items() if each.session == session and not each.has_ended
    )
    return [pid for pid in alike if processes[pid].born >= began]


def tell(processes: Mapping[int, int], number: signal.Signals, but: Collection[int] = ()) -> None:
    """Send a signal to processes, by ID and birth.

    What is gone, or is another process by now, is passed over.
    """
    for pid, birth in processes.items():
        if pid in but:
            continue
        with suppress(OSError):
            process = os.pidfd_open(pid)
            try:
                if born(pid) == birth:
                    signal.pidfd_send_signal(process, number)
            finally:
                os.close(process)


def everyone() -> dict[int, ProcessStat]:
    """Every process that there is, by its ID."""
    with os.scandir("/proc") as folders:
        pids = [int(folder.name) for folder in folders if folder.name.isdigit()]
    return {pid: found for pid in pids if (found := read(pid)) is not None}


def read(pid: int) -> ProcessStat | None:
    """A process; None where it is gone."""
    with suppress(OSError), open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
        fields = file.read(1024).rpartition(b")")[2].split()
        return ProcessStat(
            fields[0], int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19])
        )
    return None
