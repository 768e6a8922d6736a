"""The ledger: what a run made that could outlive it, written down before it exists, so that it can be removed by name.

Namespaces, links and rules vanish with the harness's process by themselves (see `harness.lab.namespace`). Processes do
not: each program is announced here before it is started, marked with a token of its own in its environment, and with
the folder that is made for it alone, where it has one. A run's ledger is locked (flock) while the run lives; whatever
lies in an unlocked one was left behind. What is still open when the interpreter exits, as after an interrupt, is
removed there and then.
"""

from __future__ import annotations

import atexit
import fcntl
import importlib
import os
import shutil
import sys
import threading
import time
import uuid
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from harness import timeline
from harness.errors import HarnessError, LabError
from harness.lab import family, processes
from harness.lab.namespace import Network, boot_id
from harness.lab.places import state_folder
from harness.lab.processes import Owned
from harness.signals import deaf

RUN_MARK = ".keepalive-harness-run"
"""In a folder of run directories that is ours to remove; locked (flock) while the harness that made it runs.

It holds that harness's process ID and boot, for file systems without locks.
"""
_LOOK_S = 0.01
_MAKING_S = 30.0
"""How long what is being made may take until it can be undone."""

_UNDOERS = {"docker": "harness.lab.containers", "attached": "harness.lab.attached"}
"""The module whose `undo` takes an entry of each kind that is no process, and returns a line for each thing undone."""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing made: its `kind` and token, or kind "done" when the thing with that token is gone.

    Kinds: "program", a process; "docker", what bears the token as its label; "attached", what was done to a container
    of somebody's. The module of each of the last two knows what is to be undone by `data` (see `_UNDOERS`).

    `folder`: the absolute path of the folder that goes with the program, with all that is in it. `session`: the ID of
    the session that the program began, once it was started, and when that was (see `harness.lab.family`): a program may
    write over its environment, as redis-server does. `network`: of its host, where that was made for the run.
    """

    kind: str
    token: str
    what: str = ""
    folder: str = ""
    session: int = 0
    born: int = 0
    network: Network | None = None
    data: dict[str, Any] = {}


class Cleaned(NamedTuple):
    """A line for each thing that was removed or undone, and one for each that could not be, with the reason."""

    done: list[str]
    kept: list[str]


class Ledger:
    """This process's ledger; the file appears with the first entry and goes with the last one that is settled."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._path: Path | None = None
        self._owner = 0
        self._open_entries: dict[str, Entry] = {}
        self._finished = False
        self._making = 0

    @contextmanager
    def making(self) -> Iterator[None]:
        """Around what makes something announced that others carry out: `finish` waits for it. Raises LabError."""
        with self._lock:
            if self._finished:
                raise LabError("expected to go on, found that this harness is ending")
            self._making += 1
        try:
            yield
        finally:
            with self._lock:
                self._making -= 1

    def announce(
        self,
        kind: str,
        what: str,
        folder: Path | None = None,
        data: dict[str, Any] | None = None,
        network: Network | None = None,
    ) -> str:
        """Write down that something is about to be made; returns its token. Raises LabError.

        `folder`: what is about to be made for it, and nothing that was there before. `data`: what undoing it takes.
        `network`: in which a program will run, and nothing that is not the run's.
        """
        place = str(folder.absolute()) if folder else ""
        entry = Entry(kind, uuid.uuid4().hex, what, place, network=network, data=data or {})
        with self._lock:
            if self._finished and self._owner == os.getpid():
                raise LabError(f"expected to go on, found that this harness is ending: {what} is not started")
            self._append(entry)
            self._open_entries[entry.token] = entry
        return entry.token

    def note(self, token: str, data: dict[str, Any]) -> None:
        """Write down what undoing it takes now. Raises LabError where it is over, or this harness is ending."""
        with self._lock:
            entry = self._open_entries.get(token)
            if entry is None or self._finished:
                raise LabError("expected to go on, found that this harness is ending, or has let go of it")
            entry = msgspec.structs.replace(entry, data=data)
            self._append(entry)
            self._open_entries[token] = entry

    def started(self, token: str, pid: int) -> None:
        """Write down which process has become of it, the first of a session of its own."""
        with self._lock:
            entry = self._open_entries.get(token)
            if entry is not None:
                entry = msgspec.structs.replace(entry, session=pid, born=family.born(pid))
                self._append(entry)
                self._open_entries[token] = entry

    def end_leftovers(self, tokens: Collection[str]) -> None:
        """End what programs that are to be settled left behind, while their networks are held open. Raises LabError."""
        with self._lock:
            owned = [owned_by(self._open_entries[token]) for token in tokens if token in self._open_entries]
        processes.end(owned, held=True)

    def settle(self, token: str) -> None:
        """Write down that it is gone; the file goes when everything in it is."""
        with self._lock:
            if self._open_entries.pop(token, None) is None:
                return
            self._append(Entry("done", token))
            if not self._open_entries:
                self._remove()

    def finish(self) -> None:
        """Remove what is still open; from now on nothing can be announced.

        For the process that announced it: a fork of it owns nothing.
        """
        if self._owner != os.getpid():
            return
        with self._lock:
            self._finished = True
        deadline = time.monotonic() + _MAKING_S
        while self._making and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        with self._lock:
            if any(entry.kind in _UNDOERS for entry in self._open_entries.values()):
                _say("clearing up takes a few seconds")
            _kill(self._open_entries.values())
            _, kept = _undo(self._open_entries.values())
            _remove_folders(self._open_entries.values())
            if kept:
                for reason in kept:
                    _say(f"{reason}; `harness clean` tries again")
                return
            self._open_entries.clear()
            self._remove()

    def _append(self, entry: Entry) -> None:
        if self._file is None:
            self._file, self._path = _new_file(state_folder() / "ledger")
            self._owner = os.getpid()
        self._file.write(msgspec.json.encode(entry) + b"\n")

    def _remove(self) -> None:
        if self._file is not None and self._path is not None:
            self._path.unlink(missing_ok=True)
            self._file.close()
            self._file = self._path = None


