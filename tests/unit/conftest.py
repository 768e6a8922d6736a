from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.scenario import catalogue

Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a file in a fresh working directory, and give its path."""
    monkeypatch.chdir(tmp_path)

    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Write) -> Write:
    """The same in a catalogue that is otherwise empty."""
    monkeypatch.setattr(catalogue, "catalogue", lambda: tmp_path / "catalogue")
    (tmp_path / "catalogue").mkdir()
    return lambda name, content: write(f"catalogue/{name}", content)
