"""Redis URLs as redis-py reads them.

redis-py's documentation, `Redis.from_url`, and redis/connection.py, `Connection` and
URL_QUERY_ARGUMENT_PARSERS. Parameters are no part of the registered redis URL: each client has its
own. A URL turns keepalive on or off; the program sets the times. The defaults are those before
redis-py 8.0, off and the system's times, as a URL does not tell the version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.errors import UsageError
from harness.policy import lines, stated, urls
from harness.policy.directives import chosen, refuse_others
from harness.policy.format import Format
from harness.policy.lines import Word
from harness.policy.settings import Connection, Notice, Terms
from harness.policy.stated import Filled, Stated

_SCHEME = re.compile(r"rediss?://")
_EXAMPLE = "redis://cache.example:6379/0?socket_keepalive=true"
_KEYS = ("socket_keepalive", "socket_timeout", "health_check_interval")
_FALSE = ("0", "F", "FALSE", "N", "NO")
_OPTIONS = ("idle_s", "interval_s", "count")
_SWITCH_SOURCE = "redis-py's default before 8.0, on since then (socket_keepalive)"
_OPTIONS_SOURCE = (
    "the system's, as redis-py before 8.0 sets none; 30, 5 and 3 since then "
    "(socket_keepalive_options)"
)


def read(text: str, source: str) -> tuple[Connection, ...]:
    """A connection for each line. Raises PolicyError, with line and column."""
    return urls.connections(text, source, f"a URL such as {_EXAMPLE}", _one)


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
    filled = {"keepalive": Filled(value=False, source=_SWITCH_SOURCE)}
    if "keepalive" in told and told["keepalive"].value:
        filled |= {key: Filled(None, _OPTIONS_SOURCE) for key in _OPTIONS}
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
    for key in _OPTIONS:
        if getattr(terms, key) is not None:
            raise UsageError(
                f"{software}: expected no {key}, which a URL cannot state, found "
                f"{getattr(terms, key)}. Fix: set socket_keepalive_options in the program"
            )
    refuse_others(terms, ("keepalive",), software)
    is_on = Connection(name="", terms=terms).keepalive
    return f"redis://HOST:6379/0?socket_keepalive={str(is_on).lower()}\n"


def _fits(_path: Path, text: str) -> bool:
    return urls.fits(text, _SCHEME)


FORMAT = Format(
    name="redis_url",
    title="redis:// URLs as redis-py reads them, one on each line",
    fits=_fits,
    read=read,
    write=_write,
)
