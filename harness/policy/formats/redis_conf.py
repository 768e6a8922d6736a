"""redis.conf: redis-server's side.

Redis' own commented redis.conf, "tcp-keepalive" and "timeout". On Linux redis-server sets the idle
time to tcp-keepalive, the interval to a third of it, and the count to 3 (src/anet.c,
anetKeepAlive). `timeout` leaves out subscribers, clients in a blocking command and replicas
(src/timeout.c, clientsCronHandleTimeout). `include` directives are not followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from harness.errors import UsageError
from harness.policy import lines, stated
from harness.policy.directives import chosen, refuse_others
from harness.policy.format import Format
from harness.policy.lines import Word
from harness.policy.settings import Connection, Notice, Place, Terms
from harness.policy.stated import Filled, Stated

_DEFAULT_S = 300
_COUNT = 3
_SOURCE = f"redis-server's default (redis.conf, tcp-keepalive {_DEFAULT_S})"
_FITS = re.compile(r"^[ \t]*tcp-keepalive[ \t]+\"?\d", re.MULTILINE | re.IGNORECASE)
_SOME_CLIENTS = (
    "does not close connections of subscribers and of clients in a blocking command, so that it "
    "counts as no detection"
)
_QUOTED = re.compile(r"([\"'])(.*)\1")


def read(text: str, source: str) -> tuple[Connection, ...]:
    """One connection, of the server to a client. Raises PolicyError, with line and column."""
    place = Place(source, 1, 1)
    pairs = list(_pairs(text, source))
    values = chosen(pairs, ("tcp-keepalive", "timeout"), last_counts=True)
    notices = [lines.not_followed(key) for key, _ in pairs if key.text == "include"]
    if "timeout" in values:
        word = values["timeout"]
        if lines.integer(word, "timeout", "whole seconds, or 0 for none"):
            notices.append(Notice(word.place, "timeout", _SOME_CLIENTS))
    told = _stated(values["tcp-keepalive"]) if "tcp-keepalive" in values else {}
    filled = {"side": Filled("server", "redis-server accepts connections")}
    filled |= {key: Filled(value, _SOURCE) for key, value in _options(_DEFAULT_S).items()}
    directives = dict.fromkeys(_options(_DEFAULT_S), "tcp-keepalive")
    return (stated.connection("redis-server", place, told, filled, notices, directives),)


def _pairs(text: str, source: str) -> Iterator[tuple[Word, Word]]:
    """Directives with one argument; names count in capitals or not."""
    for line in lines.lines(text, source):
        found = lines.words(line)
        if len(found) == 2:
            key, value = found
            quoted = _QUOTED.fullmatch(value.text)
            bare = Word(quoted[2], value.after(1).place) if quoted else value
            yield Word(key.text.lower(), key.place), bare
        elif found and found[0].text.lower() in ("tcp-keepalive", "timeout"):
            rest = " ".join(each.text for each in found[1:])
            begin = found[1].place if found[1:] else found[0].place
            raise lines.error(Word(rest, begin), found[0].text, "one number of seconds")


def _options(idle_s: int) -> dict[str, bool | int]:
    """What redis-server sets: no interval is shorter than a second."""
    interval_s = max(idle_s // _COUNT, 1)
    return {"keepalive": True, "idle_s": idle_s, "interval_s": interval_s, "count": _COUNT}


def _stated(word: Word) -> dict[str, Stated]:
    directive = "tcp-keepalive"
    idle_s = lines.integer(word, directive, "seconds from 1 to 32767, or 0 for no keepalive")
    options: dict[str, bool | int | None] = {**_options(idle_s)}
    if not idle_s:
        options = {**dict.fromkeys(options), "keepalive": False}
    return {
        key: Stated(value=value, place=word.place, directive=directive, written=word.text)
        for key, value in options.items()
    }


def _write(terms: Terms) -> str:
    refuse_others(terms, ("keepalive", "idle_s", "interval_s", "count"), "redis-server")
    return f"tcp-keepalive {_number(terms)}\n"


def _number(terms: Terms) -> int:
    """Of tcp-keepalive. Raises UsageError where no number stands for the settings."""
    if not Connection(name="", terms=terms).keepalive:
        return 0
    if terms.idle_s is None:
        raise UsageError("redis-server: expected keepalive with an idle_s, found none. Fix: set it")
    wanted = _options(terms.idle_s)
    if (terms.interval_s, terms.count) != (wanted["interval_s"], wanted["count"]):
        raise UsageError(
            f"redis-server: expected an interval of {wanted['interval_s']} s and a count of "
            f"{_COUNT}, which tcp-keepalive {terms.idle_s} stands for, found other ones. "
            "Fix: choose these"
        )
    return terms.idle_s


def _fits(_path: Path, text: str) -> bool:
    return _FITS.search(text) is not None


FORMAT = Format(
    name="redis",
    title="redis.conf of redis-server",
    fits=_fits,
    read=read,
    write=_write,
)
