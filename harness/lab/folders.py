"""Folders that are made for one program or lab alone, and that are removed with all that is in
them.

Their names have a pattern. Nothing else is ever removed as a whole: a ledger that names another
folder is wrong.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from harness.errors import LabError

_NAME = re.compile(r"keepalive-(guest|lab|scratch)-[0-9a-f]{12,32}")
MOST_TRIES = 3
"""How often a removal begins anew, where another process removes the same folder or what was in the
way is gone.
"""


def trouble(folder: Path) -> str:
    """Why a folder is none that the harness made, "" where it may be one; it need not exist."""
    if (
        "\0" in str(folder)
        or not folder.is_absolute()
        or ".." in folder.parts
        or not _NAME.fullmatch(folder.name)
    ):
        return "another name than the harness gives"
    try:
        facts = folder.lstat()
    except FileNotFoundError:
        return ""
    except OSError as error:
        return error.strerror or str(error)
    if not stat.S_ISDIR(facts.st_mode):
        return "a symbolic link" if stat.S_ISLNK(facts.st_mode) else "no folder"
    return "" if facts.st_uid == os.geteuid() else f"a folder of user {facts.st_uid}"


def remove(folder: Path) -> bool:
    """Remove a folder with all that is in it; False where there is none. Raises LabError."""
    found = trouble(folder)
    if found:
        raise LabError(f"expected a folder that the harness made, found {found}: {str(folder)!r}")
    was_there = folder.exists()
    error: OSError | None = None
    for _ in range(MOST_TRIES):
        if not folder.exists():
            return was_there
        try:
            shutil.rmtree(folder)
        except FileNotFoundError as gone:
            error = gone
        except OSError as refused:
            error = refused
            _open_up(folder)
    if error is None or not folder.exists():
        return was_there
    where = f" at {error.filename}" if error.filename else ""
    raise LabError(
        f"expected to remove folder {folder}, found {error.strerror}{where}; clear that up, "
        "then run `harness clean`"
    )


def _open_up(folder: Path) -> None:
    """Let the owner change what a program has made unchangeable by a folder's mode."""
    with suppress(OSError):  # the removal says what is in the way
        folder.chmod(0o700)
        for place, names, _ in os.walk(
            folder
        ):  # a folder's own names are read after its mode was changed
            for path in (Path(place, name) for name in names):
                if not path.is_symlink():
                    path.chmod(0o700)