def _say(words: str) -> None:
    with suppress(OSError, ValueError):  # nobody may be there to hear it
        sys.stderr.write(f"harness: {words}\n")


def _new_file(folder: Path) -> tuple[BinaryIO, Path]:
    """A ledger's file, locked before it has its name. Raises LabError."""
    unlocked = folder / f"{uuid.uuid4().hex}.new"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = unlocked.open("xb", buffering=0)
        fcntl.flock(file, fcntl.LOCK_EX)
        return file, unlocked.rename(unlocked.with_suffix(".jsonl"))
    except OSError as error:
        text = f"expected a folder for the ledger of started programs, found {error.strerror} at {folder}"
        raise LabError(f"{text}; set XDG_STATE_HOME to a folder that can be written") from error


LEDGER = Ledger()
"""The one ledger of this process."""


def end() -> None:
    """Remove what this process has made and what is still open, at its end: runs that see it record nothing of that.

    Whatever would end it earlier is not heeded: it would leave what this is there to remove.
    """
    timeline.stop_recording()
    with deaf():
        LEDGER.finish()


atexit.register(end)


def leftovers() -> Iterator[tuple[Path, list[Entry]]]:
    """Ledgers whose run is over, with what is still open in each. Raises LabError."""
    for path in sorted((state_folder() / "ledger").glob("*.jsonl")):
        try:
            file = path.open("rb")
        except FileNotFoundError:
            continue  # its run has just ended well
        except OSError as error:
            raise LabError(f"expected to read ledger {path}, found {error.strerror}; run as its owner") from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield path, _open_entries(file.read())


