from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.venue.guest_process import memory_folder
from harness.venue.kernel import Kernel


@pytest.fixture(scope="session", autouse=True)
def _privileges(privileges: None) -> None:
    """Every test here builds labs."""


@pytest.fixture
def memory(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A folder of the test's own for its guests' memory; they must leave nothing in it."""
    del kernel
    tmp_path_factory.getbasetemp()  # else pytest may make that in this folder
    folder = Path(tempfile.mkdtemp(prefix="test-", dir=memory_folder().path))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    left = list(folder.rglob("*"))
    shutil.rmtree(folder)
    assert not left
