"""Folders that were made for one program are removed, whatever it did to them, and no others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import LabError
from harness.lab import folders, namespace


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One in which every user may write."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def test_what_a_program_closed_is_removed(open_folder: Path) -> None:
    """Folders without any right, or that may not be written to, as of Go's modules.

    Root has none that is closed.
    """
    if os.geteuid() == 0 and not namespace.is_root():
        pytest.skip("there is no other user in this user namespace, as whom this could be tried")
    folder = open_folder / f"keepalive-scratch-{1:032x}"
    program = f"""
        import os, sys
        from pathlib import Path
        from harness.lab import folders
        if os.geteuid() == 0:
            os.setresuid(65534, 65534, 65534)
        folder = Path({str(folder)!r})
        (folder / "a" / "b").mkdir(parents=True)
        (folder / "a" / "b" / "file").touch()
        (folder / "link").symlink_to("/")
        for path, mode in ((folder / "a" / "b", 0o500), (folder / "a", 0), (folder, 0)):
            path.chmod(mode)
        print(folders.remove(folder), folders.remove(folder))
    """
    lines = "\n".join(line[8:] for line in program.splitlines())
    done = subprocess.run(
        [sys.executable, "-c", lines], capture_output=True, text=True, check=False
    )
    assert done.stdout == "True False\n", done.stderr
    assert not folder.exists()


def test_what_goes_meanwhile_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who made it may be removing it too."""
    folder = tmp_path / f"keepalive-lab-{1:032x}"
    folder.mkdir()
    real = shutil.rmtree

    def overtaken(path: Path) -> None:
        real(path)
        raise FileNotFoundError(2, "No such file or directory", str(path / "a"))

    monkeypatch.setattr(shutil, "rmtree", overtaken)
    assert folders.remove(folder)


def test_another_users_is_not_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its name is."""
    folder = tmp_path / f"keepalive-lab-{1:032x}"
    folder.mkdir()
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    with pytest.raises(
        LabError, match=f"expected a folder that the harness made, found a folder of user {mine}"
    ):
        folders.remove(folder)
    assert folder.is_dir()
