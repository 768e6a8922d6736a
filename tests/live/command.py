"""The `harness` command as a process of its own, with a state folder and a working directory of its
own.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from harness.cli import main

COMMAND = (sys.executable, "-m", "harness")
CHECKOUT = Path(__file__).parents[2]
PATIENCE_S = 200.0
"""The longest that anything may take on however busy a machine: what takes longer hangs."""

FEW_PLUGINS = "-p no:hypothesispytest -p no:xdist -p no:pytest_cov"
"""PYTEST_ADDOPTS of inner sessions: without what only the tests of this checkout need.

That takes longer to import than most of these sessions last: 1.3 s of CPU time on the host, and
more in a guest.
"""


class Ended(NamedTuple):
    """A command that has ended."""

    status: int
    out: str
    err: str


class Command:
    """A `harness` command at work in a folder: `state` is its XDG_STATE_HOME, `out` may be given to
    --out.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        command: Sequence[str] = COMMAND,
        state: Path | None = None,
    ) -> None:
        """Start it; it goes on in the background until `wait`."""
        self.folder, self.state, self.out = folder, state or folder / "state", folder / "out"
        self._stdout, self._stderr = folder / "stdout", folder / "stderr"
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
        return Ended(status, self._stdout.read_text(), self._stderr.read_text())


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


def send(process: subprocess.Popen[Any], number: signal.Signals) -> None:
    """Send a signal and wait until the process has handled it: the kernel merges two that are
    pending together.
    """
    process.send_signal(number)
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and not _has_handled(process.pid, number):
        assert time.monotonic() < deadline, f"{number.name} was not handled within {PATIENCE_S:g} s"
        time.sleep(0.01)


def _has_handled(pid: int, number: signal.Signals) -> bool:
    """Whether the main thread sleeps again and the signal is not pending any more."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it has ended
        return True
    fields = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    pending = int(fields["SigPnd"], 16) | int(fields["ShdPnd"], 16)
    return not pending >> (number - 1) & 1 and fields["State"][0] in "SZ"


def harness(folder: Path, *arguments: str, state: Path | None = None) -> Ended:
    """Run a command to its end."""
    with started(folder, *arguments, state=state) as running:
        return running.wait()


def inside(folder: Path, *arguments: str) -> Ended:
    """Run a command that starts nothing in this process, which spares it an interpreter's start."""
    written, err = io.BytesIO(), io.StringIO()  # reports are written as octets
    out = io.TextIOWrapper(written, encoding="utf-8", write_through=True)
    with (
        contextlib.chdir(folder),
        mock.patch.dict(os.environ, environment(folder / "state")),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            status = main.main(arguments)
        except SystemExit as end:  # argparse ends so
            status = int(end.code or 0)
    return Ended(status, written.getvalue().decode(), err.getvalue())


def environment(state: Path) -> dict[str, str]:
    """This environment with another state folder, and the checkout to import from wherever the
    command runs.
    """
    paths = {"XDG_STATE_HOME": str(state), "PYTHONPATH": str(CHECKOUT)}
    return {**os.environ, **paths, "PYTEST_ADDOPTS": FEW_PLUGINS}
