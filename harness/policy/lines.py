"""Text in lines, cut into words that know where they stand. Columns count from 1."""

from __future__ import annotations

import re

import msgspec

from harness.errors import PolicyError
from harness.policy.settings import Notice, Place


class Word(msgspec.Struct, frozen=True):
    """A piece of a file, without quotes around it."""

    text: str
    place: Place

    def after(self, characters: int) -> Word:
        """The rest of it."""
        place = msgspec.structs.replace(self.place, column=self.place.column + characters)
        return Word(self.text[characters:], place)

    def part(self, separator: str) -> tuple[Word, Word | None]:
        """What is before the first separator and what is after it; None: there is none."""
        head, found, _ = self.text.partition(separator)
        rest = self.after(len(head) + len(separator)) if found else None
        return Word(head, self.place), rest


def lines(text: str, source: str) -> list[Word]:
    """Each line as it stands."""
    return [
        Word(line.rstrip("\r"), Place(source, number, 1))
        for number, line in enumerate(text.split("\n"), 1)
    ]


def words(line: Word, comment: str = "#") -> list[Word]:
    """What spaces separate, up to a word that begins with one of the characters of `comment`."""
    found = []
    for match in re.finditer(r"\S+", line.text):
        if match[0][0] in comment:
            break
        found.append(Word(match[0], line.after(match.start()).place))
    return found


def stripped(word: Word) -> Word:
    """Without spaces around it."""
    text = word.text.lstrip()
    return Word(text.rstrip(), word.after(len(word.text) - len(text)).place)


def pair(line: Word, separator: str = "=", comment: str = "#;") -> tuple[Word, Word] | None:
    """Key and value of `key = value`; None for a comment, an empty line and any other."""
    key, value = stripped(line).part(separator)
    if value is None or key.text[:1] in comment or not key.text.strip():
        return None
    return stripped(key), stripped(value)


def error(word: Word, directive: str, expected: str) -> PolicyError:
    """At the word, which is not what it should be."""
    from harness.scenario.decode_errors import Plainly  # slow to load

    return PolicyError(str(word.place), directive, Plainly(word.text or "nothing"), expected)


def not_followed(directive: Word) -> Notice:
    """That names other files."""
    return Notice(
        directive.place, directive.text, "is not followed: what the other file sets is not counted"
    )


def integer(
    word: Word, directive: str, expected: str, *, least: int = 0, most: int = 2**31 - 1
) -> int:
    """The whole number that a word is. Raises PolicyError."""
    if re.fullmatch(r"[+-]?[0-9]{1,19}", word.text) and least <= int(word.text) <= most:
        return int(word.text)
    raise error(word, directive, expected)
