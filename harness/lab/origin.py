"""Where and since when a program's processes can exist: the boot, the PID namespace and the time of
its announcement.

A process ID, and with it the ID of a session, says nothing in another boot or PID namespace. A
process that is older than its program's announcement is another's, whatever it bears.
"""

from __future__ import annotations

import os
import time

import msgspec

from harness.lab.namespace import boot_id


class Origin(msgspec.Struct, frozen=True):
    """Of an announcement.

    `boot`: see `namespace.boot_id`. `pids`: the inode number of the PID namespace of the harness
    that announced it, as in /proc/PID/ns/pid. `since`: when, in clock ticks since boot.
    """

    boot: str
    pids: int
    since: int

    @property
    def is_of_this_boot(self) -> bool:
        """Whether this machine or guest has not booted since."""
        return self.boot == boot_id()

    @property
    def is_numbered_here(self) -> bool:
        """Whether process IDs are the same ones here."""
        return self.is_of_this_boot and self.pids == pid_namespace("self")


_FIRST = 0xEFFFFFFC
"""The PID namespace that a machine boots with (include/linux/proc_ns.h:PROC_PID_INIT_INO)."""


def here() -> Origin:
    """Of what is announced now, by this process."""
    ticks = time.clock_gettime_ns(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK") // 10**9
    return Origin(boot_id(), pid_namespace("self"), ticks)


def pid_namespace(pid: int | str) -> int:
    """The inode number of a process's PID namespace; 0 where that is not to be seen."""
    try:
        return os.stat(f"/proc/{pid}/ns/pid").st_ino  # noqa: PTH116 - it is done often
    except OSError:
        return 0


def sees_everything() -> bool:
    """Whether all processes of the machine have an ID here."""
    return pid_namespace("self") == _FIRST
