"""pg_service.conf: named parameters of libpq.

PostgreSQL's documentation, "The Connection Service File". Each section is a connection.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from harness.policy import lines, urls
from harness.policy.format import Format
from harness.policy.formats import libpq
from harness.policy.lines import Word, error
from harness.policy.settings import Connection, Place, Terms

_FITS = re.compile(
    r"^[ \t]*(?:keepalives(?:_idle|_interval|_count)?|tcp_user_timeout)=", re.MULTILINE
)
_SECTION = re.compile(r"^[ \t]*\[[^\]\n]+\][ \t\r]*$", re.MULTILINE)


def read(text: str, source: str) -> tuple[Connection, ...]:
    """A connection for each section. Raises PolicyError, with line and column."""
    found: list[Connection] = []
    section: Word | None = None
    pairs: list[tuple[Word, Word]] = []
    for line in map(lines.stripped, lines.lines(text, source)):
        if not line.text or line.text.startswith("#"):
            continue
        if line.text.startswith("["):
            found += _of(section, pairs)
            section, pairs = _named(line), []
        elif line.text.startswith("ldap://"):
            continue
        elif section is None:
            raise urls.unshown(line, "[NAME] of a service before its parameters")
        else:
            pairs.append(_pair(line))
    found += _of(section, pairs)
    if not found:
        raise error(Word("", Place(source, 1, 1)), "", "a section such as [orders]")
    return tuple(found)


def _named(line: Word) -> Word:
    if not line.text.endswith("]") or not line.text[1:-1]:
        raise error(line, "", "[NAME] of a service")
    return Word(line.text[1:-1], line.after(1).place)


def _pair(line: Word) -> tuple[Word, Word]:
    """libpq takes no spaces before the equals sign."""
    key, value = line.part("=")
    if value is None or not re.fullmatch(r"\w+", key.text):
        raise urls.unshown(line, "key=value without spaces before the equals sign")
    return key, value


def _of(section: Word | None, pairs: list[tuple[Word, Word]]) -> Iterator[Connection]:
    if section is not None:
        yield libpq.connection(section.text, section.place, pairs)


def _write(terms: Terms) -> str:
    return "\n".join(["[keepalive]", *libpq.pairs_of(terms), ""])


def _fits(_path: Path, text: str) -> bool:
    return _SECTION.search(text) is not None and _FITS.search(text) is not None


FORMAT = Format(
    name="pg_service",
    title="pg_service.conf of libpq",
    fits=_fits,
    read=read,
    write=_write,
)
