"""Errors of the operating system in words: what was wanted of which path, what was found, and what
to name instead.
"""

from __future__ import annotations

import errno
import os
import resource
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import CapabilityError, HarnessError, UsageError
from harness.system.user_dirs import cache_folder, state_folder

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_LIMITS = {
    errno.EMFILE: "room for open files ({limit} at most here)|raise it with `ulimit -n 4096`",
    errno.ENFILE: "room for open files|raise the sysctl fs.file-max",
    errno.EAGAIN: "another process or thread|raise the limit with `ulimit -u`",
    errno.ENOMEM: "memory|raise the limit with `ulimit -v`",
}
"""What was wanted, and how to get it; what the kernel says of a limit has no path."""
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
LITTLE_BYTES = 1 << 20
"""A file system with less room than that is taken to be the full one."""


def _temporary() -> Path:
    return Path(tempfile.gettempdir())


_FOLDERS: dict[Callable[[], Path], str] = {
    state_folder: "--out DIR or the variable XDG_STATE_HOME",
    cache_folder: "the variable XDG_CACHE_HOME",
    _temporary: "the variable TMPDIR",
}
"""The folders that the harness writes to without being told, each with what names another one."""


def in_words(error: OSError, out: Path | None = None) -> str:
    """One sentence for people; `out`: the folder that --out names, where it does."""
    reason = error.strerror or str(error)
    path = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None
    if error.errno in _LIMITS:
        wanted, fix = _LIMITS[error.errno].split("|")
        wanted = wanted.format(limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        return f"expected {wanted}, found {reason}; {fix}, or do less at once with --jobs N"
    if error.errno in _FULL:
        return _without_room(reason, path, out)
    if error.errno in _REFUSED and path is not None:
        return (
            f"expected a place that can be written, found {reason} at {path}; {_instead(path, out)}"
        )
    return f"{reason} at {path}" if path is not None else reason


def exit_status(error: OSError) -> int:
    """2 for a place that the user named, 3 where this machine has no room for what was asked."""
    return HarnessError.exit_status if error.errno in _LIMITS else UsageError.exit_status


@contextmanager
def written(reports: Mapping[str | None, bytes]) -> Iterator[None]:
    """Write files that the user named, do the block, which shows what is in them, and only then
    raise what is wrong.

    Names None and "-" are for none. Raises UsageError.
    """
    errors = []
    for name, data in reports.items():
        if name not in (None, "-"):
            try:
                write(Path(str(name)), data)
            except UsageError as error:
                errors.append(error)
    yield
    if errors:
        raise errors[0]


def write(path: Path, data: bytes) -> None:
    """Write a file that the user named.

    Raises UsageError with its path, which the kernel's error does not have.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        found = f"{error.strerror or error} at {path}"
        raise UsageError(
            f"expected room for a report, found {found}; free some, or name another file"
        ) from error


def _without_room(reason: str, path: Path | None, out: Path | None) -> str:
    """The error of a write has no path: the full one is found among the folders that are written
    to.
    """
    if path is not None:
        return (
            f"expected room to write, found {reason} at {path}; free some, or {_instead(path, out)}"
        )
    full = next((folder for folder in _written(out) if _free_bytes(folder) < LITTLE_BYTES), None)
    if full is None:
        return (
            f"expected room to write, found {reason}; free some, or name another folder: "
            f"{_variables()}"
        )
    return f"expected room to write, found {reason} in {full}; free some, or {_instead(full, out)}"


def _written(out: Path | None) -> Iterator[Path]:
    """The folders that the harness writes to."""
    if out is not None:
        yield out
    for name in _FOLDERS:
        with suppress(CapabilityError, OSError):
            yield name()


def _free_bytes(folder: Path) -> int:
    """Of the file system that a folder is, or would be, on.

    For who may not use what is kept for root.
    """
    there = next((each for each in (folder, *folder.parents) if each.exists()), Path("/"))
    found = os.statvfs(there)
    return found.f_bavail * found.f_frsize


def _instead(path: Path, out: Path | None) -> str:
    """The option or variable that names another folder than the one that a path is in."""
    path = path.absolute()
    if out is not None and path.is_relative_to(out.absolute()):
        return "name another folder with --out DIR"
    for name, instead in _FOLDERS.items():
        with suppress(CapabilityError, OSError):
            if path.is_relative_to(name()):
                return f"name another folder with {instead}"
    return "name another place"


def _variables() -> str:
    return "--out DIR or XDG_STATE_HOME for runs, XDG_CACHE_HOME for kernels, TMPDIR for guests"
