"""The `harness` command as a process of its own, with a state folder and a working directory of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

COMMAND = (sys.executable, "-m", "harness")
CHECKOUT = Path(__file__).parents[2]


class Ended(NamedTuple):
    """A command that has ended. `wall_s`: real time from its start to its last words, in seconds."""

    status: int
    out: str
    err: str
    wall_s: float


class Command:
    """A `harness` command at work in a folder: `state` is its XDG_STATE_HOME, `out` may be given to --out."""

    def __init__(
        self, folder: Path, *arguments: str, command: Sequence[str] = COMMAND, state: Path | None = None
    ) -> None:
        """Start it; it goes on in the background until `wait`."""
        self.folder, self.state, self.out = folder, state or folder / "state", folder / "out"
        self._stdout, self._stderr = folder / "stdout", folder / "stderr"
        self._started = time.time()
        with self._stdout.open("wb") as stdout, self._stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*command, *arguments],
                cwd=folder,
                env=environment(self.state),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )

    def wait(self) -> Ended:
        """Wait for its end; pytest's timeout is the limit."""
        status = self.process.wait()
        last_words = max(file.stat().st_mtime for file in (self._stdout, self._stderr))
        return Ended(status, self._stdout.read_text(), self._stderr.read_text(), last_words - self._started)


@contextmanager
def started(
    folder: Path, *arguments: str, command: Sequence[str] = COMMAND, state: Path | None = None
) -> Iterator[Command]:
    """A command that is killed at the end of the block if it is still there."""
    folder.mkdir(exist_ok=True)
    running = Command(folder, *arguments, command=command, state=state)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()


def harness(folder: Path, *arguments: str, state: Path | None = None) -> Ended:
    """Run a command to its end."""
    with started(folder, *arguments, state=state) as running:
        return running.wait()


def environment(state: Path) -> dict[str, str]:
    """This environment with another state folder, and the checkout to import from wherever the command runs."""
    return {**os.environ, "XDG_STATE_HOME": str(state), "PYTHONPATH": str(CHECKOUT)}
