"""Where the harness keeps things of its own on a user's machine (XDG base directories).

What is in the state folder decides which processes end and which folders are removed. So it must be
the user's alone: nobody else may have written into it.
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from harness.errors import CapabilityError, LabError
from harness.system import streams
from harness.system.kernel_clock import clock

LEDGERS, RUNS = "ledger", "runs"
"""The folders in the state folder: of ledgers, and of run directories for which the user named no
folder.
"""
_ANOTHER = "set XDG_STATE_HOME to a folder that only you can write"


def cache_folder() -> Path:
    """What is slow to make and can be made again: $XDG_CACHE_HOME/keepalive-harness, or below
    ~/.cache.

    Raises CapabilityError for a user without a home.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "keepalive-harness"
    except RuntimeError:
        found = f"neither HOME nor a home of user {os.getuid()}"
        raise CapabilityError(
            "a folder for kernels and libraries", found, "set XDG_CACHE_HOME to a folder"
        ) from None


def state_folder() -> Path:
    """Where ledgers and unnamed run directories are kept: $XDG_STATE_HOME/keepalive-harness.

    Without that variable ~/.local/state is used, and for a user without a home a folder of the
    user's own in /tmp.
    """
    base = Path(os.environ.get("XDG_STATE_HOME") or "")
    if base.is_absolute():
        return base / "keepalive-harness"
    try:
        return Path.home() / ".local" / "state" / "keepalive-harness"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"keepalive-harness-{os.getuid()}"


def libraries_folder() -> Path:
    """Where `ci/libraries` puts what it installs: $XDG_CACHE_HOME/keepalive-harness/libraries."""
    return cache_folder() / "libraries"


def make_state_folder() -> Path:
    """The state folder, made with mode 0700 where there is none.

    Raises OSError, and LabError as `check` does.
    """
    folder = state_folder()
    if not check(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # another harness was faster
            folder.mkdir(mode=0o700)
        check(folder)
    return folder


def found_state_folder() -> Path | None:
    """The state folder, None where there is none. Raises LabError as `check` does."""
    folder = state_folder()
    return folder if check(folder) else None


def check(folder: Path) -> bool:
    """Whether a state folder is there.

    Raises LabError unless it is a folder of this user with mode 0700, and no link.

    An earlier version made its folder with the mode that the umask gave: where others could not
    write into that, it gets mode 0700, and a line on standard error tells of it. In a guest the
    host's owners show, and there are no other users.
    """
    try:
        door = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        found = "a symbolic link" if folder.is_symlink() else error.strerror
        raise _refused(f"{found} at {folder}", _ANOTHER) from error
    try:
        facts = os.fstat(door)
        mode = stat.S_IMODE(facts.st_mode)
        if facts.st_uid != os.geteuid() and clock() != "virtual":
            raise _refused(f"{folder} of user {facts.st_uid}", f"run as that user, or {_ANOTHER}")
        if mode & 0o077 and not mode & 0o022 and _is_of_earlier_version(folder):
            os.fchmod(door, 0o700)
            streams.complain(
                f"{folder}, made by an earlier version, had mode {mode:04o} and has 0700 now"
            )
        elif mode & 0o077:
            fix = f"look at what is in it, then: chmod 700 {folder}; or {_ANOTHER}"
            raise _refused(f"mode {mode:04o} at {folder}", fix)
    finally:
        os.close(door)
    return True


def _refused(found: str, fix: str) -> LabError:
    wanted = f"a state folder of user {os.geteuid()} with mode 0700, and no symbolic link"
    return LabError(f"expected {wanted}, found {found}; {fix}")


def _is_of_earlier_version(folder: Path) -> bool:
    return any((folder / name).is_dir() for name in (LEDGERS, RUNS))
