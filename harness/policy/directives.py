"""Which of a file's directives a format reads, and which terms it can write."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from harness.errors import UsageError
from harness.policy.lines import Word, error
from harness.policy.settings import Terms

_WRITABLE = (
    "keepalive",
    "idle_s",
    "interval_s",
    "count",
    "user_timeout_s",
    "retries2",
    "heartbeat",
    "idle_close_s",
    "inactivity_close_s",
)
"""Settings of a program; demands, path and HZ are none."""


def chosen(
    pairs: Iterable[tuple[Word, Word]], known: Collection[str], *, last_counts: bool = False
) -> dict[str, Word]:
    """The values of the known directives.

    `last_counts`: the software documents that the last of several wins; otherwise a second one is
    refused. Raises PolicyError, also for a directive that differs from a known one only in
    capitals, separators or a plural, which the software would not read.
    """
    found: dict[str, Word] = {}
    folded = {_folded(each): each for each in known}
    for key, value in pairs:
        if key.text not in known:
            meant = folded.get(_folded(key.text))
            if meant is not None:
                raise error(key, meant, f"the name {meant}")
        elif key.text in found and not last_counts:
            raise error(value, key.text, "one value for it, as the one before, and no second")
        else:
            found[key.text] = value
    return found


def _folded(name: str) -> str:
    return re.sub(r"[-_.s]", "", name.lower())


def refuse_others(terms: Terms, writable: Collection[str], software: str) -> None:
    """Raise UsageError for a setting that the software has no directive for."""
    for key in _WRITABLE:
        value = getattr(terms, key)
        if value is not None and key not in writable:
            can = ", ".join(writable) or "none"
            raise UsageError(
                f"{software}: expected settings that it has a directive for ({can}), found {key}. "
                "Fix: choose another format"
            )
