from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from harness.system import plain_files


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """A regular file, new or old, is as with the built-in functions."""
    path = tmp_path / "file"
    plain_files.write(path, b"first, and longer")
    plain_files.write(path, b"one \xff")
    assert plain_files.read(path) == b"one \xff"
    assert plain_files.read_text(path) == "one \N{REPLACEMENT CHARACTER}"


def test_a_file_is_made_once(tmp_path: Path) -> None:
    """Where something is in its place already, nothing is written, not even through a link to
    nowhere.
    """
    plain_files.create(tmp_path / "file", b"one")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("file", "link"):
        with pytest.raises(FileExistsError):
            plain_files.create(tmp_path / name, b"two")
    assert plain_files.read(tmp_path / "file") == b"one"
    assert not (tmp_path / "elsewhere").exists()


def test_no_link_is_followed(tmp_path: Path) -> None:
    """Neither to read what it points to nor to write there."""
    (tmp_path / "kept").write_bytes(b"kept")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        plain_files.read(tmp_path / "link")
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        plain_files.write(tmp_path / "link", b"lost")
    assert (tmp_path / "kept").read_bytes() == b"kept"


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    """Nobody writes into it, and nobody reads from it: both would wait for ever."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="no regular file"):
        plain_files.read(tmp_path / "fifo")
    with pytest.raises(OSError, match=os.strerror(errno.ENXIO)):
        plain_files.write(tmp_path / "fifo", b"lost")
