"""Defects of the harness: one line on standard error, and the traceback in a file.

Nothing here raises, since it may be called with a full disk or without memory.
"""

from __future__ import annotations

import secrets
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.system import streams
from harness.system.user_dirs import make_state_folder

FOLDER = "defects"
"""In the state folder."""


def tell(error: BaseException) -> None:
    """Print one line: nothing is proven, the error, the file with the traceback."""
    if isinstance(error, MemoryError):
        streams.complain(
            "expected memory, found none left; raise the limit (`ulimit -v`), or do less at "
            "once with --jobs N"
        )
        return
    try:
        text = "".join(traceback.format_exception(error))
        what = "".join(traceback.format_exception_only(error)).strip()
    except Exception:  # noqa: BLE001 - the exception's own text may be what fails
        text = what = type(error).__name__
    kept = _kept(text)
    if kept is None:
        streams.complain(f"no folder can be written, so the traceback is here:\n{text}")
    where = "above" if kept is None else f"in {kept}"
    streams.complain(
        f"a defect of the harness: {what}; nothing is proven or refuted. Please report the "
        f"traceback {where}"
    )


def _kept(text: str) -> Path | None:
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}.txt"
    for folder in _folders():
        try:
            path = folder() / name
            path.parent.mkdir(mode=0o700, exist_ok=True)
            with path.open("x", encoding="utf-8", errors="replace") as file:
                file.write(text)
        except Exception:  # noqa: BLE001, S112 - the next one may do
            continue
        return path
    return None


def _folders() -> Iterator[Callable[[], Path]]:
    yield lambda: make_state_folder() / FOLDER
    yield lambda: Path(tempfile.gettempdir())
