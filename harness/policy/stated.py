"""From what a file of other software states, and what the software fills in, to a connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from harness.errors import PolicyError
from harness.policy.settings import Connection, Notice, Place, Terms
from harness.policy.validation import problems


class Stated(msgspec.Struct, frozen=True, kw_only=True):
    """A value that a file states, in the unit of `Terms`.

    `directive`: what the software calls it; `written`: the value as it stands in the file.
    """

    value: Any
    place: Place
    directive: str
    written: str


class Filled(msgspec.Struct, frozen=True):
    """A value that the file does not state and the software fills in.

    None for one that the software leaves to the system. `source`: whose default, and where it is
    documented, such as "redis-server's default (redis.conf, tcp-keepalive)".
    """

    value: Any
    source: str


def connection(
    name: str,
    place: Place,
    stated: Mapping[str, Stated],
    filled: Mapping[str, Filled] | None = None,
    notices: Sequence[Notice] = (),
    directives: Mapping[str, str] | None = None,
) -> Connection:
    """The connection of that name, which stands at `place`.

    Keys are those of `Terms`; of a heartbeat "heartbeat.every_s". What is stated comes before what
    is filled in. `directives`: what the software calls keys that the file does not state, too.
    Raises PolicyError, at the value that the kernel would refuse.
    """
    defaults = {key: each for key, each in (filled or {}).items() if key not in stated}
    values = {key: each.value for key, each in stated.items()}
    values |= {key: each.value for key, each in defaults.items()}
    raw: dict[str, Any] = {}
    for key, value in values.items():
        top, _, inner = key.partition(".")
        if inner:
            raw.setdefault(top, {})[inner] = value
        elif value is not None:
            raw[key] = value
    return Connection(
        name=name,
        terms=_terms(raw, place, stated),
        place=place,
        places=_places(stated),
        defaults={key: each.source for key, each in defaults.items()},
        directives={**(directives or {}), **{key: each.directive for key, each in stated.items()}},
        notices=tuple(notices),
    )


def _places(stated: Mapping[str, Stated]) -> dict[str, Place]:
    """By key; a table stands where its first value does."""
    places: dict[str, Place] = {}
    for key, each in stated.items():
        places[key] = each.place
        places.setdefault(key.partition(".")[0], each.place)
    return places


def _terms(raw: dict[str, Any], place: Place, stated: Mapping[str, Stated]) -> Terms:
    try:
        terms = msgspec.convert(raw, Terms)
    except (msgspec.ValidationError, OverflowError):
        from harness.scenario import decode_errors  # slow to load

        for each in decode_errors.complaints(raw, Terms):
            expected, found = each.expected, stated.get(each.key)
            if found is not None and found.written != str(found.value) and "." not in each.key:
                # What is written in another unit is no mistake of milliseconds for seconds.
                expected = decode_errors.in_words(_kind(each.key), each.key)
            raise _error(each.key, each.value, expected, place, stated) from None
        raise
    for problem in problems(terms):
        raise _error(problem.key, problem.value, problem.expected, place, stated)
    return terms


def _error(
    key: str, value: object, expected: str, place: Place, stated: Mapping[str, Stated]
) -> PolicyError:
    found = stated.get(key)
    if found is None:
        return PolicyError(str(place), key, value, expected)
    from harness.scenario.decode_errors import Plainly  # slow to load

    return PolicyError(str(found.place), found.directive, Plainly(found.written), expected)


def _kind(key: str) -> msgspec.inspect.Type:
    """The type of a key of `Terms`."""
    from msgspec import inspect  # slow to load

    terms = inspect.type_info(Terms)
    assert isinstance(terms, inspect.StructType)
    return next(each.type for each in terms.fields if each.name == key)
