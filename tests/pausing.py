"""A command that is stopped and continued while it runs, as a debugger, a laptop's lid or a
hypervisor does it.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

Whom = Literal["process", "group", "family"]
"""Who is stopped: the command's process.

Its process group; or all that descends from it, subjects among them.
"""
LOOK_S = 0.005


class Pause(NamedTuple):
    """`after_s`: how long to wait, after the command's start or the end of the pause before it."""

    after_s: float
    for_s: float


class Ended(NamedTuple):
    """A command that has ended, and the pauses that came before that, as they were planned."""

    status: int
    output: str
    pauses: tuple[Pause, ...]


def at_random(
    seed: int, *, every_s: tuple[float, float], for_s: tuple[float, float]
) -> Iterator[Pause]:
    """Endless pauses, the same ones for the same seed: lengths and distances are drawn evenly from
    both ranges.

    Whoever calls this prints the seed.
    """
    chance = random.Random(seed)
    while True:
        yield Pause(chance.uniform(*every_s), chance.uniform(*for_s))


def run(
    argv: Sequence[str],
    pauses: Iterable[Pause],
    *,
    whom: Whom = "process",
    first: Callable[[], bool] = lambda: True,
    folder: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Ended:
    """Run a command to its end with pauses, which begin to count once `first()` is true.

    It is never left stopped.
    """
    process = subprocess.Popen(
        argv,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.append(process.communicate()[0]))
    reader.start()
    done: list[Pause] = []
    try:
        while process.poll() is None and not first():
            time.sleep(LOOK_S)
        for pause in pauses:
            if not _lasts(process, pause.after_s):
                break
            with stopped(process.pid, whom):
                time.sleep(pause.for_s)
            done.append(pause)
    finally:
        reader.join()
    return Ended(process.returncode, said[0], tuple(done))


def _lasts(process: subprocess.Popen[str], seconds: float) -> bool:
    """Wait; whether the process is still there then."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and (left := deadline - time.monotonic()) > 0:
        time.sleep(min(LOOK_S, left))
    return process.poll() is None


@contextlib.contextmanager
def stopped(pid: int, whom: Whom) -> Iterator[None]:
    """A process, its group or its family stands still for the length of the block, and then goes
    on.
    """
    members = [pid, *_descendants(pid)] if whom == "family" else [pid]
    send = os.killpg if whom == "group" else os.kill
    try:
        for each in members:
            with contextlib.suppress(ProcessLookupError):
                send(each, signal.SIGSTOP)
        yield
    finally:
        for each in members:
            with contextlib.suppress(ProcessLookupError):
                send(each, signal.SIGCONT)


def _descendants(pid: int) -> list[int]:
    """All processes that descend from one, whatever their sessions."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                found += [child, *_descendants(child)]
    return found
