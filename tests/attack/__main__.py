"""Attack the product for some minutes: see ci/attack, which calls this, and harness/README.md for
what it found.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.plan.local_machine import local_machine
from harness.venue.guest_process import memory_folder
from tests.attack import files, hoststate, kills, load, pauses, processes, subjects, tally, tuned
from tests.attack.arena import Arena

KINDS: Mapping[str, Callable[[Arena], None]] = {
    "kills": kills.attack,
    "pauses": pauses.attack,
    "load": load.attack,
    "files": files.attack,
    "subjects": subjects.attack,
    "tuned": tuned.attack,
}
STEADY_S = 2.0
"""What of the host came and went by itself has gone again after so long."""
MOST_SHOWN = 20
"""Of the lines that tell what has changed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Go round the kinds until the time is up, once at least.

    Exit status 1 where something did not hold.
    """
    options = _parse(arguments)
    processes.adopt_orphans()
    tallies = {kind: tally.Tally(kind) for kind in options.kinds}
    end_s = time.monotonic() + options.minutes * 60
    _say(f"seed {options.seed}, {options.minutes:g} minutes: {', '.join(options.kinds)}")
    numbers = range(options.first, options.first + options.rounds)
    for number, kind in ((number, kind) for number in numbers for kind in options.kinds):
        if number > options.first and time.monotonic() > end_s:
            break
        _round(kind, number, options, tallies[kind])
    print(f"\n{_machine()}; seed {options.seed}\n")
    print(tally.table(list(tallies.values())))
    return 1 if any(each.failures for each in tallies.values()) else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="ci/attack", description="Attack the product at random, for some minutes."
    )
    parser.add_argument(
        "--minutes", type=float, default=5.0, metavar="M", help="for so long (default: 5)"
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="of what is drawn (default: drawn, and printed)"
    )
    parser.add_argument(
        "--kinds",
        type=lambda text: text.split(","),
        default=list(KINDS),
        metavar="KIND,...",
        help=", ".join(KINDS),
    )
    parser.add_argument(
        "--first", type=int, default=0, metavar="N", help="begin with round N (default: 0)"
    )
    parser.add_argument(
        "--rounds", type=int, default=sys.maxsize, metavar="N", help="no more than N rounds"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="keep the folders of rounds that failed in this folder",
    )
    parser.add_argument("--verbose", action="store_true", help="say why runs were inconclusive")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.kinds) - set(KINDS))
    if unknown:
        parser.error(f"--kinds: expected {', '.join(KINDS)}, found {', '.join(unknown)}")
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1_000_000)
    return options


def _round(kind: str, number: int, options: argparse.Namespace, into: tally.Tally) -> None:
    """One round of one kind: the attack, what it left, the host before and after."""
    began_s = time.monotonic()
    before = hoststate.now()
    with (
        tempfile.TemporaryDirectory(prefix="attack-", ignore_cleanup_errors=True) as name,
        tempfile.TemporaryDirectory(
            prefix="attack-", dir=memory_folder().path, ignore_cleanup_errors=True
        ) as memory,
    ):
        arena = Arena(Path(name), Path(memory), random.Random(f"{options.seed}/{kind}/{number}"))
        try:
            KINDS[kind](arena)
        finally:
            arena.check_nothing_left()
        changes = _changes(before)
        if changes:
            arena.wrong(
                f"the host is not as it was: {len(changes)} changes:\n"
                + "\n".join(changes[:MOST_SHOWN])
            )
        wall_s = time.monotonic() - began_s
        into.add(arena.attempts, len(arena.inconclusive), arena.failures, wall_s)
        found = (
            f"{arena.attempts} attempts, {len(arena.failures)} failures, "
            f"{len(arena.inconclusive)} inconclusive"
        )
        _say(f"{kind} {number}: {found}, {wall_s:.1f} s")
        for failure in arena.failures:
            _say(f"FAILURE {failure}")
        for unjudged in arena.inconclusive if options.verbose else ():
            _say(f"inconclusive: {unjudged}")
        if arena.failures:
            _say(
                f"again: ci/attack --seed {options.seed} --kinds {kind} --first {number} --rounds 1"
            )
            if options.out is not None:
                shutil.copytree(
                    name, options.out / f"{kind}-{number}", symlinks=True, dirs_exist_ok=True
                )


def _changes(before: hoststate.State) -> list[str]:
    """What has changed for good."""
    deadline = time.monotonic() + STEADY_S
    while (
        changes := hoststate.differences(before, hoststate.now())
    ) and time.monotonic() < deadline:
        time.sleep(0.1)
    return changes


def _machine() -> str:
    facts = local_machine()
    return f"{facts.cpus} CPUs, Linux {facts.kernel}, HZ={facts.hz}, user {os.geteuid()}"


def _say(words: str) -> None:
    """A line of progress, or of what was found: in escapes, as it may come from a hostile
    program.
    """
    escaped = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in words)
    print(f"attack: {escaped}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
