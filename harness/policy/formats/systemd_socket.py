"""systemd.socket(5): the options that systemd sets on the socket that listens.

Whole seconds count (src/core/socket.c, socket_apply_socket_options).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePath

from harness.policy import lines, stated
from harness.policy.directives import refuse_others
from harness.policy.format import Format
from harness.policy.lines import Word, error
from harness.policy.settings import Connection, Notice, Place, Terms
from harness.policy.stated import Filled, Stated

_TIMES = {"KeepAliveTimeSec": "idle_s", "KeepAliveIntervalSec": "interval_s"}
_COUNT = "KeepAliveProbes"
_ON, _OFF = ("1", "yes", "y", "true", "t", "on"), ("0", "no", "n", "false", "f", "off")
_UNITS_US = {
    **dict.fromkeys(("us", "usec"), 1),
    **dict.fromkeys(("ms", "msec"), 1000),
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 10**6),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60 * 10**6),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600 * 10**6),
    **dict.fromkeys(("d", "day", "days"), 86_400 * 10**6),
}
_SPAN = re.compile(r"\s*([0-9]{1,12})\s*([a-z]*)")


def read(text: str, source: str) -> tuple[Connection, ...]:
    """One connection, named as the file; none where no socket is one of TCP. Raises PolicyError."""
    values: dict[str, Word] = {}
    listened: list[Word] = []
    for key, value in _pairs(text, source):
        if key.text == "ListenStream":
            listened = [*listened, value] if value.text else []
        values[key.text] = value
    values = {key: value for key, value in values.items() if value.text}
    addresses = [each for each in listened if re.match(r"[^/@]", each.text)]
    addresses = [each for each in addresses if not each.text.startswith("vsock:")]
    keys = [key for key in ("KeepAlive", *_TIMES, _COUNT) if key in values]
    if (listened and not addresses) or not (addresses or keys):
        return ()
    place = (addresses or [values[key] for key in keys])[0].place
    return (_connection(PurePath(source).name, place, values),)


def _pairs(text: str, source: str) -> Iterator[tuple[Word, Word]]:
    """Keys and values of the section [Socket]; an empty one takes back what was set."""
    section = ""
    for line in lines.lines(text, source):
        if line.text.lstrip().startswith("["):
            section = line.text.strip()
        pair = lines.pair(line)
        if pair is not None and section == "[Socket]":
            yield pair


def _connection(name: str, place: Place, values: dict[str, Word]) -> Connection:
    found: dict[str, Stated] = {}
    if "KeepAlive" in values:
        word = values["KeepAlive"]
        if word.text.lower() not in _ON + _OFF:
            raise error(word, "KeepAlive", "yes or no")
        found["keepalive"] = _stated(word.text.lower() in _ON, word, "KeepAlive")
    for directive, key in _TIMES.items():
        if directive in values:
            word = values[directive]
            found[key] = _stated(_seconds(word, directive), word, directive)
    if _COUNT in values:
        word = values[_COUNT]
        count = lines.integer(word, _COUNT, "an integer from 1 to 127", least=1, most=127)
        found["count"] = _stated(count, word, _COUNT)
    is_on = "keepalive" in found and found["keepalive"].value is True
    notices = [
        Notice(each.place, each.directive, "has no effect without KeepAlive=yes", ("keepalive",))
        for each in found.values()
        if each.directive != "KeepAlive" and not is_on
    ]
    filled = {
        "keepalive": Filled(value=False, source="systemd's default (systemd.socket(5))"),
        "side": Filled("server", "the socket listens"),
        "set_on": Filled("listener", "systemd sets options on the socket that listens"),
    }
    directives = {"keepalive": "KeepAlive", "count": _COUNT}
    directives |= {key: directive for directive, key in _TIMES.items()}
    return stated.connection(name, place, found, filled, notices, directives)


def _seconds(word: Word, directive: str) -> int:
    """A span of systemd.time(7): "90", "1min 30s"."""
    parts, end = [], 0
    while match := _SPAN.match(word.text, end):
        parts.append((int(match[1]), match[2]))
        end = match.end()
    if not parts or end != len(word.text) or any(unit not in _UNITS_US for _, unit in parts):
        raise error(word, directive, "a time such as 90 or 1min 30s")
    return sum(number * _UNITS_US[unit] for number, unit in parts) // 10**6


def _stated(value: object, word: Word, directive: str) -> Stated:
    return Stated(value=value, place=word.place, directive=directive, written=word.text)


def write(terms: Terms) -> str:
    """The section [Socket]. Raises UsageError."""
    refuse_others(terms, ("keepalive", "idle_s", "interval_s", "count"), "systemd")
    values = {directive: getattr(terms, key) for directive, key in _TIMES.items()}
    values[_COUNT] = terms.count
    on = "yes" if Connection(name="", terms=terms).keepalive else "no"
    found = ["[Socket]", "ListenStream=8080", f"KeepAlive={on}"]
    found += [f"{name}={value}" for name, value in values.items() if value is not None]
    return "\n".join(found) + "\n"


def _fits(_path: Path, text: str) -> bool:
    return bool(re.search(r"^\[Socket\]\s*$", text, re.MULTILINE))


FORMAT = Format(
    name="systemd",
    title="a systemd unit whose name ends in .socket",
    fits=_fits,
    read=read,
    write=write,
)
