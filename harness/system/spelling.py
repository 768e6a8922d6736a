"""What a misspelled word may have been meant to be, for messages of every layer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def nearest(word: object, known: Iterable[str], *, most: int = 1) -> list[str]:
    """The known words that a misspelled one may have been meant to be, the nearest first."""
    import difflib  # on an error only

    if not isinstance(word, str):
        return []
    return difflib.get_close_matches(word, list(known), n=most)


def did_you_mean(word: object, known: Iterable[str], *, most: int = 1) -> str:
    """A hint for a misspelled word, or nothing."""
    return hint(nearest(word, known, most=most))


def hint(meant: Sequence[str]) -> str:
    """Words that may have been meant, or nothing where there are none."""
    return f" (did you mean {' or '.join(meant)}?)" if meant else ""
