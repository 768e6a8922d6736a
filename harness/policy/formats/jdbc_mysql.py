"""JDBC URLs of MySQL Connector/J, the Java driver of MySQL.

MySQL Connector/J Developer Guide, "Connection URL Syntax" and "Networking". Connector/J turns
keepalive on or off and leaves its times to the system.
"""

from __future__ import annotations

import re
from pathlib import Path

from harness.policy import stated, urls
from harness.policy.directives import chosen
from harness.policy.format import Format
from harness.policy.formats import jdbc_postgresql
from harness.policy.lines import Word
from harness.policy.settings import Connection, Terms
from harness.policy.stated import Filled

_KEYS = ("tcpKeepAlive", "socketTimeout")
_SCHEME = re.compile(r"jdbc:mysql(?:\+srv)?:(?:(?:loadbalance|replication):)?//")
_KEYED = re.compile(r"(?:[^(/?]*\([^()]*\))+\]?")
"""Hosts with keys of their own: `address=(host=a)(port=1)` and `(host=a,port=1)`."""
_EXAMPLE = "jdbc:mysql://db.example/orders?tcpKeepAlive=true"
_FILLED = {
    "keepalive": Filled(value=True, source="Connector/J's default (Networking, tcpKeepAlive)")
}


def read(text: str, source: str) -> tuple[Connection, ...]:
    """A connection for each line. Raises PolicyError, with line and column."""
    return urls.connections(text, source, f"a URL such as {_EXAMPLE}", _one)


def _one(word: Word) -> Connection:
    plain = _without_keys(word)
    url = urls.parsed(plain, _SCHEME, _EXAMPLE, at_in_query=True)
    name = url.name("mysql") if plain == word else "mysql"
    values = chosen(url.parameters, _KEYS)
    told = jdbc_postgresql.switch(values)
    timeout = values.get("socketTimeout")
    notices = (
        jdbc_postgresql.timeout_notices(timeout, "socketTimeout", "milliseconds") if timeout else ()
    )
    return stated.connection(name, word.place, told, _FILLED, tuple(notices))


def _without_keys(word: Word) -> Word:
    """With as many letters in place of hosts that hold keys and values, passwords among them.

    Raises PolicyError for keepalive's keys in there.
    """
    scheme = _SCHEME.match(word.text)
    keyed = _KEYED.match(word.text, scheme.end()) if scheme else None
    if keyed is None:
        return word
    if any(key.lower() in keyed[0].lower() for key in _KEYS):
        raise urls.unshown(word, f"{' and '.join(_KEYS)} after the question mark")
    begin, end = keyed.span()
    return Word(f"{word.text[:begin]}{'x' * (end - begin)}{word.text[end:]}", word.place)


def _write(terms: Terms) -> str:
    return jdbc_postgresql.switched(terms, "Connector/J", "jdbc:mysql://HOST/DATABASE")


def _fits(_path: Path, text: str) -> bool:
    return urls.fits(text, _SCHEME)


FORMAT = Format(
    name="mysql_jdbc",
    title="jdbc:mysql: URLs of MySQL Connector/J, one on each line",
    fits=_fits,
    read=read,
    write=_write,
)
