"""What runs that were killed left behind: read from their ledgers, and undone."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from harness.lab import entries
from harness.lab.entries import Cleaned, Read
from harness.system.user_dirs import LEDGERS, found_state_folder


class Leftover(NamedTuple):
    """A ledger whose run is over, and what it says."""

    path: Path
    read: Read


def leftovers() -> Iterator[Leftover]:
    """Ledgers whose run is over.

    Raises LabError where the state folder is not this user's alone.
    """
    state = found_state_folder()
    for path in sorted((state / LEDGERS).glob("*.jsonl")) if state is not None else ():
        try:
            file = path.open("rb")
        except FileNotFoundError:
            continue  # its run has just ended well
        except OSError as error:
            yield Leftover(
                path, Read([], [f"expected to read it, found {error.strerror}; run as its owner"])
            )
            continue
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield Leftover(path, entries.read(file.read()))


def clean() -> Cleaned:
    """Undo what earlier runs left, as far as it goes. Raises LabError as `leftovers` does."""
    cleaned = Cleaned([], [])
    for path, read in leftovers():
        undone = entries.undo(read.open)
        kept = [*read.wrong, *(reason for _, reason in undone.kept)]
        cleaned.done.extend(undone.done)
        cleaned.kept.extend(f"{reason} (ledger {path})" for reason in kept)
        if not kept:
            path.unlink(missing_ok=True)
            cleaned.done.append(f"removed ledger {path}")
    return cleaned
