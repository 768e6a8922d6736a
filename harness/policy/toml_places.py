"""The line and column of every key and value of a TOML document that tomllib has accepted.

tomllib tells no positions, and neither does tomlkit, whose items know their blanks and comments but
not where they stand. As the document is known to be valid, it is enough to step from one token to
the next.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right

import msgspec

Path = tuple[str | int, ...]
"""The keys, and in arrays the indexes, that lead to a value."""
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"""[ \t]*("(?:\\.|[^"\\])*"|'[^']*'|[A-Za-z0-9_-]+)[ \t]*""")
_KINDS = (
    r'"""(?:\\.|[^\\])*?"{3,5}(?!")',
    r"'''.*?'{3,5}(?!')",
    r'"(?:\\.|[^"\\])*"',
    r"'[^']*'",
)
_STRING = re.compile("|".join(_KINDS), re.DOTALL)
_BARE = re.compile(r"[^,\]}\s#]+(?: \d\d:[^,\]}\s#]+)?")
"""A number, a boolean, or a date, whose time may come after a blank."""


class Position(msgspec.Struct, frozen=True):
    """Counted from 1, in characters."""

    line: int
    column: int


def places(text: str) -> dict[Path, Position]:
    """Where each value of a valid document begins, and each table's name."""
    return _Walk(text).document()


def dotted(path: Path) -> str:
    """A path as messages write it: `connections.db.path[0].then`."""
    parts = (f"[{each}]" if isinstance(each, int) else f".{each}" for each in path)
    return "".join(parts).removeprefix(".")


class _Walk:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.found: dict[Path, Position] = {}
        self._implied: dict[Path, Position] = {}
        self._arrays: dict[Path, int] = {}
        self._lines = [0, *(each.end() for each in re.finditer("\n", text))]

    def document(self) -> dict[Path, Position]:
        table: Path = ()
        self._skip()
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip()
        return self._implied | self.found

    def _skip(self) -> None:
        """Go on to the next token."""
        blank = _BLANK.match(self.text, self.at)
        assert blank is not None
        self.at = blank.end()

    def _position(self) -> Position:
        line = bisect_right(self._lines, self.at)
        return Position(line, self.at - self._lines[line - 1] + 1)

    def _note(self, path: Path) -> None:
        self.found.setdefault(path, self._position())

    def _header(self) -> Path:
        """[table] or [[array of tables]], of which the current one is meant wherever it is
        named.
        """
        brackets = 2 if self.text.startswith("[[", self.at) else 1
        self.at += brackets
        begin = self.at
        *outer, last = self._keys()
        end, self.at = self.at + brackets, begin
        path = self._inside((), outer)
        for depth in range(1, len(path) + 1):
            self._implied.setdefault(path[:depth], self._position())
        if brackets == 2:
            self._arrays[(*path, last)] = self._arrays.get((*path, last), -1) + 1
        path = self._inside(path, [last])
        self._note(path)
        self.at = end
        return path

    def _inside(self, table: Path, keys: list[str]) -> Path:
        for key in keys:
            table = (*table, key)
            if table in self._arrays:
                table = (*table, self._arrays[table])
        return table

    def _keys(self) -> list[str]:
        """A dotted key."""
        keys = []
        while key := _KEY.match(self.text, self.at):
            self.at = key.end()
            keys.append(_unquoted(key[1]))
            if self.text[self.at] != ".":
                break
            self.at += 1
        return keys

    def _pair(self, table: Path) -> None:
        begin, keys = self.at, self._keys()
        end, self.at = self.at, begin
        for depth in range(1, len(keys)):
            self._note((*table, *keys[:depth]))
        self.at = end + 1  # the equals sign
        self._skip()
        self._value((*table, *keys))

    def _value(self, path: Path) -> None:
        self._note(path)
        opening = self.text[self.at]
        if opening == "[":
            self._members(path, "]")
        elif opening == "{":
            self._members(path, "}")
        else:
            token = (_STRING if opening in "\"'" else _BARE).match(self.text, self.at)
            assert token is not None
            self.at = token.end()

    def _members(self, path: Path, closing: str) -> None:
        """What is in an array or an inline table."""
        self.at += 1
        self._skip()
        index = 0
        while self.text[self.at] != closing:
            if closing == "]":
                self._value((*path, index))
            else:
                self._pair(path)
            index += 1
            self._skip()
            if self.text[self.at] == ",":
                self.at += 1
                self._skip()
        self.at += 1


def _unquoted(key: str) -> str:
    if key[0] not in "\"'":
        return key
    value: str = tomllib.loads(f"key = {key}")["key"]
    return value
