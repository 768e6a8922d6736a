"""What a misspelled word may have been meant to be, for messages of every layer."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: object, known: Iterable[str], *, most: int = 1) -> list[str]:
    """The known words that a misspelled one may have been meant to be, the nearest first."""
    import difflib  # on an error only

    return difflib.get_close_matches(word, list(known), n=most) if isinstance(word, str) else []


def did_you_mean(word: object, known: Iterable[str], *, most: int = 1) -> str:
    """A hint for a misspelled word, or nothing."""
    near = nearest(word, known, most=most)
    return f" (did you mean {' or '.join(near)}?)" if near else ""
