"""The ledger: what a run made that could outlive it, written down before it exists, so that it can
be removed by name.

Namespaces, links and rules vanish with the harness's process by themselves (see
`harness.lab.namespace`). Processes do not: each program is announced here before it is started,
marked with a token of its own in its environment, and with the folder that is made for it alone,
where it has one. A run's ledger is locked (flock) while the run lives; whatever lies in an unlocked
one was left behind. What is still open when the interpreter exits, as after an interrupt, is
removed there and then.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import sys
import threading
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from harness import timeline
from harness.errors import LabError
from harness.lab import entries, folders, origin, processes
from harness.lab.entries import Entry
from harness.lab.namespace import Network
from harness.system import process_tree, signals
from harness.system.escapes import visible
from harness.system.user_dirs import LEDGERS, make_state_folder, state_folder

_LOOK_S = 0.01
_MAKING_S = 30.0
"""How long what is being made may take until it can be undone."""


class Ledger:
    """This process's ledger; the file appears with the first entry and goes with the last one that
    is settled.
    """

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
        """Around what makes something announced that others carry out: `finish` waits for it.

        Raises LabError.
        """
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

        `folder`: what is about to be made for it, and nothing that was there before. `data`: what
        undoing it takes. `network`: in which a program will run, and nothing that is not the run's.
        """
        if folder is not None and (found := folders.trouble(folder)):
            raise LabError(
                f"expected a folder with a name that the harness gives, found {found}: {folder}"
            )
        place = str(folder or "")
        entry = Entry(
            kind,
            uuid.uuid4().hex,
            what,
            place,
            network=network,
            origin=origin.here(),
            data=data or {},
        )
        with self._lock:
            if self._finished and self._owner == os.getpid():
                raise LabError(
                    f"expected to go on, found that this harness is ending: {what} is not started"
                )
            self._append(entry)
            self._open_entries[entry.token] = entry
        return entry.token

    def note(self, token: str, data: dict[str, Any]) -> None:
        """Write down what undoing it takes now.

        Raises LabError where it is over, or this harness is ending.
        """
        with self._lock:
            entry = self._open_entries.get(token)
            if entry is None or self._finished:
                raise LabError(
                    "expected to go on, found that this harness is ending, or has let go of it"
                )
            entry = msgspec.structs.replace(entry, data=data)
            self._append(entry)
            self._open_entries[token] = entry

    def started(self, token: str, pid: int) -> None:
        """Write down which process has become of it, the first of a session of its own."""
        with self._lock:
            entry = self._open_entries.get(token)
            if entry is not None:
                entry = msgspec.structs.replace(entry, session=pid, born=process_tree.born(pid))
                self._append(entry)
                self._open_entries[token] = entry

    def end_leftovers(self, tokens: Collection[str]) -> set[str]:
        """End what programs that are to be settled left behind, while their networks are held open.

        Returns the tokens of those of which something is still there.
        """
        with self._lock:
            owned = [
                entries.owned_by(self._open_entries[token])
                for token in tokens
                if token in self._open_entries
            ]
        return {each.token for each, _ in processes.end(owned, held=True).left}

    def abandon(self, token: str) -> None:
        """End what a program's start may have left, and settle it where nothing is left.

        For a start that was interrupted: before Popen has returned, nobody knows the process that
        it has made.
        """
        if not self.end_leftovers([token]):
            self.settle(token)

    def settle(self, token: str) -> None:
        """Remove its folder and write down that it is gone; the file goes when everything in it is.

        Where the folder cannot be removed the entry stays open, for `finish` to try again and to
        tell of it.
        """
        with self._lock:
            entry = self._open_entries.get(token)
        if entry is None:
            return
        if entry.folder:
            try:
                folders.remove(Path(entry.folder))
            except LabError:
                return
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
            if any(entry.is_slow for entry in self._open_entries.values()):
                _say("clearing up takes a few seconds")
            undone = entries.undo(self._open_entries.values())
            for _, reason in undone.kept:
                _say(f"left {reason}; `harness clean` tries again")
            left = {token for token, _ in undone.kept}
            for token in self._open_entries.keys() - left:
                del self._open_entries[token]
            if not left:
                self._remove()

    def _append(self, entry: Entry) -> None:
        if self._file is None:
            self._file, self._path = _new_file()
            self._owner = os.getpid()
        _write_line(self._file, msgspec.json.encode(entry) + b"\n")

    def _remove(self) -> None:
        if self._file is not None and self._path is not None:
            self._path.unlink(missing_ok=True)
            self._file.close()
            self._file = self._path = None


def _say(words: str) -> None:
    with suppress(OSError, ValueError):  # standard error may be closed
        sys.stderr.write(visible(f"harness: {words}\n"))


def _write_line(file: BinaryIO, line: bytes) -> None:
    """All of a line at the end of an unbuffered file, or nothing: the next line would go on where a
    torn one ended.

    The system may take a part of it, as on a disk that becomes full. Raises OSError.
    """
    end = file.tell()
    left = memoryview(line)
    try:
        while left:
            left = left[file.write(left) :]
    except BaseException:  # an interrupt, too
        with suppress(OSError):
            file.truncate(end)
            file.seek(end)
        raise


def _new_file() -> tuple[BinaryIO, Path]:
    """A ledger's file, locked before it has its name. Raises LabError."""
    folder = state_folder() / LEDGERS
    unlocked = folder / f"{uuid.uuid4().hex}.new"
    try:
        make_state_folder()
        folder.mkdir(exist_ok=True)
        file = unlocked.open("xb", buffering=0)
        fcntl.flock(file, fcntl.LOCK_EX)
        return file, unlocked.rename(unlocked.with_suffix(".jsonl"))
    except OSError as error:
        text = (
            f"expected a folder for the ledger of started programs, found {error.strerror} at "
            f"{folder}"
        )
        raise LabError(f"{text}; set XDG_STATE_HOME to a folder that can be written") from error


LEDGER = Ledger()
"""The one ledger of this process."""


def end() -> None:
    """Remove what this process has made and what is still open, at its end: runs that see it record
    nothing of that.

    Whatever would end it earlier is not heeded: it would leave what this is there to remove.
    """
    timeline.stop_recording()
    with signals.ignored():
        LEDGER.finish()


atexit.register(end)
