"""postgresql.conf: the server's side.

PostgreSQL's documentation, "Setting Parameters" and "TCP Settings". `include` directives are not
followed. Of an idle session one of two timeouts closes it, inside or outside of a transaction.
client_connection_check_interval has no place here: while a query runs it asks the kernel
whether the connection was closed, and a kernel does not know that of a peer that fell silent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from harness.errors import UsageError
from harness.policy import lines, stated
from harness.policy.directives import chosen, refuse_others
from harness.policy.format import Format
from harness.policy.lines import Word, error
from harness.policy.settings import Connection, Notice, Place, Terms
from harness.policy.stated import Filled, Stated

_UNITS_MS = {"us": 0.001, "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_PARAMETERS = {
    "tcp_keepalives_idle": ("idle_s", 1000),
    "tcp_keepalives_interval": ("interval_s", 1000),
    "tcp_keepalives_count": ("count", 0),
    "tcp_user_timeout": ("user_timeout_s", 1),
    "idle_session_timeout": ("idle_close_s", 1),
    "idle_in_transaction_session_timeout": ("idle_close_s", 1),
    "client_connection_check_interval": ("", 1),
}
"""The key of each parameter, and the milliseconds that a number without a unit counts in (0: it is
no time).
"""
_IDLE = {
    "idle_session_timeout": "outside of",
    "idle_in_transaction_session_timeout": "inside",
}
"""Where a session that each of them closes is, as to transactions."""
_FILLED = {
    "side": Filled("server", "PostgreSQL's server accepts connections"),
    "keepalive": Filled(value=True, source="always set by PostgreSQL (src/backend/libpq/pqcomm.c)"),
    "user_timeout_s": Filled(0, "PostgreSQL's default, the system's (tcp_user_timeout)"),
}
_LINE = re.compile(
    r"\s*(?:(?P<key>[A-Za-z_][\w.]*)\s*(?:=\s*|\s)\s*(?P<value>'(?:[^'\\]|''|\\.)*'|[^\s'#=]+)\s*)?"
    r"(?:#.*)?"
)
_INCLUDES = ("include", "include_if_exists", "include_dir")
_NUMBER = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)", re.IGNORECASE)
_FITS = re.compile(
    r"^[ \t]*tcp_(?:keepalives_(?:idle|interval|count)|user_timeout)\b", re.MULTILINE
)


def read(text: str, source: str) -> tuple[Connection, ...]:
    """One connection, of the server to a client. Raises PolicyError, with line and column."""
    pairs = [pair for line in lines.lines(text, source) for pair in _pair(line)]
    values = chosen(pairs, _PARAMETERS, last_counts=True)
    closing_s = _closing_s(values)
    told = {}
    for directive, word in values.items():
        key, value = _value(directive, word)
        if not key or (directive in _IDLE and len(closing_s) < len(_IDLE)):
            continue
        if directive not in _IDLE or directive == max(closing_s, key=lambda each: closing_s[each]):
            told[key] = Stated(
                value=value, place=word.place, directive=directive, written=word.text
            )
    place = Place(source, 1, 1)
    directives = {key: directive for directive, (key, _) in _PARAMETERS.items() if key}
    directives["idle_close_s"] = " and ".join(_IDLE)
    others = (lines.not_followed(key) for key, _ in pairs if key.text in _INCLUDES)
    notices = (*_notices(values), *others)
    return (stated.connection("postgresql", place, told, _FILLED, notices, directives),)


def _closing_s(values: dict[str, Word]) -> dict[str, float]:
    """After how many seconds sessions are closed, by parameter, without those that are off."""
    found = {each: _value(each, values[each])[1] for each in _IDLE if each in values}
    return {each: seconds for each, seconds in found.items() if seconds}


def _pair(line: Word) -> Iterator[tuple[Word, Word]]:
    match = _LINE.fullmatch(line.text)
    if match is None:
        name = re.match(r"\s*(\w+)", line.text)
        if name is not None and name[1].lower() in _PARAMETERS:
            raise error(lines.stripped(line), name[1], "name = value, in quotes with its unit")
        return
    if match["key"] is not None:
        raw = match["value"]
        bare = raw[1:-1].replace("''", "'") if raw.startswith("'") else raw
        at = match.start("value") + raw.startswith("'")
        key = Word(match["key"].lower(), line.after(match.start("key")).place)
        yield key, Word(bare, line.after(at).place)


def _value(directive: str, word: Word) -> tuple[str, float | None]:
    """Its key in a policy and the value there; None: the system's, or none."""
    key, per_number_ms = _PARAMETERS[directive]
    if not per_number_ms:
        expected = "a number of probes, or 0 for the system's"
        return key, lines.integer(word, directive, expected) or None
    plain = "seconds" if per_number_ms == 1000 else "milliseconds"
    expected = f"{plain}, or a number with a unit (us, ms, s, min, h, d), such as 30s"
    match = _NUMBER.fullmatch(word.text.strip())
    if match is None or (match[2] and match[2] not in _UNITS_MS):
        raise error(word, directive, expected)
    unit_ms = _UNITS_MS[match[2]] if match[2] else per_number_ms
    counted = round(float(match[1]) * unit_ms / per_number_ms)  # as the server rounds
    if per_number_ms == 1000:
        return key, counted or None
    seconds = counted / 1000
    return key, seconds if key == "user_timeout_s" else seconds or None


def _notices(values: dict[str, Word]) -> Iterator[Notice]:
    closing_s = _closing_s(values)
    for directive in closing_s if len(closing_s) < len(_IDLE) else ():
        (other,) = set(_IDLE) - {directive}
        text = f"closes sessions {_IDLE[directive]} transactions alone, so that without {other} it "
        yield Notice(values[directive].place, directive, f"{text}counts as no detection")
    name = "client_connection_check_interval"
    word = values.get(name)
    if word is not None and _value(name, word)[1]:
        yield Notice(
            word.place,
            name,
            "finds a connection that the kernel has given up, and no peer that fell silent",
            ("user_timeout_s",),
        )


def _write(terms: Terms) -> str:
    keys = ("keepalive", "idle_s", "interval_s", "count", "user_timeout_s", "idle_close_s")
    refuse_others(terms, keys, "PostgreSQL's server")
    if not Connection(name="", terms=terms).keepalive:
        raise UsageError(
            "PostgreSQL's server: expected keepalive, which it always turns on, found settings "
            "without it. Fix: choose another format"
        )
    written = []
    for directive, (key, per_number_ms) in _PARAMETERS.items():
        value = getattr(terms, key) if key else None
        if value is not None and per_number_ms == 1:
            written.append(f"{directive} = {round(value * 1000)}ms")
        elif value is not None:
            written.append(f"{directive} = {value}")
    return "\n".join([*written, ""])


def _fits(_path: Path, text: str) -> bool:
    return _FITS.search(text) is not None


FORMAT = Format(
    name="postgresql",
    title="postgresql.conf of PostgreSQL's server",
    fits=_fits,
    read=read,
    write=_write,
)
