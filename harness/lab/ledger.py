"""The ledger: what a run made that could outlive it, written down before it exists, so that it can be removed by name.

Namespaces, links and rules vanish with the harness's process by themselves (see `harness.lab.namespace`). Processes do
not: each program is announced here before it is started, marked with a token of its own in its environment.
A run's ledger is locked (flock) while the run lives; whatever lies in an unlocked one was left behind.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

MARK_VARIABLE = "KEEPALIVE_HARNESS_MARK"


class Entry(msgspec.Struct, frozen=True):
    """One thing made: `kind` "program" and its token, or kind "done" when the thing with that token is gone."""

    kind: str
    token: str
    what: str = ""


def state_folder() -> Path:
    """Where ledgers and unnamed run directories are kept: $XDG_STATE_HOME/keepalive-harness."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "keepalive-harness"


class Ledger:
    """This process's ledger; the file appears with the first entry."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._path: Path | None = None
        self._open_entries: set[str] = set()

    def announce(self, kind: str, what: str) -> str:
        """Write down that something is about to be made; returns its token."""
        token = uuid.uuid4().hex
        with self._lock:
            self._append(Entry(kind, token, what))
            self._open_entries.add(token)
        return token

    def settle(self, token: str) -> None:
        """Write down that it is gone; the file goes when everything in it is."""
        with self._lock:
            self._open_entries.discard(token)
            self._append(Entry("done", token))
            if not self._open_entries and self._path is not None and self._file is not None:
                self._path.unlink(missing_ok=True)
                self._file.close()
                self._file = self._path = None

    def _append(self, entry: Entry) -> None:
        if self._file is None:
            folder = state_folder() / "ledger"
            folder.mkdir(parents=True, exist_ok=True)
            unlocked = folder / f"{uuid.uuid4().hex}.new"
            self._file = unlocked.open("xb", buffering=0)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            self._path = unlocked.rename(unlocked.with_suffix(".jsonl"))
        self._file.write(msgspec.json.encode(entry) + b"\n")


LEDGER = Ledger()
"""The one ledger of this process."""


def leftovers() -> Iterator[tuple[Path, list[Entry]]]:
    """Ledgers whose run is over, with what is still open in each."""
    for path in sorted((state_folder() / "ledger").glob("*.jsonl")):
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield path, _open_entries(file.read())


def clean() -> list[str]:
    """Undo what earlier runs left; returns a line for each thing removed."""
    removed = []
    for path, entries in leftovers():
        tokens = {entry.token: entry for entry in entries if entry.kind == "program"}
        for pid, token in _marked_processes(set(tokens)):
            os.kill(pid, signal.SIGKILL)
            removed.append(f"process {pid} ({tokens[token].what})")
        path.unlink(missing_ok=True)
        removed.append(f"ledger {path}")
    return removed


def clean_runs() -> list[str]:
    """Remove the run directories that were kept because no --out was given; returns a line for each."""
    removed = []
    for folder in sorted((state_folder() / "runs").glob("*")):
        shutil.rmtree(folder)
        removed.append(f"run directory {folder}")
    return removed


def _open_entries(text: bytes) -> list[Entry]:
    entries: dict[str, Entry] = {}
    for line in text.splitlines():
        try:
            entry = msgspec.json.decode(line, type=Entry)
        except msgspec.DecodeError:
            continue  # a torn line: announced, but the run was killed before it could make the thing
        if entry.kind == "done":
            entries.pop(entry.token, None)
        else:
            entries[entry.token] = entry
    return list(entries.values())


def _marked_processes(tokens: set[str]) -> Iterator[tuple[int, str]]:
    """Processes whose environment carries one of the tokens, with the token."""
    if not tokens:
        return
    marker = f"{MARK_VARIABLE}=".encode()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        for variable in environment:
            if variable.startswith(marker) and variable[len(marker) :].decode(errors="replace") in tokens:
                yield int(folder.name), variable[len(marker) :].decode()
