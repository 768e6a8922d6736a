"""Signs of pictures and tables, and what stands for them where the output's encoding has none of them (as ASCII)."""

from __future__ import annotations

import codecs
import io
import unicodedata
from typing import TextIO

PLAIN = {
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
    "µ": "u",
}
"""Each sign of a picture has another one: its legend stays true."""
HANDLER = "harness.signs"


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """As an error handler of `codecs`; what has no sign is spelled without accents, or is a question mark."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    left = error.object[error.start : error.end]
    return "".join(PLAIN.get(each) or _bare(each) for each in left), error.end


def _bare(character: str) -> str:
    return unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode() or "?"


codecs.register_error(HANDLER, _plainly)


def tolerate(stream: TextIO) -> None:
    """Let a stream replace what its encoding does not have."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors=HANDLER)


class Tidy:
    """A stream that gets lines without blanks at their ends, for what pads them to a width.

    No file of Python's, which would close the stream with itself. A line that is written in parts keeps the blanks at
    the end of all but its last one.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding = stream.encoding
        self.flush, self.fileno, self.isatty = stream.flush, stream.fileno, stream.isatty

    def write(self, text: str) -> int:
        """Write it with the blanks before line ends left out."""
        *whole, rest = text.split("\n")
        self._stream.write("".join(f"{line.rstrip(' ')}\n" for line in whole) + rest)
        return len(text)
