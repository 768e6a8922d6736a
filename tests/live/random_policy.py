"""Connections drawn at random, as a policy for `harness check --prove`.

As a program it prints a policy: SEED, NUMBER and the HZ as TOML has them.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator

DEVICES = ("aws-nlb", "azure-lb", "azure-lb-tcp-reset", "gcp-vpc", "f5-l4", "palo-alto")


def connections(seed: int, number: int) -> str:
    """The tables of so many connections, the same for the same seed."""
    chance = random.Random(seed)
    return "\n".join(
        "\n".join([f"[connections.random-{each:02}]", *_keys(chance)]) for each in range(number)
    )


def _keys(chance: random.Random) -> Iterator[str]:
    idle_s = chance.choice(
        (chance.randint(1, 60), chance.randint(60, 900), chance.randint(900, 7200))
    )
    yield f"idle_s = {idle_s}"
    yield f"interval_s = {chance.randint(1, 90)}"
    yield f"count = {chance.randint(1, 9)}"
    if chance.random() < 0.4:
        yield f"user_timeout_s = {chance.randint(1, 900)}"
    if chance.random() < 0.5:
        yield f"survive_s = {chance.randint(1, 120)}"
    yield f'path = ["{chance.choice(DEVICES)}"]' if chance.random() < 0.6 else "path = []"
    if chance.random() < 0.3:
        yield 'side = "server"'
    if chance.random() < 0.15:
        every_s, timeout_s = chance.randint(5, 300), chance.randint(2, 30)
        times = f"every_s = {every_s}, timeout_s = {timeout_s}, misses = {chance.randint(1, 4)}"
        yield f"heartbeat = {{ {times}, apart = {chance.choice(('true', 'false'))} }}"


if __name__ == "__main__":
    seed, number, hz = sys.argv[1:]
    sys.stdout.write(f"defaults.hz = {hz}\n{connections(int(seed), int(number))}\n")
