"""The summary of a step of GitHub Actions: Markdown that its page shows."""

from __future__ import annotations

import os
from pathlib import Path

from harness.system import oserrors, streams

VARIABLE = "GITHUB_STEP_SUMMARY"
"""Names the file that a step appends to (GitHub's documentation, "Workflow commands")."""


def wanted() -> Path | None:
    """The file; None outside of a step."""
    given = os.environ.get(VARIABLE)
    return Path(given).absolute() if given else None


def add(markdown: str) -> None:
    """Append to the summary, where there is one. Where that is not possible, say so: it decides
    nothing.
    """
    path = wanted()
    if path is None:
        return
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(markdown)
    except OSError as error:
        streams.complain(f"{VARIABLE}: {oserrors.in_words(error, path)}")
