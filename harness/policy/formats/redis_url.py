"""Redis URLs as redis-py reads them.

redis-py's documentation, `Redis.from_url`, and redis/connection.py, `Connection` and
URL_QUERY_ARGUMENT_PARSERS. Parameters are no part of the registered redis URL: each client has its
own. redis-py turns keepalive on or off there; the times are fixed unless the program sets them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.errors import UsageError
from harness.policy import lines, stated, urls
from harness.policy.directives import chosen, refuse_others
from harness.policy.format import Format
from harness.policy.lines import Word, error
from harness.policy.settings import Connection, Notice, Place, Terms
from harness.policy.stated import Filled, Stated

_SCHEME = re.compile(r"rediss?://")
_EXAMPLE = "redis://cache.example:6379/0?socket_keepalive=true"
_KEYS = ("socket_keepalive", "socket_timeout", "health_check_interval")
_FALSE = ("0", "F", "FALSE", "N", "NO")
_OPTIONS = {"idle_s": 30, "interval_s": 5, "count": 3}
_SWITCH_SOURCE = "redis-py's default since 8.0, off before (socket_keepalive)"
_OPTIONS_SOURCE = "redis-py's default since 8.0, the system's before (socket_keepalive_options)"


def read(text: str, source: str) -> tuple[Connection, ...]:
    """A connection for each line. Raises PolicyError, with line and column."""
    found = urls.each_line(text, source)
    if not found:
        raise error(Word("", Place(source, 1, 1)), "", f"a URL such as {_EXAMPLE}")
    return tuple(_one(each) for each in found)


def _one(word: Word) -> Connection:
    url = urls.parsed(word, _SCHEME, _EXAMPLE)
    values = chosen(url.parameters, _KEYS)
    switch = values.get("socket_keepalive")
    told = {}
    if switch is not None and switch.text:
        told["keepalive"] = Stated(
            value=switch.text.upper() not in _FALSE,
            place=switch.place,
            directive="socket_keepalive",
            written=switch.text,
        )
    filled = {"keepalive": Filled(value=True, source=_SWITCH_SOURCE)}
    if "keepalive" not in told or told["keepalive"].value:
        filled |= {key: Filled(value, _OPTIONS_SOURCE) for key, value in _OPTIONS.items()}
    notices = tuple(_notices(values))
    return stated.connection(url.name("redis"), word.place, told, filled, notices)


def _notices(values: Mapping[str, Word]) -> Iterator[Notice]:
    for directive, text in (
        (
            "socket_timeout",
            "ends a read or a write that waits; it does not watch an idle connection",
        ),
        (
            "health_check_interval",
            "asks before the next command, and does not watch an idle connection",
        ),
    ):
        word = values.get(directive)
        if word is not None and word.text:
            whole = Word(word.text.partition(".")[0], word.place)
            if lines.integer(whole, directive, "seconds"):
                yield Notice(word.place, directive, text, ("keepalive",))


def _write(terms: Terms) -> str:
    software = "redis-py (in a URL)"
    refuse_others(terms, ("keepalive", *_OPTIONS), software)
    if not Connection(name="", terms=terms).keepalive:
        refuse_others(terms, ("keepalive",), software)
        return "redis://HOST:6379/0?socket_keepalive=false\n"
    found = (terms.idle_s, terms.interval_s, terms.count)
    if found != tuple(_OPTIONS.values()):
        raise UsageError(
            f"{software}: expected idle_s = 30, interval_s = 5 and count = 3, which a URL cannot "
            f"change, found {found[0]}, {found[1]} and {found[2]}. Fix: set "
            "socket_keepalive_options in the program"
        )
    return "redis://HOST:6379/0?socket_keepalive=true\n"


def _fits(_path: Path, text: str) -> bool:
    return urls.fits(text, _SCHEME)


FORMAT = Format(
    name="redis_url",
    title="redis:// URLs as redis-py reads them, one on each line",
    fits=_fits,
    read=read,
    write=_write,
)
