"""What a misspelled word may have been meant to be, for messages of every layer."""

from __future__ import annotations

from collections.abc import Iterable

MEANT: dict[str, tuple[str, ...]] = {
    "host-down": ("link-down", "host-suspend", "peer-reboot"),
    "host-crash": ("link-down", "peer-reboot"),
    "host-reboot": ("peer-reboot",),
    "power-off": ("link-down",),
    "cable-pulled": ("carrier-loss",),
    "partition": ("blackhole",),
}
"""Words that people try for faults that have other names."""


def nearest(word: object, known: Iterable[str], *, most: int = 1) -> list[str]:
    """The known words that a misspelled one may have been meant to be, the nearest first."""
    import difflib  # on an error only

    if not isinstance(word, str):
        return []
    names = list(known)
    meant = [name for name in MEANT.get(word, ()) if name in names][:most]
    return meant or difflib.get_close_matches(word, names, n=most)


def did_you_mean(word: object, known: Iterable[str], *, most: int = 1) -> str:
    """A hint for a misspelled word, or nothing."""
    near = nearest(word, known, most=most)
    return f" (did you mean {' or '.join(near)}?)" if near else ""