def clean() -> Cleaned:
    """Undo what earlier runs left, as far as it goes. Raises LabError."""
    cleaned = Cleaned([], [])
    for path, entries in leftovers():
        cleaned.done.extend(_kill(entries))
        undone, kept = _undo(entries)
        cleaned.done.extend(undone)
        cleaned.done.extend(_remove_folders(entries))
        if kept:
            cleaned.kept.extend(f"{reason} (ledger {path})" for reason in kept)
            continue
        path.unlink(missing_ok=True)
        cleaned.done.append(f"removed ledger {path}")
    return cleaned


def new_run_folder(name: str) -> Path:
    """Make a folder for run directories where the user named none, marked as ours. Raises OSError."""
    folder = state_folder() / "runs" / name
    folder.mkdir(parents=True)
    mark = os.open(folder / RUN_MARK, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    with suppress(OSError):
        fcntl.flock(mark, fcntl.LOCK_EX)  # it stays open until this process ends
    os.write(mark, f"{os.getpid()} {boot_id()}\n".encode())
    return folder


def clean_runs() -> list[str]:
    """Remove the folders that `new_run_folder` made, but none of a harness that still runs; a line for each."""
    removed = []
    for folder in _run_folders():
        if not _in_use(folder):
            shutil.rmtree(folder)
            removed.append(f"removed run directory {folder}")
    return removed


def trim_runs(keep: int) -> None:
    """Remove the oldest folders that `new_run_folder` made until `keep` are left, none of a harness that still runs.

    What cannot be removed stays: another harness may be removing it, or it is another user's.
    """
    ages: list[tuple[int, Path]] = []
    for folder in _run_folders():
        with suppress(OSError):
            ages.append(((folder / RUN_MARK).stat().st_mtime_ns, folder))
    excess = len(ages) - keep
    for _, folder in sorted(ages):
        with suppress(OSError):
            if excess > 0 and not _in_use(folder):
                shutil.rmtree(folder)
                excess -= 1


def _run_folders() -> list[Path]:
    return sorted(mark.parent for mark in (state_folder() / "runs").glob(f"*/{RUN_MARK}"))


def _in_use(folder: Path) -> bool:
    """Whether the harness that made it still runs, also in a container, where its process ID is another one.

    A process ID of another boot, as of a guest, says nothing here: that harness counts as gone.
    """
    with (folder / RUN_MARK).open("rb") as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            pass
        pid, _, boot = mark.read().decode(errors="replace").strip().partition(" ")
    return boot == boot_id() and Path("/proc", pid).is_dir()


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


def _undo(entries: Iterable[Entry]) -> tuple[list[str], list[str]]:
    """Undo what is neither a process nor a folder, the latest first: a line for each thing, and why others are left."""
    undone: list[str] = []
    kept: list[str] = []
    for entry in reversed(list(entries)):
        if entry.kind in _UNDOERS:
            try:
                undone += importlib.import_module(_UNDOERS[entry.kind]).undo(entry)
            except HarnessError as error:
                kept.append(f"{entry.what}: {error}")
    return undone, kept


def _kill(entries: Iterable[Entry]) -> list[str]:
    """End every process of the programs among the entries; a line for each, now gone. Raises LabError."""
    return processes.end([owned_by(entry) for entry in entries if entry.kind == "program"])


def owned_by(entry: Entry) -> Owned:
    """What tells the processes of a program."""
    return Owned(entry.what, entry.token, entry.session, entry.born, entry.network)


def _remove_folders(entries: Iterable[Entry]) -> list[str]:
    """Remove the folders that were made for programs; returns a line for each that was there. Raises LabError."""
    removed = []
    for entry in entries:
        folder = Path(entry.folder)
        if not folder.is_absolute() or not folder.is_dir():
            continue
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            pass  # who made it is removing it too
        except OSError as error:
            raise LabError(f"expected to remove folder {folder}, found {error.strerror}; run as its owner") from error
        removed.append(f"removed folder {folder} ({entry.what})")
    return removed
