"""Connection strings of libpq, the C library of PostgreSQL: URLs and keywords.

PostgreSQL's documentation, "Connection Strings" and "Parameter Key Words". psql, psycopg and other
clients that are built on libpq read the same; SQLAlchemy passes the parameters of its URLs on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from harness.errors import PolicyError, UsageError
from harness.policy import lines, stated, urls
from harness.policy.directives import chosen, refuse_others
from harness.policy.format import Format
from harness.policy.lines import Word, error
from harness.policy.settings import Connection, Notice, Place, Terms
from harness.policy.stated import Filled, Stated

WHOLE = {
    "keepalives_idle": ("idle_s", "seconds from 1 to 32767, or 0 for the system's"),
    "keepalives_interval": ("interval_s", "seconds from 1 to 32767, or 0 for the system's"),
    "keepalives_count": ("count", "a number of probes from 1 to 127, or 0 for the system's"),
}
"""The key of each parameter, and what it takes."""
KEYS = ("keepalives", *WHOLE, "tcp_user_timeout")
_DIRECTIVES = {
    "keepalive": "keepalives",
    **{key: directive for directive, (key, _) in WHOLE.items()},
    "user_timeout_s": "tcp_user_timeout",
}
FILLED = {"keepalive": Filled(value=True, source="libpq's default (PostgreSQL docs, keepalives)")}
_SCHEME = re.compile(r"postgres(?:ql)?(?:\+(?P<driver>\w+))?://")
_DRIVERS = ("psycopg", "psycopg2", "psycopg2cffi", "psycopg_async")
"""Those of SQLAlchemy's URLs (dialect+driver://) that are built on libpq."""
_EXAMPLE = "postgresql://db.example/orders?keepalives_idle=60"
_HOSTS = ("host", "hostaddr", "service")
_NO_SOCKET = "a host that is reached by TCP, and no Unix socket"
_PAIR = re.compile(
    r"(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)(?:[^\s\\]|\\.)*|(?=\s*$))(?!\S)"
)
_COMMON = re.compile(r"\b(?:host|hostaddr|dbname|service|keepalives\w*|tcp_user_timeout)\s*=")


def read(text: str, source: str) -> tuple[Connection, ...]:
    """A connection for each line. Raises PolicyError, with line and column."""
    return urls.connections(text, source, f"a connection string such as {_EXAMPLE}", _one)


def _one(word: Word) -> Connection:
    scheme = _SCHEME.match(word.text)
    if scheme is not None:
        if scheme["driver"] not in (None, *_DRIVERS):
            driver = Word(scheme["driver"], word.after(scheme.start("driver")).place)
            raise error(driver, "", f"a driver that is built on libpq ({', '.join(_DRIVERS)})")
        url = urls.parsed(word, _SCHEME, _EXAMPLE)
        if url.hosts.startswith(("/", "@")):
            raise error(Word(url.hosts, url.place), "host", _NO_SOCKET)
        name = url.name("") if url.hosts else f"{_name(url.parameters)}{url.path}"
        found = connection(name or "libpq", word.place, url.parameters)
        return _with_doubt(found, url.parameters) if not url.hosts else found
    pairs = tuple(_keywords(word))
    return _with_doubt(connection(_name(pairs) or "libpq", word.place, pairs), pairs)


def _with_doubt(found: Connection, pairs: Iterable[tuple[Word, Word]]) -> Connection:
    """With a notice where no parameter names a host, or a service that may name one."""
    if found.place is None or any(key.text in _HOSTS and value.text for key, value in pairs):
        return found
    text = (
        "is not stated: libpq then connects to a Unix socket, unless PGHOST names a host. Judged "
        "as a connection by TCP"
    )
    notices = (*found.notices, Notice(found.place, "host", text))
    return msgspec.structs.replace(found, notices=notices)


def _name(pairs: Iterable[tuple[Word, Word]]) -> str:
    told = {key.text: value.text for key, value in pairs}
    host = told.get("host") or told.get("hostaddr", "")
    port = f":{told['port']}" if "port" in told else ""
    database = f"/{told['dbname']}" if "dbname" in told else ""
    # A connection string, with a password, may stand in place of a database's name.
    return "" if re.search("[=@]", database) else f"{host}{port}{database}"


