"""The state folder is its user's alone, or it is refused with the fix."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from harness.batch import batch
from harness.errors import LabError, UsageError
from harness.lab import leftovers, run_folders
from harness.lab.ledger import Ledger
from harness.system import user_dirs


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the state folder of the test is."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "keepalive-harness"


def _mode(folder: Path) -> int:
    return folder.stat().st_mode & 0o7777


def test_where_the_state_folder_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """$XDG_STATE_HOME where it is absolute, else below the home, else (no home at all) a folder in
    /tmp.
    """
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert user_dirs.state_folder() == tmp_path / "keepalive-harness"
    monkeypatch.setenv("HOME", "/home/somebody")
    for ignored in ("relative/path", ""):
        monkeypatch.setenv("XDG_STATE_HOME", ignored)
        assert user_dirs.state_folder() == Path("/home/somebody/.local/state/keepalive-harness")


def test_it_is_made_for_its_user_alone(state: Path) -> None:
    """Whatever the umask says."""
    before = os.umask(0)
    try:
        assert user_dirs.make_state_folder() == state
    finally:
        os.umask(before)
    assert _mode(state) == 0o700
    assert user_dirs.make_state_folder() == user_dirs.found_state_folder() == state


def test_one_of_an_earlier_version_is_closed(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """That made it as the umask said, so that others could read it but not write.

    It is told of once.
    """
    (state / "ledger").mkdir(parents=True)
    state.chmod(0o755)
    for _ in range(2):
        assert user_dirs.found_state_folder() == state
        assert _mode(state) == 0o700
    said = f"harness: {state}, made by an earlier version, had mode 0755 and has 0700 now\n"
    assert capsys.readouterr() == ("", said)


def _everything_refuses(found: str) -> None:
    with pytest.raises(LabError, match=found):
        Ledger().announce("program", "a")
    for clean in (leftovers.clean, run_folders.clean):
        with pytest.raises(LabError, match=found):
            clean()
    with pytest.raises(UsageError, match=f"{found}.*; or name a folder for run directories"):
        batch.new_folder()


@pytest.mark.parametrize(
    ("mode", "inside"), [(0o777, "ledger"), (0o770, "runs"), (0o755, "other"), (0o750, "")]
)
def test_one_that_others_may_use_is_refused(state: Path, mode: int, inside: str) -> None:
    """Somebody else may have written it, or it is none of ours."""
    (state / inside).mkdir(parents=True)
    state.chmod(mode)
    _everything_refuses(
        f"found mode {mode:04o} at {state}; look at what is in it, then: chmod 700 {state}; or set"
    )
    assert _mode(state) == mode
    assert [path.name for path in state.iterdir()] == ([inside] if inside else [])


def test_a_link_is_refused(state: Path, tmp_path: Path) -> None:
    """To another folder of this user's, too."""
    state.parent.mkdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    state.symlink_to(tmp_path / "elsewhere")
    _everything_refuses(
        f"with mode 0700, and no symbolic link, found a symbolic link at {state}; set "
        "XDG_STATE_HOME"
    )
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_another_users_is_refused(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its mode is."""
    user_dirs.make_state_folder()
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    _everything_refuses(
        f"found {state} of user {mine}; run as that user, or set XDG_STATE_HOME to a folder "
        "that only"
    )


def test_without_a_home_nothing_is_taken_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whoever made a folder of that name in /tmp before."""

    def nobody(_: type[Path]) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", classmethod(nobody))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = user_dirs.make_state_folder()
    assert folder == tmp_path / f"keepalive-harness-{os.getuid()}"
    assert _mode(folder) == 0o700
    folder.chmod(0o707)
    _everything_refuses(f"found mode 0707 at {folder}")
