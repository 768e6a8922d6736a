"""Scenarios of which it is known beforehand what is true: sound claims, and claims that are
refuted.
"""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from harness import capabilities
from harness.plan import planner
from harness.plan.local_machine import local_machine
from harness.scenario import catalogue as scenarios
from harness.scenario import loader
from tests.attack.arena import Arena, Ended

Truth = Literal["sound", "refuted"]
ALLOWED: Mapping[Truth, frozenset[str]] = {
    "sound": frozenset({"pass", "inconclusive"}),
    "refuted": frozenset({"fail", "inconclusive"}),
}
WATCH_S = 8.0
"""The longest that a scenario for real time may be watched."""

WAITING_CLIENT = """import socket, sys, time
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
deadline = time.monotonic() + float(sys.argv[3])
print("connected", flush=True)
time.sleep(0.6)
connection.sendall(b"x")
try:
    while (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        if not connection.recv(1):
            break
    print("lost: end of file" if left > 0 else "lost: timeout", flush=True)
except TimeoutError:
    print("lost: timeout", flush=True)
except OSError:
    print("lost: an error", flush=True)
time.sleep(60)
"""
"""Gives its peer up so long after it has connected, whatever it hears.

Sends something once the fault is there.
"""
WAITING = """
[client.command]
argv = ["{{python}}", "{{scenario}}/waiting.py", "{{server}}", "{{port}}", "{gives_up_s}"]
ready = {{ prints = "^connected" }}
detects = {{ prints = "^lost: (.*)" }}

[[faults]]
kind = "{kind}"
at_s = 0.3

[expect]
outcome = "noticed"
reports = "timeout"
window_s = {window_s}
"""
KEEPALIVE = """
[client.keepalive]
idle_s = 1
interval_s = 1
count = {count}

[[faults]]
kind = "{kind}"
at_s = 0.3
{on}
[expect]
{expect}
"""


class Claim(NamedTuple):
    """A scenario file that is written, and what is true of it."""

    name: str
    truth: Truth
    text: str


def _keepalive(name: str, truth: Truth, kind: str, expect: Sequence[str], count: int = 1) -> Claim:
    on = 'on = "server"' if kind == "link-down" else ""
    return Claim(
        name, truth, KEEPALIVE.format(kind=kind, count=count, on=on, expect="\n".join(expect))
    )


def _waiting(name: str, truth: Truth, gives_up_s: float, window_s: Sequence[float]) -> Claim:
    text = WAITING.format(gives_up_s=gives_up_s, window_s=list(window_s), kind="blackhole")
    return Claim(name, truth, text)


_DETECTED, _TIMED_OUT, _RESET = (
    'outcome = "detected"',
    'errno = "ETIMEDOUT"',
    'errno = "ECONNRESET"',
)
WRITTEN = (
    _keepalive("silent", "sound", "blackhole", [_DETECTED, _TIMED_OUT]),
    _keepalive("silent-link", "sound", "link-down", [_DETECTED, _TIMED_OUT], count=2),
    _keepalive("reset", "sound", "peer-reboot", [_DETECTED, _RESET, "window_s = [1.0, 1.5]"]),
    _keepalive("frozen", "sound", "process-freeze", ['outcome = "never"', "bound_s = 3"]),
    _waiting("waits-1", "sound", 1.05, [1.0, 1.5]),
    _waiting("waits-3", "sound", 3.05, [2.9, 3.5]),
    _keepalive("not-reset", "refuted", "blackhole", [_DETECTED, _RESET]),
    _keepalive(
        "not-so-late", "refuted", "blackhole", [_DETECTED, _TIMED_OUT, "window_s = [3.0, 6.0]"]
    ),
    _keepalive(
        "not-so-early", "refuted", "blackhole", [_DETECTED, _TIMED_OUT, "window_s = [0.5, 1.5]"]
    ),
    _keepalive("not-silent", "refuted", "peer-reboot", [_DETECTED, _TIMED_OUT]),
    _keepalive("not-never", "refuted", "peer-reboot", ['outcome = "never"', "bound_s = 4"]),
    _waiting("waits-3-not-4", "refuted", 3.05, [4.0, 6.0]),
    _waiting("waits-3-not-2", "refuted", 3.05, [0.5, 2.5]),
    _waiting("waits-1-not-2", "refuted", 1.05, [1.5, 5.0]),
)


class Cast(NamedTuple):
    """Scenarios to be run together: the words for the command line, and the truth of each by its
    name.
    """

    words: list[str]
    truths: dict[str, Truth]


def written(folder: Path, claims: Collection[Claim] = WRITTEN) -> Cast:
    """Write the files of claims into a new folder."""
    folder.mkdir()
    (folder / "waiting.py").write_text(WAITING_CLIENT)
    for claim in claims:
        (folder / f"{claim.name}{loader.SUFFIX}").write_text(claim.text)
    return Cast(
        [f"{folder}/{claim.name}{loader.SUFFIX}" for claim in claims],
        {c.name: c.truth for c in claims},
    )


@functools.cache
def catalogue(watch_s: float = WATCH_S) -> tuple[str, ...]:
    """What of the catalogue takes no longer than that in real time on this machine, by name."""
    machine = local_machine()
    toxiproxy = capabilities.toxiproxy().available
    return tuple(
        scenario.name
        for scenario in scenarios.find([])
        if (toxiproxy or scenario.topology.proxied_by != "toxiproxy")
        and not scenario.known_failure
        and not planner.lasts_longer(scenario, machine, round(watch_s * 1e9))
        and planner.make(scenario, machine).watch_ns <= watch_s * 1e9
    )


def mixed(chance: random.Random, folder: Path, some: int) -> Cast:
    """So many of the catalogue, and about as many that are written, refuted ones above all."""
    drawn = chance.sample(catalogue(), min(some, len(catalogue())))
    more = written(folder, chance.sample(WRITTEN, min(some, len(WRITTEN))))
    return Cast([*drawn, *more.words], {**dict.fromkeys(drawn, "sound"), **more.truths})


def check_verdicts(arena: Arena, cast: Cast, results: Path, ended: Ended) -> None:
    """Each verdict of a run that has ended must be one that the truth allows.

    Counts attempts, too.
    """
    try:
        judged: list[dict[str, Any]] = json.loads(results.read_text())["scenarios"]
    except (OSError, ValueError, KeyError) as error:
        arena.wrong(f"expected results in {results.name}, found {error!r}: {ended}")
        return
    arena.attempts += len(judged)
    names = {each["name"] for each in judged}
    arena.right(
        names == set(cast.truths),
        lambda: f"expected results of {sorted(cast.truths)}, found {sorted(names)}",
    )
    for each in judged:
        found = each["verdict"]
        if found == "inconclusive":
            arena.unjudged(f"{each['name']}: {each['cause']}: {each['reason']}")
        truth = cast.truths.get(each["name"], "sound")
        if found not in ALLOWED[truth]:
            arena.wrong(
                f"{found} of {each['name']}, which is {truth}: {each['cause']}: {each['reason']}"
            )
