from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import CapabilityError
from harness.lab.namespace import ensure_privileges
from harness.venue.kernel import Kernel, find
from harness.venue.uml import memory_folder

pytest.register_assert_rewrite("tests.conformance.traces")


@pytest.fixture(scope="session", autouse=True)
def _privileges() -> None:
    """Labs need root or a user namespace; without either the tests are left out, with the reason."""
    try:
        ensure_privileges()
    except CapabilityError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def kernel() -> Kernel:
    """The newest kernel for virtual time that is built."""
    try:
        return find(None)
    except CapabilityError as reason:
        pytest.skip(f"virtual time is left out: {reason}")


@pytest.fixture
def memory(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of the test's own for its guests' memory; they must leave nothing in it."""
    del kernel
    folder = Path(tempfile.mkdtemp(prefix="test-", dir=memory_folder().path))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    left = list(folder.rglob("*"))
    shutil.rmtree(folder)
    assert not left
