"""The clock of the kernel that this process runs on: its tick, and whether its time is virtual."""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import Literal

Clock = Literal["real", "virtual"]
CLOCK_MONOTONIC_COARSE = 6


@functools.cache
def hz() -> tuple[int, str]:
    """The kernel's HZ and where it was found.

    The resolution of CLOCK_MONOTONIC_COARSE is one jiffy
    (kernel/time/posix-timers.c:posix_get_coarse_res); it needs no configuration file and no rights.
    """
    resolution_ns = round(time.clock_getres(CLOCK_MONOTONIC_COARSE) * 1e9)
    return round(1e9 / resolution_ns), f"clock_getres(CLOCK_MONOTONIC_COARSE) = {resolution_ns} ns"


@functools.cache
def clock() -> Clock:
    """Whether time here jumps while everything sleeps: whether this is a guest, by the name of its
    clock source.
    """
    try:
        name = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource").read_text(
            encoding="ascii"
        )
    except OSError:  # no sysfs, as in some sandboxes
        return "real"
    return "virtual" if name.startswith("time-travel-clock") else "real"
