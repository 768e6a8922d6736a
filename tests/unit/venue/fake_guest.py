"""A guest without a kernel: a test writes its console, and reads what it is told."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from harness.venue.guest_process import Guest


class FakeProcess:
    """Stands for the guest's process: two pipes. `told`: the descriptor it would read from."""

    pid = -1

    def __init__(self) -> None:
        heard, says = os.pipe()
        self.told, tells = os.pipe()
        os.set_blocking(self.told, False)
        self.stdout = os.fdopen(heard, "rb", buffering=0)
        self.stdin = os.fdopen(tells, "wb", buffering=0)
        self._says = says
        self.returncode: int | None = 0

    def says(self, *pieces: bytes) -> None:
        """Write to its console."""
        for piece in pieces:
            os.write(self._says, piece)

    def ends(self) -> None:
        """It says nothing more."""
        if self._says >= 0:
            os.close(self._says)
            self._says = -1

    def words(self) -> bytes:
        """What it was told since the last call."""
        with suppress(BlockingIOError):
            return os.read(self.told, 65536)
        return b""

    def wait(self) -> int:
        """It has ended."""
        return 0

    def close(self) -> None:
        """Close both pipes."""
        self.ends()
        os.close(self.told)
        for stream in (self.stdout, self.stdin):
            stream.close()


@contextmanager
def fake_guest(
    folder: Path, job: Mapping[str, Any] | None = None
) -> Iterator[tuple[Guest, FakeProcess]]:
    """A guest with that folder, and its process."""
    process = FakeProcess()
    try:
        yield Guest(cast("subprocess.Popen[bytes]", process), folder, job or {}), process
    finally:
        process.close()
