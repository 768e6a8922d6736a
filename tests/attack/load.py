"""Other programs take the processors while scenarios run in real time."""

from __future__ import annotations

import signal
import sys

from tests.attack import claims
from tests.attack.arena import Arena

SCENARIOS = 12
LEAST, MOST = 2, 12
BUSY_S = 40
"""A busy loop ends by itself after so long."""
BUSY = f"import time\nend = time.monotonic() + {BUSY_S}\nwhile time.monotonic() < end: pass"


def attack(arena: Arena) -> None:
    """Verdicts of scenarios beside two to twelve busy loops, with the retry that there is by
    default.
    """
    cast = claims.mixed(arena.chance, arena.folder / "files", SCENARIOS)
    results = arena.folder / "results.json"
    loops = [
        arena.start("-I", "-S", "-c", BUSY, program=[sys.executable])
        for _ in range(arena.chance.randint(LEAST, MOST))
    ]
    command = arena.start("run", *cast.words, "--yes", "--json", str(results))
    claims.check_verdicts(arena, cast, results, arena.await_end(command, {0, 1, 3}))
    for loop in loops:
        loop.send(signal.SIGKILL)
