"""The watchdog of a guest: gives up a plan that keeps its guest at work, or waiting, for longer
than `--wall-limit`.

The limit is compared with the CPU time that the guest's processes have had here since the plan
began. A guest that shares the CPUs with others, or with a compiler, gets less of it in a second,
and so may take longer. A guest that gets none at all, because it waits for something on this
machine, is given up after as many seconds of wall time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from harness import timeline
from harness.errors import UsageError
from harness.model.topology import SIDES

LOOK_S = 1.0
"""How often, in seconds of wall time, the CPU time is read at most: all processes of the machine
are looked at.
"""
IDLE_PART = 0.25
"""No program of a guest has run in this last part of its time: it is idle, its kernel only lets the
clock jump.
"""
LAST_LINES = 5
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Used(NamedTuple):
    """CPU seconds of a guest: of its kernel, and of the programs in it."""

    kernel_s: float
    programs_s: float


def used(group: int) -> Used:
    """The CPU time that the processes of a guest have used so far.

    `group`: its process group, whose first process is its kernel.

    User-Mode Linux runs each program in a process of its own here, which the kernel waits for when
    it ends.
    """
    kernel = programs = 0
    with os.scandir("/proc") as folders:
        pids = [folder.name for folder in folders if folder.name.isdigit()]
    for pid in pids:
        with suppress(OSError), open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            fields = file.read(1024).rpartition(b")")[2].split()
            if int(fields[2]) != group:
                continue
            own, waited_for = sum(map(int, fields[11:13])), sum(map(int, fields[13:15]))
            kernel += own if int(pid) == group else 0
            programs += waited_for + (0 if int(pid) == group else own)
    return Used(kernel / _TICKS_PER_S, programs / _TICKS_PER_S)


class Watchdog:
    """Watches one guest from now on, for the length of one plan.

    Nothing is ever given up with a limit of 0.
    """

    def __init__(
        self,
        group: int,
        limit_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        used: Callable[[int], Used] = used,
    ) -> None:
        self._group, self._limit_s, self._clock, self._used = group, limit_s, clock, used
        self._began_s = self._looked_s = self._grew_s = self._clock()
        self._first = self._last = self._used(self._group)
        self._at_last_program_s = 0.0

    def look(self) -> str | None:
        """Why the guest is given up, as words that follow "the guest"; None where it is not."""
        now = self._clock()
        if not self._limit_s or now - self._looked_s < min(LOOK_S, self._limit_s / 10):
            return None
        self._looked_s, before = now, self._last
        self._last = self._used(self._group)
        had_s = sum(self._last) - sum(self._first)
        if self._last.programs_s > before.programs_s:
            self._at_last_program_s = had_s
        if sum(self._last) > sum(before):
            self._grew_s = now
        if had_s < self._limit_s and now - self._grew_s < self._limit_s:
            return None
        took = f"{had_s:.1f} s of CPU time and {now - self._began_s:.1f} s of wall time"
        return f"was given up after {took} (--wall-limit {self._limit_s:g}); {self._state(had_s)}"

    def _state(self, had_s: float) -> str:
        if had_s < self._limit_s:
            return (
                f"it was waiting for this machine: it has had no CPU time for {self._limit_s:g} s"
            )
        idle_s = had_s - self._at_last_program_s
        if idle_s < self._limit_s * IDLE_PART:
            return "it was at work: a program in it computes"
        return f"it was idle: no program in it ran in the last {idle_s:.1f} s of its CPU time"


def last_lines(folder: Path) -> str:
    """What the commands under test printed last, by side, as far as a run directory has it.

    "" where it has nothing.
    """
    try:
        events = timeline.load(folder)
    except UsageError:
        return ""
    said = []
    for side in SIDES:
        printed = [
            e.data["line"] for e in events if e.kind == "subject.printed" and e.data["side"] == side
        ]
        if printed:
            said.append(f"{side}'s last lines: {' | '.join(printed[-LAST_LINES:])}")
    return "; ".join(said)
