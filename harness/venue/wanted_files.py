"""Files that are copied out of a guest at its end: by the names that were asked for, whatever the
guest offers.

The guest copies each file into its folder under a number and lists the names. Here a name that
nobody asked for is refused, and the places of the files are looked up before the guest starts:
links that are put there meanwhile, by a guest that may write in a folder on the way, are not
followed.
"""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness.errors import GuestError, UsageError
from harness.system import plain_files
from harness.venue import guest_command


class WantedFile(NamedTuple):
    """A file that is wanted, by its absolute path.

    `with_siblings`: also files beside it whose names begin with its name, such as parallel
    processes write for coverage.py.
    """

    path: Path
    with_siblings: bool = False

    @property
    def pattern(self) -> str:
        """The same, for the guest to look for with glob."""
        return glob.escape(str(self.path)) + ("*" if self.with_siblings else "")


class WantedFiles:
    """What is wanted of one guest, with the places of the files as they are now, before it
    starts.
    """

    def __init__(self, wanted: Sequence[WantedFile]) -> None:
        self._folders: Mapping[WantedFile, Path] = {
            file: file.path.parent.resolve() for file in wanted
        }
        self._files: Mapping[Path, Path] = {file.path: file.path.resolve() for file in wanted}

    def take(self, folder: Path) -> None:
        """Copy what a guest has left in its folder to where it belongs.

        Raises GuestError, UsageError.
        """
        listing = folder / guest_command.COPIED_LIST
        if not os.path.lexists(listing):
            return
        try:
            names = msgspec.json.decode(plain_files.read(listing), type=list[str])
        except (OSError, msgspec.DecodeError) as error:
            raise GuestError(
                f"expected a list of the files that the guest copied out, found {error}"
            ) from error
        for number, name in enumerate(names):
            target = self._place(name)
            try:
                with open(
                    folder / guest_command.COPIED_FILES.format(number),
                    "rb",
                    opener=plain_files.plain,
                ) as source:
                    _write(target, source.fileno())
            except OSError as error:
                raise UsageError(
                    f"expected a file that can be written, found {error.strerror} at {target}"
                ) from error

    def _place(self, name: str) -> Path:
        """Where a file of this name belongs. Raises GuestError for one that was not asked for."""
        folder, _, last = name.rpartition("/")
        if name == os.path.normpath(name):
            for wanted, place in self._folders.items():
                if name == str(wanted.path):
                    return self._files[wanted.path]
                if (
                    wanted.with_siblings
                    and folder == str(wanted.path.parent)
                    and last.startswith(wanted.path.name)
                ):
                    return place / last
        raise GuestError(f"expected from the guest only files that were asked for, found {name!r}")


def _write(target: Path, source: int) -> None:
    """Copy an open file to a path, following no link on the way.

    Folders that are missing are made.
    """
    folder = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in target.parent.parts[1:]:
            inner = _enter(folder, part)
            os.close(folder)
            folder = inner
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with (
            os.fdopen(plain_files.plain(target.name, flags, folder=folder), "wb") as file,
            os.fdopen(os.dup(source), "rb") as copied,
        ):
            shutil.copyfileobj(copied, file)
    finally:
        os.close(folder)


def _enter(folder: int, part: str) -> int:
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(part, flags, dir_fd=folder)
    except FileNotFoundError:
        os.mkdir(part, dir_fd=folder)
        return os.open(part, flags, dir_fd=folder)
