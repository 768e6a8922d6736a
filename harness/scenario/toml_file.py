"""A TOML file that a user named, to plain tables. Its errors say the line."""

from __future__ import annotations

import errno
import tomllib
from pathlib import Path

from harness.errors import ScenarioError
from harness.system import plain_files
from harness.system.passwords import without_password

MOST_BYTES = 1 << 17
"""Of a file; reading TOML takes time that grows with the square of its longest key."""
_READING = {errno.EISDIR: "a directory", errno.ENOENT: "no such file"}
_NAMES_NOTHING = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


def read_tables(path: Path, source: str) -> dict[str, object]:
    """The file's tables. Raises ScenarioError, with the line where there is one."""
    return tables(read_text(path, source), source)


def read_text(path: Path, source: str) -> str:
    """The file's text, without a byte order mark. Raises ScenarioError."""
    data = b""
    try:
        data = plain_files.read_named(path, MOST_BYTES)
        return data.decode("utf-8-sig")
    except OSError as error:
        found, expected = (
            _READING.get(error.errno or 0) or str(error.strerror).lower(),
            "a readable file",
        )
        if error.errno in _NAMES_NOTHING:
            source = without_password(source)
        if error.errno == errno.EFBIG:
            expected = f"at most {MOST_BYTES} bytes"
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        found, expected = f"byte {data[error.start]:#04x} in line {line}", "UTF-8 text"
    raise _refusal(source, found, expected)


def tables(text: str, source: str) -> dict[str, object]:
    """The tables in a text. Raises ScenarioError, with the line where there is one."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        found = "tables or arrays within each other without end"
    except ValueError as error:  # TOMLDecodeError, and integers with thousands of digits
        what, at, where = str(error).rpartition(" (at ")
        where = where.removesuffix(")").replace(
            "end of document", f"the end, line {len(text.encode().splitlines())}"
        )
        found = f"{where}: {what}" if at else str(error)
    raise _refusal(source, found, "valid TOML")


def _refusal(source: str, found: str, expected: str) -> ScenarioError:
    from harness.scenario.decode_errors import Plainly

    return ScenarioError(source, "", Plainly(found), expected)
