"""Commands are killed, told to end and interrupted at random moments, or lose one of their
processes.
"""

from __future__ import annotations

import functools
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from harness.scenario import loader
from tests.attack import claims, processes
from tests.attack.arena import HARNESS, STATUSES, Arena, Command

VICTIMS = 3
LATEST_S = 4.0
PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-q")
PYTEST_STATUSES = frozenset({0, 1, 2, 3, 4, 5})
WHILE_LONG = "setsid -f sleep 60; setsid -f env -i sleep 60; while :; do :; done"
BY_HAND = """
from harness import Blackhole, Endpoint, Keepalive

def test_noticed(lab):
    net = lab("routed")
    link = net.connect(Endpoint(keepalive=Keepalive(idle_s=1, interval_s=1, count=2)))
    with net.inject(Blackhole()):
        assert link.wait() in link.predict()
"""


class Kind(NamedTuple):
    """A command that is at work for long: its arguments, given a folder of its own, and its
    program.
    """

    arguments: Callable[[random.Random, Path], list[str]]
    program: tuple[str, ...] = HARNESS


def _some(chance: random.Random) -> list[str]:
    return chance.sample(claims.catalogue(), 15)


def _suite(chance: random.Random, folder: Path) -> list[str]:
    """A folder with scenario files and a test that was written by hand."""
    folder.mkdir()
    (folder / "test_by_hand.py").write_text(BY_HAND)
    for name in _some(chance)[:8]:
        shutil.copy(
            loader.catalogue() / f"{name}{loader.SUFFIX}",
            folder / f"{name.replace('/', '-')}{loader.SUFFIX}",
        )
    return [str(folder)]


def _run_some(chance: random.Random, folder: Path, options: tuple[str, ...]) -> list[str]:
    return ["run", *_some(chance), *options, "--json", f"{folder}.json"]


def _always(*arguments: str) -> Callable[[random.Random, Path], list[str]]:
    return lambda _chance, _folder: list(arguments)


KINDS = {
    "run": Kind(functools.partial(_run_some, options=("--yes",))),
    "virtual run": Kind(functools.partial(_run_some, options=("--clock", "virtual"))),
    "matrix": Kind(_always("matrix", "libraries", "--clock", "virtual")),
    "fuzz": Kind(_always("fuzz", "--cases", "300")),
    "vtime": Kind(_always("vtime", "--wall-limit", "20", "--", "sh", "-c", WHILE_LONG)),
    "pytest": Kind(_suite, PYTEST),
    "virtual pytest": Kind(
        lambda chance, folder: ["--clock=virtual", *_suite(chance, folder)], PYTEST
    ),
}


class Blow(NamedTuple):
    """A signal at a moment after the start, to the command itself or to one of the processes that
    it has started.
    """

    at_s: float
    number: signal.Signals
    to_child: bool


def drawn(chance: random.Random) -> Blow:
    """SIGKILL more often than the others; a child gets nothing else."""
    to_child = chance.random() < 0.2
    number = chance.choice(
        (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    )
    return Blow(chance.uniform(0.05, LATEST_S), signal.SIGKILL if to_child else number, to_child)


def attack(arena: Arena) -> None:
    """Several commands with one state folder, and one beside them that must not suffer, nor from
    `harness clean`.
    """
    bystander = arena.start(
        "run", "outcomes/peer-rebooted", "outcomes/peer-down", "--json", f"{arena.folder}/by.json"
    )
    victims: list[tuple[Blow, Command]] = []
    began_s = time.monotonic()
    for index, name in enumerate(arena.chance.sample(sorted(KINDS), VICTIMS)):
        kind = KINDS[name]
        arguments = kind.arguments(arena.chance, arena.folder / f"victim-{index}")
        victims.append((drawn(arena.chance), arena.start(*arguments, program=kind.program)))
    for blow, command in sorted(victims, key=lambda victim: victim[0].at_s):
        time.sleep(max(0.0, began_s + blow.at_s - time.monotonic()))
        _strike(arena.chance, blow, command)
        arena.attempts += 1
    if arena.chance.random() < 0.5:
        arena.harness("clean", statuses={0})
    for blow, command in victims:
        if blow.to_child and not command.wait(5.0):
            command.send(signal.SIGTERM)
        _check(arena, blow, command)
    arena.await_end(bystander, {0, 3})
    if all(
        blow.number != signal.SIGKILL and command.argv[: len(HARNESS)] == HARNESS
        for blow, command in victims
    ):
        cleaned = arena.harness("clean", statuses={0})
        arena.right(
            cleaned.out == "nothing to remove\n",
            lambda: f"what was told to end left something: {cleaned}",
        )


def _strike(chance: random.Random, blow: Blow, command: Command) -> None:
    if not blow.to_child:
        command.send(blow.number)
        return
    children = processes.descendants(command.process.pid)
    if children:
        with suppress(ProcessLookupError):
            os.kill(chance.choice(children).pid, blow.number)


def _check(arena: Arena, blow: Blow, command: Command) -> None:
    """How the command ended, and that no verdict rests on the loss of a process that somebody else
    killed.
    """
    usual = STATUSES if command.argv[: len(HARNESS)] == HARNESS else PYTEST_STATUSES
    # A guest runs its programs in processes of the host. A program whose process is killed ends
    # with SIGSEGV in the guest.
    told = {blow.number, *((signal.SIGTERM, signal.SIGSEGV) if blow.to_child else ())}
    arena.await_end(
        command, {*usual, *(-number for number in told), *(128 + number for number in told)}
    )
    results = Path(command.argv[-1])
    if results.suffix == ".json" and results.exists():
        for each in json.loads(results.read_text())["scenarios"]:
            if each["verdict"] == "inconclusive":
                arena.unjudged(f"{each['name']}: {each['cause']}: {each['reason']}")
            if each["verdict"] == "fail":
                arena.wrong(f"fail of {each['name']} ({blow}): {each['cause']}: {each['reason']}")
