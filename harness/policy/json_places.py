"""JSON with the line and column of every value, which the json module does not tell."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from typing import Any

from harness.errors import PolicyError
from harness.policy.lines import Word, error
from harness.policy.settings import Place

Path = tuple[str | int, ...]
"""The keys, and in arrays the indexes, that lead to a value."""
_BLANK = re.compile(r"[ \t\r\n]*")
_SCALAR = re.compile(r'"(?:\\.|[^"\\])*"|[^\s,\]}]+')


def loaded(text: str, source: str) -> tuple[Any, dict[Path, Place]]:
    """The value of a document, and where each value in it begins.

    Raises PolicyError, also for a key that an object has twice.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as problem:
        place = Place(source, problem.lineno, problem.colno)
        raise error(Word(problem.msg, place), "", "valid JSON") from None
    except RecursionError:
        found = "arrays or objects within each other without end"
        raise error(Word(found, Place(source, 1, 1)), "", "valid JSON") from None
    except ValueError as problem:  # an integer with thousands of digits
        raise error(Word(str(problem), Place(source, 1, 1)), "", "valid JSON") from None
    return value, _Walk(text, source).places()


class _Walk:
    """From one token to the next of a text that is known to be valid."""

    def __init__(self, text: str, source: str) -> None:
        self.text, self.source, self.at = text, source, 0
        self.found: dict[Path, Place] = {}
        self._lines = [0, *(each.end() for each in re.finditer("\n", text))]

    def places(self) -> dict[Path, Place]:
        self._value(())
        return self.found

    def _skip(self) -> None:
        blank = _BLANK.match(self.text, self.at)
        assert blank is not None
        self.at = blank.end()

    def _here(self) -> Place:
        line = bisect_right(self._lines, self.at)
        return Place(self.source, line, self.at - self._lines[line - 1] + 1)

    def _scalar(self) -> str:
        token = _SCALAR.match(self.text, self.at)
        assert token is not None
        self.at = token.end()
        return token[0]

    def _value(self, path: Path) -> None:
        self._skip()
        if path in self.found:
            raise self._second(path)
        self.found[path] = self._here()
        opening = self.text[self.at]
        if opening not in "[{":
            self._scalar()
            return
        self.at += 1
        self._skip()
        index = 0
        while self.text[self.at] not in "]}":
            key: str | int = index
            if opening == "{":
                key = json.loads(self._scalar())
                self._skip()
                self.at += 1  # the colon
            self._value((*path, key))
            index += 1
            self._skip()
            if self.text[self.at] == ",":
                self.at += 1
                self._skip()
        self.at += 1

    def _second(self, path: Path) -> PolicyError:
        return error(Word("a second one", self._here()), str(path[-1]), "one value for this key")
