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
from harness.policy.settings import Connection, Notice, Place, Terms
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
    found = urls.each_line(text, source)
    if not found:
        raise error(Word("", Place(source, 1, 1)), "", f"a URL such as {_EXAMPLE}")
    return tuple(_one(each) for each in found)


def _one(word: Word) -> Connection:
    url = urls.parsed(word, _SCHEME, _EXAMPLE, at_in_query=True)
    values = chosen(url.parameters, (*_KEYS, *_OF_LIBPQ))
    told = {}
    switch = values.get("tcpKeepAlive")
    if switch is not None:
        told["keepalive"] = Stated(
            value=truth(switch, "tcpKeepAlive"),
            place=switch.place,
            directive="tcpKeepAlive",
            written=switch.text,
        )
    notices = tuple(_notices(values))
    return stated.connection(url.name("pgjdbc"), word.place, told, _FILLED, notices)


def truth(word: Word, directive: str) -> bool:
    """What true and false stand for, in capitals or not. Raises PolicyError."""
    if word.text.lower() not in ("true", "false"):
        raise error(word, directive, "true or false")
    return word.text.lower() == "true"


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


def _write(terms: Terms) -> str:
    refuse_others(terms, ("keepalive",), "pgjdbc")
    on = str(Connection(name="", terms=terms).keepalive).lower()
    return f"jdbc:postgresql://HOST/DATABASE?tcpKeepAlive={on}\n"


def _fits(_path: Path, text: str) -> bool:
    return urls.fits(text, _SCHEME)


FORMAT = Format(
    name="pgjdbc",
    title="jdbc:postgresql: URLs of pgjdbc, one on each line",
    fits=_fits,
    read=read,
    write=_write,
)
