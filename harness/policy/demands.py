"""Demands, path and HZ from elsewhere, for connections of files that do not state them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from harness.policy.settings import Connection, Terms

KEYS = (
    "detect_within_s",
    "detect_idle_within_s",
    "detect_in_flight_within_s",
    "survive_s",
    "path",
    "hz",
)
"""What says nothing about a program's settings: files of other software have no word for it."""
_SPECIAL = ("detect_idle_within_s", "detect_in_flight_within_s")
"""Stated by `detect_within_s`, too."""


def applied(connection: Connection, demands: Terms, keys: Iterable[str]) -> Connection:
    """The connection with these keys of `demands` where its file does not state them."""
    places = connection.places
    missing = {
        key: getattr(demands, key)
        for key in keys
        if key not in places and not (key in _SPECIAL and "detect_within_s" in places)
    }
    terms = msgspec.structs.replace(connection.terms, **missing)
    return msgspec.structs.replace(connection, terms=terms)
