"""Mutated scenario files and numbers: whatever they say, they are judged or refused in words, and
in bounded time.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from harness.cli import main
from harness.scenario import loader
from tests.attack import mutation, processes
from tests.attack.arena import STATUSES, Arena, Ended, complaint

FILES = 60
RUN = 10
"""So many of the files that are planned are run, in virtual time."""
CPU_LIMIT_S, WALL_LIMIT_S = 30, 120.0
MEMORY_LIMIT = 4 << 30
GUEST_LIMIT_S = "10"
COMMANDS = (b"argv", b"command", b"image")
"""A file with one of these words may run a program, and a mutated one any program: it is planned
only.
"""
NUMBERS = (
    "0",
    "-1",
    "1",
    "7200",
    "2.5",
    "1e9",
    "1e400",
    "nan",
    "inf",
    "-0.0",
    "",
    "0x10",
    "९",
    "1s",
    "2h",
    "9" * 400,
)
KEYS = ("idle", "interval", "count", "user-timeout", "rtt", "hz", "answered")
STATES = ("idle", "in-flight", "zero-window", "connecting", "accepting", "closing")


def attack(arena: Arena) -> None:
    """`plan` and `predict` for each, then `run --clock virtual` for some of those that can be
    run.
    """
    originals = sorted(loader.catalogue().rglob(f"*{loader.SUFFIX}"))
    folder = arena.folder / "files"
    folder.mkdir()
    sound = []
    for index in range(FILES):
        file = folder / f"m{index}{loader.SUFFIX}"
        file.write_bytes(mutated(arena.chance, originals))
        status = _carried_out(arena, ["plan", str(file)], {0, 1, 2, 3}, file)
        if status in (0, 1) and not any(word in file.read_bytes() for word in COMMANDS):
            sound.append(file)
    for _ in range(FILES // 4):
        _carried_out(arena, numbers(arena.chance), {0, 2}, None)
    run = arena.chance.sample(sound, min(RUN, len(sound)))
    if run:
        _run(arena, run)


def mutated(chance: random.Random, originals: Sequence[Path]) -> bytes:
    """A file of the catalogue, changed."""
    original, other = (chance.choice(originals).read_bytes() for _ in range(2))
    if chance.random() < 0.4:
        return mutation.mutated_bytes(chance, original)
    table, donor = (tomllib.loads(text.decode()) for text in (original, other))
    return tomli_w.dumps(mutation.mutated_tables(chance, table, donor)).encode(errors="replace")


def numbers(chance: random.Random) -> list[str]:
    """A command line of `harness predict`."""
    words = ["predict", "--state", chance.choice(STATES)]
    for key in chance.sample(KEYS, chance.randint(1, len(KEYS))):
        words += [f"--{key}={chance.choice(NUMBERS)}"]
    return words


def _carried_out(
    arena: Arena, arguments: list[str], statuses: set[int], file: Path | None
) -> int | None:
    """A command line in a fork of this process, which spares it an interpreter's start.

    Its status.
    """
    arena.attempts += 1
    process = multiprocessing.get_context("fork").Process(
        target=_in_fork, args=(arguments, arena.folder)
    )
    began_s = time.monotonic()
    process.start()
    process.join(WALL_LIMIT_S)
    if process.exitcode is None:
        assert process.pid is not None
        computes = processes.computes(process.pid)
        process.kill()
        process.join()
        if computes:  # it has not used up its CPU time
            arena.unjudged(
                f"harness {' '.join(arguments)} did not get {CPU_LIMIT_S} s of CPU time in "
                f"{WALL_LIMIT_S:g} s"
            )
            return None
    out, err = ((arena.folder / name).read_text(errors="replace") for name in ("stdout", "stderr"))
    ended = Ended(process.exitcode or 0, out, err, time.monotonic() - began_s)
    words = f"harness {' '.join(arguments)}"
    kept = f"\n--- {file.name}\n{shown(file.read_bytes())}" if file else ""
    if ended.status not in statuses:
        limits = f"{CPU_LIMIT_S} s of CPU time, {MEMORY_LIMIT >> 30} GiB and {WALL_LIMIT_S:g} s"
        arena.wrong(
            f"{words}: expected exit status {sorted(statuses)} within {limits}, found {ended}{kept}"
        )
    elif fault := complaint(ended):
        arena.wrong(f"{words}: {fault}: {ended}{kept}")
    return ended.status


def _in_fork(arguments: list[str], folder: Path) -> None:
    """As the command of that name would: two files for what is printed, its limits, its exit
    status.
    """
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    try:
        status = main.main(arguments)
    except SystemExit as end:  # argparse ends so
        status = int(end.code or 0)
    os._exit(status)


def shown(text: bytes, most: int = 3000) -> str:
    """A file for a person to read: its beginning, with escapes."""
    return (
        text[:most]
        .decode(errors="backslashreplace")
        .encode("unicode_escape")
        .decode()
        .replace("\\n", "\n")
    )


def _run(arena: Arena, files: Sequence[Path]) -> None:
    """All in one command.

    What is claimed may be wrong now, but where the oracle predicts, it predicts the truth.
    """
    results = arena.folder / "mutated.json"
    options = ["--clock", "virtual", "--wall-limit", GUEST_LIMIT_S, "--json", str(results)]
    ended = arena.harness("run", *map(str, files), *options, statuses=STATUSES)
    if ended.status == 2:  # files that are sound one by one, but not together, or not for a guest
        return
    judged: list[dict[str, Any]] = (
        json.loads(results.read_text())["scenarios"] if results.exists() else []
    )
    arena.right(
        len(judged) == len(files),
        lambda: f"expected {len(files)} verdicts, found {len(judged)}: {ended}",
    )
    for each in judged:
        arena.attempts += 1
        if each["verdict"] == "inconclusive":
            arena.unjudged(f"{each['name']}: {each['cause']}: {each['reason']}")
        if each["cause"] == "oracle-refuted":
            file = next((file for file in files if file.name.startswith(f"{each['name']}.")), None)
            text = shown(file.read_bytes()) if file else "(its file names itself otherwise)"
            arena.wrong(f"the oracle is refuted by {each['name']}: {each['reason']}\n{text}")
