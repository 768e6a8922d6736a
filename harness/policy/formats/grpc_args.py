"""gRPC channel arguments as JSON: an object, or an array of pairs.

`{"grpc.keepalive_time_ms": 30000}` is what grpc-js takes, `[["grpc.keepalive_time_ms", 30000]]`
what Python takes. gRPC's "Keepalive User Guide" (grpc/grpc, doc/keepalive.md), and gRFC A18: where
keepalive is on, TCP_USER_TIMEOUT is keepalive's timeout, but not in grpc-js, as Node.js has no such
option (nodejs/node#7217). A service config holds no keepalive.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.model import durations
from harness.policy import json_places, stated
from harness.policy.directives import chosen, refuse_others
from harness.policy.format import Format
from harness.policy.lines import Word, error, integer
from harness.policy.settings import Connection, Notice, Place, Terms
from harness.policy.stated import Filled, Stated

_TIME = "grpc.keepalive_time_ms"
_TIMEOUT = "grpc.keepalive_timeout_ms"
_PERMIT = "grpc.keepalive_permit_without_calls"
_PINGS = "grpc.http2.max_pings_without_data"
_IDLE = "grpc.max_connection_idle_ms"
_OF_SERVERS = (
    _IDLE,
    "grpc.max_connection_age_ms",
    "grpc.http2.min_ping_interval_without_data_ms",
    "grpc.http2.max_ping_strikes",
)
_NONE_MS = 2**31 - 1
_SERVER_TIME_MS = 7_200_000
_TIMEOUT_MS = 20_000
_PINGS_WITHOUT_DATA = 2
_SERVERS_PATIENCE_MS = 300_000
_GUIDE = "(Keepalive User Guide"


class _Arguments:
    """What is stated, and gRPC's defaults for the rest. Raises PolicyError."""

    def __init__(self, values: Mapping[str, Word], *, of_grpc_js: bool) -> None:
        self.values = values
        self.of_grpc_js = of_grpc_js
        self.is_server = any(each in values for each in _OF_SERVERS)
        default_ms = _SERVER_TIME_MS if self.is_server else _NONE_MS
        self.time_ms = self._number(_TIME, default_ms, f"milliseconds, or {_NONE_MS} for none")
        self.timeout_ms = self._number(_TIMEOUT, _TIMEOUT_MS, "milliseconds")
        self.pings = self._number(_PINGS, _PINGS_WITHOUT_DATA, "a number of pings", least=0)
        self.idle_ms = self._number(_IDLE, _NONE_MS, f"milliseconds, or {_NONE_MS} for none")
        permit = values.get(_PERMIT)
        self.is_permitted = permit is not None and permit.text in ("1", "true")
        if permit is not None and permit.text not in ("0", "1", "false", "true"):
            raise error(permit, _PERMIT, "0 or 1")

    def _number(self, directive: str, default: int, expected: str, least: int = 1) -> int:
        word = self.values.get(directive)
        return default if word is None else integer(word, directive, expected, least=least)

    @property
    def is_on(self) -> bool:
        """Whether pings are sent while there are calls."""
        return self.time_ms < _NONE_MS

    @property
    def watches_idle(self) -> bool:
        """Whether pings are sent without calls and data, too, and do not stop."""
        return self.is_on and self.is_permitted and not self.pings

    def terms(self) -> Iterator[tuple[str, str, float, str]]:
        """Key in a policy, argument, value there, and the source if it is gRPC's default."""
        timeout_s = self.timeout_ms / 1000
        default_timeout = f"gRPC's default {_GUIDE}, {_TIMEOUT})"
        if self.is_on and not self.of_grpc_js:
            yield "user_timeout_s", _TIMEOUT, timeout_s, f"gRPC's default (gRFC A18, {_TIMEOUT})"
        if self.watches_idle:
            default_time = f"gRPC's default for servers {_GUIDE}, {_TIME})"
            yield "heartbeat.every_s", _TIME, self.time_ms / 1000, default_time
            yield "heartbeat.timeout_s", _TIMEOUT, timeout_s, default_timeout
            yield "heartbeat.apart", _PERMIT, True, default_time
        if self.idle_ms < _NONE_MS:
            yield "idle_close_s", _IDLE, self.idle_ms / 1000, ""

    def notices(self) -> Iterator[Notice]:
        """What these pings do not do."""
        word = self.values.get(_TIME)
        if word is None or not self.is_on:
            return
        if self.of_grpc_js:
            text = (
                "sets no TCP_USER_TIMEOUT in grpc-js, which takes such an object; other gRPC "
                "libraries set it: write their arguments as pairs"
            )
            yield Notice(word.place, _TIME, text, ("user_timeout_s",))
        hint = durations.too_few_milliseconds(self.time_ms / 1000)
        if hint:
            yield Notice(word.place, _TIME, hint)
        if not self.watches_idle:
            needed = f"{_PERMIT} = 1 and {_PINGS} = 0"
            text = f"does not watch an idle connection without {needed}"
            yield Notice(word.place, _TIME, text, ("keepalive",))
        elif not self.is_server and self.time_ms < _SERVERS_PATIENCE_MS:
            yield Notice(
                word.place,
                _TIME,
                f"is below {_SERVERS_PATIENCE_MS} ms: a server closes the connection "
                "(too_many_pings) unless its grpc.http2.min_ping_interval_without_data_ms is lower",
            )


