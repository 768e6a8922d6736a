"""The harness stands still at random moments (SIGSTOP, SIGCONT), alone or with all that it has
started.
"""

from __future__ import annotations

import itertools
import time

from tests import pausing
from tests.attack import claims
from tests.attack.arena import Arena

SCENARIOS = 12
MOST_PAUSES = 3
EVERY_S = (0.3, 6.0)
FOR_S = (0.2, 3.0)


def attack(arena: Arena) -> None:
    """Verdicts of scenarios in real time, or now and then in virtual time, where nothing may be
    inconclusive.
    """
    virtual = arena.chance.random() < 0.2
    cast = claims.mixed(arena.chance, arena.folder / "files", SCENARIOS)
    results = arena.folder / "results.json"
    clock = ["--clock", "virtual"] if virtual else ["--retries", "0"]
    pauses = pausing.at_random(arena.chance.randrange(1 << 32), every_s=EVERY_S, for_s=FOR_S)
    number = arena.chance.randint(1, MOST_PAUSES)
    whom: pausing.Whom = arena.chance.choice(("process", "family"))
    command = arena.start("run", *cast.words, "--yes", "--json", str(results), *clock)
    for pause in itertools.islice(pauses, number):
        if command.wait(pause.after_s):
            break
        with pausing.stopped(command.process.pid, whom):
            time.sleep(pause.for_s)
    claims.check_verdicts(arena, cast, results, arena.await_end(command, {0, 1, 3}))
    arena.right(
        not (virtual and arena.inconclusive),
        lambda: f"inconclusive in virtual time: {arena.inconclusive}",
    )
