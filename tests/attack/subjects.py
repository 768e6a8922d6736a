"""Programs under test that do what programs should not: none may escape, nor get a verdict that is
not true.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import NamedTuple

from tests.attack import claims
from tests.attack.arena import Arena
from tests.attack.misdeeds import CLIENT, FATAL, HARMLESS, HEAD, SERVER

SCENARIOS = 6
CLIENT_TABLE = """
[client.command]
argv = ["{{python}}", "-I", "-S", "{{scenario}}/{name}.py", "{{server}}", "{{port}}"]
ready = {{ prints = "^connected", within_s = 20 }}
detects = {{ prints = "^lost: (.*)" }}

[[faults]]
kind = "{fault}"
at_s = 0.4

[expect]
outcome = "noticed"
reports = "an error"
window_s = [{low}, {high}]
"""
SERVER_TABLE = """
[server.command]
argv = ["{{python}}", "-I", "-S", "{{scenario}}/{name}.py", "{{port}}"]
ready = {{ listens = true, within_s = 20 }}

[client.keepalive]
idle_s = 1
interval_s = 1
count = 1

[expect]
{expect}
"""
NEVER = 'outcome = "never"\nbound_s = 2'
TIMED_OUT = 'outcome = "detected"\nerrno = "ETIMEDOUT"\nwindow_s = [1, 3]'
WINDOWS_S = {"blackhole": (1.7, 2.5), "peer-reboot": (0.7, 1.5)}
"""When keepalive tells the client."""


class Program(NamedTuple):
    """A program under test, with a claim about it."""

    claim: claims.Claim
    source: str


def drawn(chance: random.Random, index: int) -> Program:
    """A client or a server, with a claim that is sound or refuted."""
    name = f"p{index}"
    if chance.random() < 0.3:
        misdeed = chance.choice(sorted(HARMLESS))
        return server(name, misdeed, "sound" if chance.random() < 0.7 else "refuted")
    if chance.random() < 0.3:
        return client(
            name, chance.choice(sorted(FATAL)), "refuted", chance.choice(sorted(WINDOWS_S))
        )
    truth: claims.Truth = "sound" if chance.random() < 0.7 else "refuted"
    return client(name, chance.choice(sorted(HARMLESS)), truth, chance.choice(sorted(WINDOWS_S)))


def server(name: str, misdeed: str, truth: claims.Truth) -> Program:
    """One with a client that is alive for as long as it is watched."""
    text = SERVER_TABLE.format(name=name, expect=NEVER if truth == "sound" else TIMED_OUT)
    claim = claims.Claim(f"{name}-server-{misdeed}", truth, text)
    return Program(claim, HEAD + SERVER.format(misdeed=HARMLESS[misdeed]))


def client(name: str, misdeed: str, truth: claims.Truth, fault: str) -> Program:
    """One that keepalive tells of the fault, unless its misdeed is fatal.

    A refuted claim names a later window.
    """
    low, high = WINDOWS_S[fault]
    late_s = 2 if truth == "refuted" and misdeed in HARMLESS else 0
    text = CLIENT_TABLE.format(name=name, fault=fault, low=low + late_s, high=high + late_s)
    claim = claims.Claim(f"{name}-client-{misdeed}", truth, text)
    return Program(claim, HEAD + CLIENT.format(misdeed=(HARMLESS | FATAL)[misdeed]))


def write(folder: Path, programs: list[Program]) -> claims.Cast:
    """The files of programs and of what is claimed about them."""
    cast = claims.written(folder, [program.claim for program in programs])
    for program in programs:
        (folder / f"{program.claim.name.partition('-')[0]}.py").write_text(program.source)
    return cast


def attack(arena: Arena) -> None:
    """Several at once, on either clock."""
    programs = [drawn(arena.chance, index) for index in range(SCENARIOS)]
    cast = write(arena.folder / "files", programs)
    results = arena.folder / "results.json"
    clock = ["--clock", "virtual", "--wall-limit", "40"] if arena.chance.random() < 0.4 else []
    ended = arena.harness(
        "run", *cast.words, "--yes", "--json", str(results), *clock, statuses={0, 1, 3}
    )
    claims.check_verdicts(arena, cast, results, ended)
