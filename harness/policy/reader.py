"""Files with settings, each read by the format that it has.

A file in `harness/policy/formats` with a value named FORMAT is a format. Which one a file has is
told by its name, or by its content where names tell nothing.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

import msgspec

from harness.errors import UsageError
from harness.policy import formats, other_files
from harness.policy.file_names import FILE_NAMES
from harness.policy.format import Format
from harness.policy.other_files import NamedFile
from harness.policy.settings import Connection
from harness.scenario import toml_file
from harness.system import submodules
from harness.system.passwords import without_password
from harness.system.spelling import did_you_mean

_TEXT = re.compile(r"(?:jdbc:|\w[\w+.-]*://|\w+\s*=)")
"""The beginning of a URL or of `key=value`."""


@cache
def every_format() -> Mapping[str, Format]:
    """By name."""
    found = {made.name: made for made in map(_of_module, submodules.names(formats))}
    return MappingProxyType(found)


def named(name: str) -> Format:
    """The format with a name. Raises UsageError."""
    known = every_format()
    if name not in known:
        hint = did_you_mean(name, known)
        found = without_password(name)
        raise UsageError(f"expected a format ({', '.join(known)}), found {found}{hint}")
    return known[name]


def read(
    path: Path, source: str, name: str | None = None, unread: list[UsageError] | None = None
) -> tuple[Connection, ...]:
    """The connections in a file.

    `source`: what messages call it; `name`: of its format, None to tell it by the file; `unread`:
    takes the errors of files that a policy names, so that one does not hide the connections of the
    others. Raises UsageError.
    """
    chosen = named(name) if name else None
    text = toml_file.read_text(path, source)
    made = chosen or of_file(path, text, source)
    found = _of_format(made, text, source)
    for each in made.others(text, source) if made.others else ():
        try:
            found += _of_named(each, path, source)
        except UsageError as error:
            if unread is None:
                raise
            unread.append(error)
    return found


def _of_format(made: Format, text: str, source: str) -> tuple[Connection, ...]:
    """What a format reads, with its name where it is of other software. Raises PolicyError."""
    found = made.read(text, source)
    if made.others is not None:
        return found
    return tuple(msgspec.structs.replace(each, format=made.name) for each in found)


def _of_named(named: NamedFile, policy: Path, source: str) -> tuple[Connection, ...]:
    """The connections of a file that a policy names. Raises UsageError."""
    path, title = policy.parent / named.path, other_files.beside(source, named.path)
    if not path.is_file():
        raise named.error("", named.path, "the path of a file, from the folder of the policy")
    text = toml_file.read_text(path, title)
    made = _stated_format(named) or of_file(path, text, title)
    if made.others is not None:
        raise named.error("", named.path, "a file of other software, and no policy")
    found = _of_format(made, text, title)
    if not found:
        raise named.error("", named.path, "a file with settings of TCP connections")
    return other_files.applied(named, found)


def _stated_format(file: NamedFile) -> Format | None:
    """The one that a policy states for a file. Raises PolicyError."""
    if file.format is None:
        return None
    known = every_format()
    if file.format in known:
        return known[file.format]
    expected = f"a format ({', '.join(known)}){did_you_mean(file.format, known)}"
    raise file.error("format", file.format, expected)


def is_text(argument: str) -> bool:
    """Whether an argument is a URL or a connection string, and no file."""
    if _TEXT.match(argument) is None:
        return False
    return not os.path.exists(argument)  # noqa: PTH110 - Path.exists raises for a long URL


def read_text(text: str, source: str, name: str | None = None) -> tuple[Connection, ...]:
    """The connections of a URL or connection string, which have no place.

    Raises UsageError, which shows no password: nothing of a text that has no format.
    """
    known = every_format().values()
    fitting = [named(name)] if name else [each for each in known if each.fits(Path(), text)]
    if len(fitting) != 1:
        raise UsageError(
            f"{source}: expected a file, or a URL or connection string of a known format, found "
            f"another text (not shown). The formats are:{_listed(known)}"
        )
    found = _of_format(fitting[0], text, source)
    return tuple(msgspec.structs.replace(each, place=None, places={}) for each in found)


def of_file(path: Path, text: str, source: str) -> Format:
    """The format that a file has. Raises UsageError where that is none, or more than one."""
    found = [_of_module(module) for module in FILE_NAMES if _is_called(path, module)]
    if len(found) == 1:
        return found[0]
    known = every_format().values()
    found = found or [each for each in known if each.fits(path, text)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"{source}: expected a file of one format, found one that fits several. "
            f"Fix: --format {' or --format '.join(each.name for each in found)}"
        )
    raise UsageError(
        f"{source}: expected a file with settings, found a name and content that fit no format. "
        f"Fix: --format NAME with one of:{_listed(known)}"
    )


def _of_module(name: str) -> Format:
    made: Format = importlib.import_module(f"{formats.__name__}.{name}").FORMAT
    return made


def _is_called(path: Path, module: str) -> bool:
    return any(path.absolute().match(pattern) for pattern in FILE_NAMES[module])


def _listed(known: Iterable[Format]) -> str:
    return "".join(f"\n  {each.name:<11} {each.title}" for each in known)
