"""A command's output on its way here takes a bounded amount of memory."""

from __future__ import annotations

import io
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from harness.errors import GuestError
from harness.venue import guest_command, output
from harness.venue.guest_process import Guest

WRITER = """
import sys
with open(sys.argv[1], "ab", buffering=0) as file:
    while True:
        file.write(b"0123456789abcdef" * 4096)
        print(flush=True)
"""
WRITTEN = b"0123456789abcdef" * (1 << 17)


def _guest(folder: Path, process: object = None) -> Guest:
    idle = SimpleNamespace(send_signal=lambda _: None)
    return cast("Guest", SimpleNamespace(folder=folder, process=process or idle))


def test_what_was_copied_takes_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it arrives, once, and the guest's file has only what is still to come."""
    target = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=target))
    file = tmp_path / guest_command.STREAMS[1]
    going = output.OutputCopy(_guest(tmp_path))
    going.copy()
    for _ in range(2):
        with file.open("ab") as more:
            more.write(WRITTEN)
        going.copy()
    assert target.getvalue() == WRITTEN * 2
    found = file.stat()
    assert found.st_size == 2 * len(WRITTEN)
    assert found.st_blocks * 512 <= 1 << 17


def test_a_guest_stands_still_while_nobody_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have written little more than what is copied; it goes on with the reader."""
    reader, target = os.pipe()
    stream = os.fdopen(target, "wb")
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=stream))
    file = tmp_path / guest_command.STREAMS[1]
    with (
        stream,
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(file)], stdout=subprocess.PIPE
        ) as writer,
    ):
        assert writer.stdout is not None
        writer.stdout.readline()
        going, over = output.OutputCopy(_guest(tmp_path, writer)), threading.Event()

        def copy() -> None:
            while not over.is_set():
                going.copy()

        copying = threading.Thread(target=copy)
        copying.start()
        try:
            os.waitid(os.P_PID, writer.pid, os.WSTOPPED | os.WNOWAIT)
            over.set()
            got = b""
            while copying.is_alive() or select.select([reader], [], [], 0)[0]:
                if select.select([reader], [], [], 0.01)[0]:
                    got += os.read(reader, 1 << 16)
            os.waitid(os.P_PID, writer.pid, os.WCONTINUED | os.WNOWAIT)
        finally:
            writer.kill()
    os.close(reader)
    assert got == b"0123456789abcdef" * (len(got) // 16)
    assert len(got) >= 1 << 16


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_no_other_file_is_freed(tmp_path: Path, link: Callable[[Path, Path], None]) -> None:
    """A guest may put another file in the place of its stream."""
    mine = tmp_path / "mine"
    mine.write_bytes(WRITTEN)
    link(tmp_path / guest_command.STREAMS[1], mine)
    with pytest.raises(GuestError):
        output.OutputCopy(_guest(tmp_path)).copy()
    assert mine.read_bytes() == WRITTEN
