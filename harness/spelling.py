"""What a misspelled word may have been meant to be, for messages of every layer."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(word: object, known: Iterable[str], *, most: int = 1) -> str:
    """A hint for a misspelled word, or nothing."""
    import difflib  # on an error only

    near = difflib.get_close_matches(word, list(known), n=most) if isinstance(word, str) else []
    return f" (did you mean {' or '.join(near)}?)" if near else ""
