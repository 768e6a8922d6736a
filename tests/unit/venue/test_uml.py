"""Guests, as far as no kernel is needed for it."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from harness.venue import uml


def test_a_console_without_end_is_cut(tmp_path: Path) -> None:
    """What a guest prints is kept up to a number of lines, each up to a length: its end is what is told of it."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as stdout, os.fdopen(writing, "wb", buffering=0) as console:
        process = cast("Any", SimpleNamespace(stdout=stdout))
        guest = uml.Guest(process, tmp_path, {})
        for number in range(uml.LINES_KEPT * 2):
            console.write(f"line {number}\n".encode())
            guest.read(0)
        assert len(guest.console) == uml.LINES_KEPT
        assert guest.console[-1] == f"line {number}"
        for _ in range(4 * uml.LONGEST_LINE // 4096):
            console.write(b"x" * 4096)
            guest.read(0)
        longest = max(map(len, guest.console))
        assert uml.LONGEST_LINE <= longest <= 2 * uml.LONGEST_LINE
