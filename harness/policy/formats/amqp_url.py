"""AMQP 0-9-1 URLs, with RabbitMQ's parameters.

RabbitMQ's documentation, "URI Query Parameters" and "Detecting Dead TCP Connections with
Heartbeats". Both ends send a heartbeat about every half of the heartbeat timeout. A peer that sends
nothing for two intervals, each as long as the timeout, is given up (AMQP 0-9-1, section 4.2.7);
RabbitMQ's code looks once in an interval and may take up to a third one
(deps/rabbit_common/src/rabbit_heartbeat.erl). RabbitMQ's own clients (Java, .NET, Erlang) send
heartbeats apart from the program.
"""

from __future__ import annotations

import re
from pathlib import Path

from harness.errors import UsageError
from harness.policy import lines, stated, urls
from harness.policy.directives import chosen, refuse_others
from harness.policy.format import Format
from harness.policy.lines import Word
from harness.policy.settings import Connection, Notice, Terms
from harness.policy.stated import Filled, Stated

_SCHEME = re.compile(r"amqps?://")
_EXAMPLE = "amqp://broker.example/%2f?heartbeat=30"
_DEFAULT_S = 60
_MISSES = 3
"""Halves of the heartbeat timeout without an answer, after the first one: two intervals in all."""


def read(text: str, source: str) -> tuple[Connection, ...]:
    """A connection for each line. Raises PolicyError, with line and column."""
    return urls.connections(text, source, f"a URL such as {_EXAMPLE}", _one)


def _one(word: Word) -> Connection:
    url = urls.parsed(word, _SCHEME, _EXAMPLE)
    timeout = chosen(url.parameters, ("heartbeat",)).get("heartbeat")
    name = url.name("amqp")
    if timeout is None:
        source = f"RabbitMQ's default heartbeat of {_DEFAULT_S} s (Heartbeats guide)"
        filled = {key: Filled(value, source) for key, value in _heartbeat(_DEFAULT_S).items()}
        return stated.connection(name, word.place, {}, filled, (_notice(word, _DEFAULT_S),))
    seconds = lines.integer(timeout, "heartbeat", "whole seconds, or 0 for none", most=65_535)
    told = {
        key: Stated(value=value, place=timeout.place, directive="heartbeat", written=timeout.text)
        for key, value in (_heartbeat(seconds) if seconds else {"heartbeat": None}).items()
    }
    notices = (_notice(timeout, seconds),) if seconds else ()
    return stated.connection(name, word.place, told, notices=notices)


def _notice(word: Word, timeout_s: int) -> Notice:
    return Notice(
        word.place,
        "heartbeat",
        f"= {timeout_s} gives a silent peer up after {2 * timeout_s} s by the standard; RabbitMQ's "
        f"server and its Erlang client may take {3 * timeout_s} s",
    )


def _heartbeat(timeout_s: int) -> dict[str, float | int | None]:
    return {
        "heartbeat.every_s": timeout_s / 2,
        "heartbeat.timeout_s": timeout_s / 2,
        "heartbeat.misses": _MISSES,
        "heartbeat.apart": True,
    }


def _write(terms: Terms) -> str:
    refuse_others(terms, ("heartbeat",), "AMQP URLs")
    beat = terms.heartbeat
    if beat is None:
        return "amqp://HOST/%2f?heartbeat=0\n"
    timeout_s = round(beat.every_s * 2)
    wanted = (timeout_s / 2, timeout_s / 2, _MISSES)
    if (beat.every_s, beat.timeout_s, beat.misses) != wanted or not beat.apart:
        raise UsageError(
            "AMQP URLs: expected a heartbeat with timeout_s equal to every_s, in half seconds, "
            f"misses = {_MISSES} and apart = true, found every_s = {beat.every_s:g}, timeout_s = "
            f"{beat.timeout_s:g}, misses = {beat.misses}, apart = {str(beat.apart).lower()}. "
            "Fix: choose these"
        )
    return f"amqp://HOST/%2f?heartbeat={timeout_s}\n"


def _fits(_path: Path, text: str) -> bool:
    return urls.fits(text, _SCHEME)


FORMAT = Format(
    name="amqp",
    title="amqp:// URLs with RabbitMQ's parameters, one on each line",
    fits=_fits,
    read=read,
    write=_write,
)