def connection(name: str, place: Place, pairs: Sequence[tuple[Word, Word]]) -> Connection:
    """From parameters and their values, which are alike in a service file. Raises PolicyError."""
    for key, value in pairs:
        if key.text in ("host", "hostaddr") and value.text.startswith(("/", "@")):
            raise error(value, key.text, _NO_SOCKET)
    values = chosen(pairs, KEYS, last_counts=True)
    told, notices = _stated(values), tuple(_notices(values))
    if _is_off(values):
        told.pop("user_timeout_s", None)
    return stated.connection(name, place, told, FILLED, notices, _DIRECTIVES)


def _stated(values: Mapping[str, Word]) -> dict[str, Stated]:
    found = {}
    for directive, word in values.items():
        key, value = _value(directive, word)
        found[key] = Stated(value=value, place=word.place, directive=directive, written=word.text)
    return found


def _value(directive: str, word: Word) -> tuple[str, bool | float | None]:
    """Its key in a policy and the value there; None: the system's."""
    if directive == "keepalives":
        return "keepalive", lines.integer(word, directive, "1 for on, or 0 for off") != 0
    if directive == "tcp_user_timeout":
        return "user_timeout_s", lines.integer(word, directive, "whole milliseconds") / 1000
    key, expected = WHOLE[directive]
    return key, lines.integer(word, directive, expected) or None


def _is_off(values: Mapping[str, Word]) -> bool:
    """Whether libpq sets no option at all, TCP_USER_TIMEOUT included (fe-connect.c,
    PQconnectPoll).
    """
    switch = values.get("keepalives")
    return switch is not None and _value("keepalives", switch)[1] is False


def _notices(values: Mapping[str, Word]) -> Iterator[Notice]:
    if not _is_off(values):
        return
    for directive, word in values.items():
        if directive != "keepalives":
            yield Notice(word.place, directive, "has no effect with keepalives=0", ("keepalive",))


def _keywords(line: Word) -> Iterator[tuple[Word, Word]]:
    """The pairs of `key=value key='quoted value'`. Raises PolicyError, without what it found."""
    at, text = 0, line.text
    while at < len(text):
        match = _PAIR.match(text, at)
        if match is None:
            expected = "key=value, in single quotes where the value has spaces"
            raise urls.unshown(line.after(at), expected)
        raw, begin = match[2], match.start(2)
        if raw.startswith("'"):
            raw, begin = raw[1:-1], begin + 1
        value = Word(re.sub(r"\\(.)", r"\1", raw), line.after(begin).place)
        yield Word(match[1], line.after(at).place), value
        at = match.end()
        at += len(text[at:]) - len(text[at:].lstrip())


def pairs_of(terms: Terms) -> list[str]:
    """`key=value` for each setting. Raises UsageError for one that libpq has no parameter for."""
    keys = ("keepalive", "idle_s", "interval_s", "count", "user_timeout_s")
    refuse_others(terms, keys, "libpq")
    is_on = Connection(name="", terms=terms).keepalive
    if terms.user_timeout_s and not is_on:
        raise UsageError(
            "libpq: expected keepalive beside a user timeout, which libpq does not set with "
            "keepalives=0, found it off. Fix: demand detection while idle, too (--detect-within)"
        )
    written = [f"keepalives={int(is_on)}"]
    for directive, (key, _) in WHOLE.items():
        value = getattr(terms, key)
        written += [f"{directive}={value}"] if value is not None else []
    if terms.user_timeout_s is not None:
        written.append(f"tcp_user_timeout={round(terms.user_timeout_s * 1000)}")
    return written


def _write(terms: Terms) -> str:
    return f"{' '.join(pairs_of(terms))}\n"


def _fits(_path: Path, text: str) -> bool:
    if urls.fits(text, _SCHEME):
        return True
    first = urls.each_line(text, "")[:1]
    if not first or not _COMMON.search(first[0].text):
        return False
    try:
        return bool(tuple(_keywords(first[0])))
    except PolicyError:
        return False


FORMAT = Format(
    name="libpq",
    title="URLs postgresql:// or postgresql+psycopg://, or keyword strings of libpq, one a line",
    fits=_fits,
    read=read,
    write=_write,
)
