"""What a harness that was killed may have left: programs with a mark, and ledgers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec

from harness.lab import origin
from harness.lab.entries import Entry
from harness.lab.processes import MARK_VARIABLE

SLEEP = [sys.executable, "-I", "-S", "-c", "import sys; print(flush=True); sys.stdin.read()"]


def files(state: Path) -> list[Path]:
    """The ledgers on disk."""
    return sorted((state / "ledger").glob("*"))


def sleeper(token: str) -> subprocess.Popen[bytes]:
    """A program that carries a token and has begun."""
    process = subprocess.Popen(
        SLEEP,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, MARK_VARIABLE: token},
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def entry(kind: str, token: str, what: str = "", folder: Path | str = "", **more: object) -> Entry:
    """One that this process might have announced now."""
    return msgspec.structs.replace(
        Entry(kind, token, what, str(folder), origin=origin.here()), **more
    )


def left_behind(state: Path, *lines: Entry | bytes) -> Path:
    """A ledger whose run is over."""
    path = state / "ledger" / "old.jsonl"
    state.mkdir(mode=0o700, exist_ok=True)
    path.parent.mkdir(exist_ok=True)
    written = (
        line if isinstance(line, bytes) else msgspec.json.encode(line) + b"\n" for line in lines
    )
    path.write_bytes(b"".join(written))
    return path
