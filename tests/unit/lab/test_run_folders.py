"""Folders for run directories where the user named none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.lab import run_folders
from harness.lab.namespace import boot_id


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A state folder of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "keepalive-harness"


def test_run_directories_are_removed_but_those_in_use(state: Path) -> None:
    """Folders of harnesses that are over go; that of a living process and what is not ours stay."""
    runs = state / "runs"
    living = run_folders.new(f"20260101-120000-{os.getpid()}")
    over = runs / "20260101-120000-4194999"
    for folder in (over / "outcomes", runs / "mine"):
        folder.mkdir(parents=True)
    (over / run_folders.RUN_MARK).write_text("4194999\n")
    assert run_folders.clean() == ([f"removed run directory {over}"], [])
    assert sorted(folder.name for folder in runs.iterdir()) == [living.name, "mine"]


def test_a_run_directory_of_another_container_is_in_use(state: Path) -> None:
    """Its process ID says nothing here: whether it runs is told by the lock of its mark."""
    program = (
        "import sys; from harness.lab import run_folders; print(run_folders.new('one')); "
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as elsewhere:
        assert elsewhere.stdout is not None
        folder = Path(elsewhere.stdout.readline().decode().strip())
        assert folder.parent == state / "runs"
        (folder / run_folders.RUN_MARK).write_text(f"4194999 {boot_id()}\n")
        run_folders.trim(0)
        assert (folder.exists(), run_folders.clean()) == (True, ([], []))
    run_folders.trim(0)
    assert not folder.exists()


def test_what_is_linked_to_is_not_removed(state: Path, tmp_path: Path) -> None:
    """Only folders that are in the state folder."""
    assert not state.exists()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / run_folders.RUN_MARK).write_text("4194999\n")
    (run_folders.new("one").parent / "linked").symlink_to(tmp_path / "elsewhere")
    assert run_folders.clean() == ([], [])
    run_folders.trim(0)
    assert (tmp_path / "elsewhere").is_dir()


def test_nothing_to_clean(state: Path) -> None:
    """Where nothing was ever run there is nothing to remove, and nothing is made."""
    assert run_folders.clean() == ([], [])
    run_folders.trim(0)
    assert not state.exists()
