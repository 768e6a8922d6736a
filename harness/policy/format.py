"""What a format of settings is. Each has a file in `harness/policy/formats`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from harness.policy.other_files import NamedFile
from harness.policy.settings import Connection, Terms


def by_name_alone(_path: Path, _text: str) -> bool:
    """The `fits` of a format that is never told by content."""
    return False


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """A format.

    `fits(path, text)`: whether a file whose name tells nothing (see file_names.py) has it; it
    should be sure, and cheap. `read(text, source)`: its connections, or PolicyError.
    `write(terms)`: the lines that set these terms in the software's configuration, which `read`
    reads back; it raises UsageError where the software has no directive for one of them. None: the
    format is only read. `others(text, source)`: files of other software that the file names.
    """

    name: str
    title: str
    fits: Callable[[Path, str], bool] = by_name_alone
    read: Callable[[str, str], tuple[Connection, ...]]
    write: Callable[[Terms], str] | None = None
    others: Callable[[str, str], tuple[NamedFile, ...]] | None = None
