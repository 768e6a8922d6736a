"""JDBC URLs of pgjdbc, the Java driver of PostgreSQL.

pgjdbc's documentation, "Connecting to the Database", and org/postgresql/PGProperty.java. pgjdbc
turns keepalive on or off and leaves its times to the system.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.policy import lines, stated, urls
from harness.policy.directives import chosen, refuse_others
from harness.policy.format import Format
from harness.policy.lines import Word, error
from harness.policy.settings import Connection, Notice, Terms
from harness.policy.stated import Filled, Stated

_KEYS = ("tcpKeepAlive", "socketTimeout")
_OF_LIBPQ = (
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
)
_SCHEME = re.compile(r"jdbc:postgresql:(?://)?")
_EXAMPLE = "jdbc:postgresql://db.example/orders?tcpKeepAlive=true"
_FILLED = {"keepalive": Filled(value=False, source="pgjdbc's default (PGProperty, tcpKeepAlive)")}


def read(text: str, source: str) -> tuple[Connection, ...]:
    """A connection for each line. Raises PolicyError, with line and column."""
    return urls.connections(text, source, f"a URL such as {_EXAMPLE}", _one)


def _one(word: Word) -> Connection:
    url = urls.parsed(word, _SCHEME, _EXAMPLE, at_in_query=True)
    values = chosen(url.parameters, (*_KEYS, *_OF_LIBPQ))
    notices = tuple(_notices(values))
    return stated.connection(url.name("pgjdbc"), word.place, switch(values), _FILLED, notices)


def switch(values: Mapping[str, Word]) -> dict[str, Stated]:
    """What tcpKeepAlive states, in capitals or not. Raises PolicyError."""
    word = values.get("tcpKeepAlive")
    if word is None:
        return {}
    if word.text.lower() not in ("true", "false"):
        raise error(word, "tcpKeepAlive", "true or false")
    is_on = word.text.lower() == "true"
    return {
        "keepalive": Stated(
            value=is_on, place=word.place, directive="tcpKeepAlive", written=word.text
        )
    }


def _notices(values: Mapping[str, Word]) -> Iterator[Notice]:
    for directive in _OF_LIBPQ:
        if directive in values:
            yield Notice(values[directive].place, directive, "is libpq's, and pgjdbc ignores it")
    if "socketTimeout" in values:
        yield from timeout_notices(values["socketTimeout"], "socketTimeout", "seconds")


def timeout_notices(word: Word, directive: str, unit: str) -> Iterator[Notice]:
    """What a timeout of reads does not do. Raises PolicyError."""
    if lines.integer(word, directive, f"whole {unit}, or 0 for none"):
        yield Notice(
            word.place,
            directive,
            "ends a read that waits for an answer; it does not watch an idle connection, and does "
            "not end a write that waits",
            ("user_timeout_s",),
        )


def switched(terms: Terms, software: str, url: str) -> str:
    """A URL with the switch for these terms. Raises UsageError for any other term."""
    refuse_others(terms, ("keepalive",), software)
    on = str(Connection(name="", terms=terms).keepalive).lower()
    return f"{url}?tcpKeepAlive={on}\n"


def _write(terms: Terms) -> str:
    return switched(terms, "pgjdbc", "jdbc:postgresql://HOST/DATABASE")


def _fits(_path: Path, text: str) -> bool:
    return urls.fits(text, _SCHEME)


FORMAT = Format(
    name="pgjdbc",
    title="jdbc:postgresql: URLs of pgjdbc, one on each line",
    fits=_fits,
    read=read,
    write=_write,
)
