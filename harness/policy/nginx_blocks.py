"""nginx.conf as directives and blocks that know where they stand.

crossplane tells the line of a directive alone, and a finding needs the place of a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from harness.policy.lines import Word, error
from harness.policy.settings import Place

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)|(?P<mark>[{};])|"(?P<double>(?:\\.|[^"\\])*)"|'(?P<single>(?:\\.|[^'\\])*)'"""
    r"""|(?P<bare>(?:\\.|\$\{[^}\s]*\}|[^\s{};"'\\])(?:\\.|\$\{[^}\s]*\}|[^\s{};\\])*)""",
    re.DOTALL,
)
_PART = re.compile(r"\s*([0-9]{1,12})(ms|[smhdwMy]?)")
_UNITS_MS = {
    "": 1000,
    "ms": 1,
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
    "M": 2_592_000_000,
    "y": 31_536_000_000,
}


class Directive(msgspec.Struct):
    """Its words, and what is in its block; None: it has none."""

    words: list[Word]
    block: list[Directive] | None = None

    @property
    def name(self) -> str:
        """The first word."""
        return self.words[0].text

    @property
    def inner(self) -> list[Directive]:
        """What is in its block."""
        return [] if self.block is None else self.block

    def all(self, name: str) -> list[Directive]:
        """The directives of that name in its block."""
        return [each for each in self.inner if each.name == name]

    def argument(self, name: str) -> Word | None:
        """The first argument of the last directive of that name in its block."""
        found = [each.words[1] for each in self.all(name) if len(each.words) > 1]
        return found[-1] if found else None


def parse(text: str, source: str) -> Directive:
    """The file as a block without words. Raises PolicyError."""
    root = Directive([], [])
    opened = [root]
    words: list[Word] = []
    for token in _tokens(text, source):
        if token.text not in ("{", "}", ";") or token.is_quoted:
            words.append(Word(token.text, token.place))
            continue
        at = Word(token.text, token.place)
        if token.text == "}":
            if words:
                raise error(at, words[0].text, "; or { after it")
            if len(opened) == 1:
                raise error(at, "", "a directive")
            opened.pop()
            continue
        if not words:
            raise error(at, "", "the name of a directive")
        made = Directive(words, [] if token.text == "{" else None)
        opened[-1].inner.append(made)
        words = []
        if token.text == "{":
            opened.append(made)
    if words or len(opened) > 1:
        last = words[0] if words else opened[-1].words[0]
        raise error(Word("the end of the file", last.place), last.text, "; or { and } after it")
    return root


class _Token(msgspec.Struct, frozen=True):
    text: str
    place: Place
    is_quoted: bool


def _tokens(text: str, source: str) -> Iterator[_Token]:
    position, line, begin = 0, 1, 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        place = Place(source, line, position - begin + 1)
        if match is None:
            raise error(Word(text[position], place), "", "a word, or the quote that ends one")
        if match["space"] is None:
            kind = match.lastgroup or "bare"
            yield _Token(match[kind], place, is_quoted=kind in ("single", "double"))
        newlines = match[0].count("\n")
        if newlines:
            line, begin = line + newlines, match.start() + match[0].rfind("\n") + 1
        position = match.end()


def seconds(word: Word, directive: str) -> float:
    """A time such as "75s", "1m30s" or "10". Raises PolicyError."""
    total, end = 0, 0
    while match := _PART.match(word.text, end):
        total += int(match[1]) * _UNITS_MS[match[2]]
        end = match.end()
    if not end or end != len(word.text):
        raise error(word, directive, "a time such as 75s, 1m30s or 10")
    return total / 1000
