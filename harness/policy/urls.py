"""URLs of databases and brokers, cut into words that know where they stand.

What a URL holds in front of its host, and what its parameters hold that are none of ours, is kept
nowhere, so that no message can show a password.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote

import msgspec

from harness.errors import PolicyError
from harness.policy import lines
from harness.policy.lines import Word
from harness.policy.settings import Connection, Place

_HOSTS = re.compile(r"[A-Za-z0-9_.,:%\[\]-]*")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


class Url(msgspec.Struct, frozen=True):
    """Without user and password.

    `hosts`: with their ports; `path`: with its slash; `parameters`: names and decoded values, each
    with its place.
    """

    place: Place
    hosts: str
    path: str
    parameters: tuple[tuple[Word, Word], ...]

    def name(self, otherwise: str) -> str:
        """What findings call the connection: "db.example:5432/orders"."""
        return f"{self.hosts}{self.path.rstrip('/')}" or otherwise


def each_line(text: str, source: str) -> list[Word]:
    """The URLs of a file, one on each line; empty lines and comments (#) are left out."""
    found = [lines.stripped(line) for line in lines.lines(text, source)]
    return [each for each in found if each.text and not each.text.startswith("#")]


def connections(
    text: str, source: str, expected: str, one: Callable[[Word], Connection]
) -> tuple[Connection, ...]:
    """What `one` makes of each line; `expected`: what a line is. Raises PolicyError for none."""
    found = each_line(text, source)
    if not found:
        raise lines.error(Word("", Place(source, 1, 1)), "", expected)
    return tuple(map(one, found))


def fits(text: str, scheme: re.Pattern[str]) -> bool:
    """Whether the first line that is no comment is a URL whose beginning matches `scheme`."""
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            return scheme.match(line.lstrip()) is not None
    return False


def parsed(word: Word, scheme: re.Pattern[str], example: str, *, at_in_query: bool = False) -> Url:
    """The URL that a word is; `scheme` matches all before the hosts.

    `at_in_query`: a parameter may hold an "@" as it is. Raises PolicyError, which shows nothing of
    the URL.
    """
    begin = scheme.match(word.text)
    if begin is None:
        raise unshown(word, f"a URL such as {example}")
    before, query = word.after(begin.end()).part("?")
    authority, slash, path = before.text.partition("/")
    user, _, hosts = authority.rpartition("@")
    raw_query = query.text if query else ""
    if "@" in user + path or ("@" in raw_query and not at_in_query):
        raise unshown(word, "%40 in place of each @ within a user's name or a password")
    if not _HOSTS.fullmatch(hosts) or not all(map(_is_port, _ports(hosts))):
        raise unshown(
            word,
            "a host and the number of a port, and a password with %2F, %3A, %3F and %23 in place "
            "of / : ? and #",
        )
    parameters = tuple(_parameters(query)) if query else ()
    return Url(word.place, unquote(hosts), unquote(slash + path), parameters)


def _ports(hosts: str) -> Iterator[str]:
    for each in hosts.split(","):
        _, colon, port = re.sub(r"\[.*?\]", "", each).partition(":")
        if colon:
            yield port


def _is_port(text: str) -> bool:
    return not text or text.isdecimal()


def _parameters(query: Word) -> Iterator[tuple[Word, Word]]:
    """The names and values of `name=value&name=value`."""
    rest: Word | None = query
    while rest is not None:
        piece, rest = rest.part("&")
        key, value = piece.part("=")
        if not piece.text:
            continue
        if value is None or not _NAME.fullmatch(unquote(key.text)):
            raise unshown(piece, "parameters such as name=value, with & between them")
        yield Word(unquote(key.text), key.place), Word(unquote(value.text), value.place)


def unshown(word: Word, expected: str) -> PolicyError:
    """An error at a word that may hold a password."""
    return lines.error(Word("something else (not shown)", word.place), "", expected)
