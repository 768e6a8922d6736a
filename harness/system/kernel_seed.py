"""The seed that decides the random numbers of programs in a guest: the word for it, and what was
said here.
"""

from __future__ import annotations

import functools
from pathlib import Path

from harness.system.kernel_clock import clock

SEED_WORD = "random.program_seed="
"""Before the seed, on the kernel's command line."""


@functools.cache
def program_seed() -> int | None:
    """The seed on the command line of this guest's kernel.

    None where it has none, and in real time.
    """
    if clock() != "virtual":
        return None
    words = Path("/proc/cmdline").read_text(encoding="ascii").split()
    seeds = [word.removeprefix(SEED_WORD) for word in words if word.startswith(SEED_WORD)]
    return int(seeds[-1]) if seeds else None