def read(text: str, source: str) -> tuple[Connection, ...]:
    """One connection. Raises PolicyError, with line and column."""
    place = Place(source, 1, 1)
    pairs = list(_pairs(*json_places.loaded(text, source), place))
    values = chosen(pairs, (_TIME, _TIMEOUT, _PERMIT, _PINGS, *_OF_SERVERS))
    found = _Arguments(values, of_grpc_js=text.lstrip().startswith("{"))
    told, filled = {}, {}
    if found.is_server:
        filled["side"] = Filled("server", "told by arguments that only servers have")
    for key, argument, value, default in found.terms():
        word = found.values.get(argument)
        if word is None:
            filled[key] = Filled(value, default)
        else:
            told[key] = Stated(value=value, place=word.place, directive=argument, written=word.text)
    return (stated.connection("grpc", place, told, filled, tuple(found.notices())),)


def _pairs(
    value: Any, places: Mapping[json_places.Path, Place], place: Place
) -> Iterator[tuple[Word, Word]]:
    items: list[tuple[str, Any, json_places.Path]] = []
    if isinstance(value, dict):
        items = [(key, inner, (key,)) for key, inner in value.items()]
    elif isinstance(value, list) and all(_is_pair(each) for each in value):
        items = [(key, inner, (index, 1)) for index, (key, inner) in enumerate(value)]
    if not any(key.startswith("grpc.") for key, _, _ in items):
        expected = f"an object or an array of pairs with channel arguments such as {_TIME}"
        raise error(Word("none", place), "", expected)
    for key, inner, path in items:
        yield Word(key, places[path]), Word(json.dumps(inner), places[path])


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


def _write(terms: Terms) -> str:
    """Pairs where there is a user timeout, which grpc-js does not set, or else an object."""
    refuse_others(terms, ("heartbeat", "user_timeout_s"), "gRPC")
    beat, user_timeout_s = terms.heartbeat, terms.user_timeout_s
    if beat is None and user_timeout_s is None:
        return _document({_TIME: _NONE_MS})
    is_ping = beat is not None and beat.misses == 1 and beat.apart
    if beat is None or not is_ping or user_timeout_s not in (None, 0, beat.timeout_s):
        raise UsageError(
            "gRPC: expected a heartbeat with misses = 1, apart = true and the user timeout as its "
            "timeout_s (gRFC A18) or none (grpc-js), found other settings. Fix: choose these"
        )
    arguments = {
        _TIME: round(beat.every_s * 1000),
        _TIMEOUT: round(beat.timeout_s * 1000),
        _PERMIT: 1,
        _PINGS: 0,
    }
    if not user_timeout_s:
        return _document(arguments)
    pairs = ",\n".join(f"  {json.dumps(pair)}" for pair in arguments.items())
    return f"[\n{pairs}\n]\n"


def _document(arguments: Mapping[str, int]) -> str:
    return f"{json.dumps(arguments, indent=2)}\n"


def _fits(_path: Path, text: str) -> bool:
    return text.lstrip()[:1] in ("{", "[") and '"grpc.' in text


FORMAT = Format(
    name="grpc",
    title="gRPC channel arguments as JSON",
    fits=_fits,
    read=read,
    write=_write,
)
