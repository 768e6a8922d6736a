"""The harness stands still at random moments (SIGSTOP, SIGCONT), alone or with all that it has started."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from typing import NamedTuple

from tests.attack import claims, processes
from tests.attack.arena import Arena, Command

SCENARIOS = 12
MOST_PAUSES = 3
LATEST_S = 6.0
SHORTEST_S, LONGEST_S = 0.2, 3.0


class Pause(NamedTuple):
    """When it begins, counted from the start of the command or the end of the pause before, and for how long."""

    after_s: float
    for_s: float
    whole: bool
    """Of all processes that the harness has started, too."""


def drawn(chance: random.Random) -> list[Pause]:
    """One pause or several."""
    return [
        Pause(chance.uniform(0.3, LATEST_S), chance.uniform(SHORTEST_S, LONGEST_S), chance.random() < 0.5)
        for _ in range(chance.randint(1, MOST_PAUSES))
    ]


def attack(arena: Arena) -> None:
    """Verdicts of scenarios in real time, or now and then in virtual time, where nothing may be inconclusive."""
    virtual = arena.chance.random() < 0.2
    cast = claims.mixed(arena.chance, arena.folder / "files", SCENARIOS)
    results = arena.folder / "results.json"
    clock = ["--clock", "virtual"] if virtual else ["--retries", "0"]
    command = arena.start("run", *cast.words, "--yes", "--json", str(results), *clock)
    for pause in drawn(arena.chance):
        if command.wait(pause.after_s):
            break
        stand_still(command, pause)
    claims.check_verdicts(arena, cast, results, arena.await_end(command, {0, 1, 3}))
    arena.right(not (virtual and arena.inconclusive), lambda: f"inconclusive in virtual time: {arena.inconclusive}")


def stand_still(command: Command, pause: Pause) -> None:
    """Stop processes, and let them go on after the pause, whatever happens."""
    root = command.process.pid
    stopped: list[int] = []
    try:
        for pid in [root, *([each.pid for each in processes.descendants(root)] if pause.whole else [])]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                stopped.append(pid)
        time.sleep(pause.for_s)
    finally:
        for pid in reversed(stopped):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
