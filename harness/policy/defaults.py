"""Values that a finding rests on and that nobody stated, each with its source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.policy.rule import Default
from harness.policy.settings import SYSTEM, Connection, Heartbeat

_SYSTEM_SOURCES = {
    "idle_s": "Linux's default (net.ipv4.tcp_keepalive_time)",
    "interval_s": "Linux's default (net.ipv4.tcp_keepalive_intvl)",
    "count": "Linux's default (net.ipv4.tcp_keepalive_probes)",
}


def among(connection: Connection, keys: Sequence[str]) -> tuple[Default, ...]:
    """Those of the keys that nobody stated; "heartbeat" stands for all its keys."""
    found = (each for key in keys for each in _of_key(connection, key))
    return tuple(dict.fromkeys(found))


def _of_key(connection: Connection, key: str) -> Iterator[Default]:
    terms, told = connection.terms, connection.defaults
    inner = [each for each in told if each.startswith(f"{key}.")]
    for each in [key] if key in told else inner:
        value = _value(connection, each)
        if value is not None:
            yield Default(each, value, told[each])
    if key in told:
        return
    if key in _SYSTEM_SOURCES and getattr(terms, key) is None and connection.keepalive:
        yield Default(key, getattr(SYSTEM, key), _SYSTEM_SOURCES[key])
    elif key == "keepalive" and terms.keepalive is None and not connection.keepalive:
        yield Default(key, value=False, source="Linux's default (SO_KEEPALIVE, socket(7))")


def _value(connection: Connection, key: str) -> bool | int | float | str | None:
    """In force; None where there is none that can be written in a line."""
    top, _, inner = key.partition(".")
    value = getattr(connection.terms, top)
    if inner and isinstance(value, Heartbeat):
        value = getattr(value, inner)
    if value is None and top in _SYSTEM_SOURCES:
        value = getattr(SYSTEM, top)
    return value if isinstance(value, bool | int | float | str) else None
