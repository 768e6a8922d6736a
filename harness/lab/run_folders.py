"""Folders for run directories where the user named none, below the state folder: made, kept for a
while, and removed.

Each has a mark in it, which is locked (flock) while the harness that made it runs.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path

from harness.lab.entries import Cleaned
from harness.lab.namespace import boot_id
from harness.system.user_dirs import RUNS, found_state_folder, make_state_folder

RUN_MARK = ".keepalive-harness-run"
"""In a folder of run directories that is ours to remove.

It holds the harness's process ID and boot, for file systems without locks.
"""


def new(name: str) -> Path:
    """Make a folder for run directories, marked as ours. Raises OSError, LabError."""
    folder = make_state_folder() / RUNS / name
    folder.mkdir(parents=True)
    mark = os.open(folder / RUN_MARK, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    with suppress(OSError):
        fcntl.flock(mark, fcntl.LOCK_EX)  # it stays open until this process ends
    os.write(mark, f"{os.getpid()} {boot_id()}\n".encode())
    return folder


def clean() -> Cleaned:
    """Remove the folders that `new` made, but none of a harness that still runs.

    Raises LabError.
    """
    cleaned = Cleaned([], [])
    for folder in _found():
        try:
            if not _in_use(folder):
                shutil.rmtree(folder)
                cleaned.done.append(f"removed run directory {folder}")
        except OSError as error:
            cleaned.kept.append(f"run directory {folder}: expected to remove it, found {error}")
    return cleaned


def trim(keep: int) -> None:
    """Remove the oldest folders that `new` made until `keep` are left, none of a harness that still
    runs.

    What cannot be removed stays, for `clean` to tell of: another harness may be removing it. Raises
    LabError.
    """
    ages: list[tuple[int, Path]] = []
    for folder in _found():
        with suppress(OSError):
            ages.append(((folder / RUN_MARK).stat().st_mtime_ns, folder))
    excess = len(ages) - keep
    for _, folder in sorted(ages):
        with suppress(OSError):
            if excess > 0 and not _in_use(folder):
                shutil.rmtree(folder)
                excess -= 1


def _found() -> list[Path]:
    state = found_state_folder()
    marks = (state / RUNS).glob(f"*/{RUN_MARK}") if state is not None else ()
    return sorted(
        mark.parent for mark in marks if not mark.is_symlink() and not mark.parent.is_symlink()
    )


def _in_use(folder: Path) -> bool:
    """Whether the harness that made it still runs, also in a container, where its process ID is
    another one.

    A process ID of another boot, as of a guest, says nothing here: that harness counts as gone.
    Raises OSError.
    """
    with (folder / RUN_MARK).open("rb") as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            pass
        pid, _, boot = mark.read().decode(errors="replace").strip().partition(" ")
    return boot == boot_id() and pid.isdecimal() and Path("/proc", pid).is_dir()
