"""Output in encodings without the characters of diagrams and tables, as in ASCII: each has a
replacement.
"""

from __future__ import annotations

import codecs
import io
import unicodedata
from typing import TextIO

ASCII = {
    "●": "o",
    "◉": "@",
    "⊗": "%",
    "○": ".",
    "■": "*",
    "▪": "+",
    "✕": "x",
    "▲": "^",
    "◀": "<",
    "▶": ">",
    "█": "#",
    "┣": "|",
    "┫": "|",
    "━": "-",
    "…": "...",
    "–": "-",  # noqa: RUF001 - the sign itself
    "—": "-",
    "→": "->",
    "×": "x",  # noqa: RUF001 - the sign itself
    "·": ".",
    "µ": "u",
    "✓": "=",
    "✗": "!",
    "⋮": ":",
}
"""No two characters of a diagram have the same replacement, so its legend stays true."""
HANDLER = "harness.ascii"


def _to_ascii(error: UnicodeError) -> tuple[str, int]:
    """An error handler of `codecs`.

    Characters without a replacement lose their accents, or become a question mark.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    left = error.object[error.start : error.end]
    return "".join(ASCII.get(each) or _without_accents(each) for each in left), error.end


def _without_accents(character: str) -> str:
    return unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode() or "?"


codecs.register_error(HANDLER, _to_ascii)


def replace_missing(stream: TextIO) -> None:
    """Let a stream replace characters that its encoding does not have."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors=HANDLER)


class TrimmedStream:
    """Passes lines on to a stream without the blanks at their ends, which pad them to a width.

    It is no file object of Python, as that would close the stream when it is deleted. Where a line
    is written in parts, only the last part loses its blanks.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding = stream.encoding
        self.flush, self.fileno, self.isatty = stream.flush, stream.fileno, stream.isatty

    def write(self, text: str) -> int:
        """Write `text` without the blanks before its line ends."""
        *whole, rest = text.split("\n")
        self._stream.write("".join(f"{line.rstrip(' ')}\n" for line in whole) + rest)
        return len(text)
