"""How to fix a finding in the words of the file: `clitcpka-idle` for `idle_s`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.policy import words
from harness.policy.settings import Connection

_OF_CLOSING = ("keepalive", "idle_close_s", "inactivity_close_s")
"""Keys of a finding that say how to fix it where keepalive is off alone."""


def in_file(fix: str, connection: Connection, keys: Sequence[str]) -> str:
    """The fix, with what the file calls the keys, where that is known.

    A URL has no place, and options begin with two hyphens.
    """
    by_directive: dict[str, list[str]] = {}
    for each in dict.fromkeys(inner for key in keys for inner in _known(connection, key)):
        by_directive.setdefault(connection.directives[each], []).append(each)
    if not by_directive:
        return fix
    said = [f"{directive} for {words.enumerated(each)}" for directive, each in by_directive.items()]
    where = "in this file" if connection.place else "as parameters"
    where = "as options" if all(each.startswith("--") for each in by_directive) else where
    return f"{fix} ({where}: {'; '.join(said)})"


def _known(connection: Connection, key: str) -> Iterator[str]:
    """The key, or those of a heartbeat, as far as the file has words for them."""
    if connection.keepalive and key in _OF_CLOSING and key != "inactivity_close_s":
        return
    for each in connection.directives:
        if each == key or each.startswith(f"{key}."):
            yield each
