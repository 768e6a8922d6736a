"""Errors of the operating system: the path, and what to name instead of it."""

from __future__ import annotations

import argparse
import errno
import os
import re
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.cli import main
from harness.errors import UsageError
from harness.system import oserrors

FULL = "No space left on device"


def error(number: int, path: Path | str | None = None) -> OSError:
    """As the kernel's, with the path where the call had one."""
    return (
        OSError(number, os.strerror(number))
        if path is None
        else OSError(number, os.strerror(number), str(path))
    )


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """State, cache, temporary files and results, each in a folder of its own."""
    for name, variable in {
        "state": "XDG_STATE_HOME",
        "cache": "XDG_CACHE_HOME",
        "tmp": "TMPDIR",
    }.items():
        (tmp_path / name).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / name))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "out").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("place", "instead"),
    [
        ("out/a/plan.json", "name another folder with --out DIR"),
        (
            "state/keepalive-harness/runs/x",
            "name another folder with --out DIR or the variable XDG_STATE_HOME",
        ),
        ("cache/keepalive-harness/kernels", "name another folder with the variable XDG_CACHE_HOME"),
        ("tmp/guest", "name another folder with the variable TMPDIR"),
        ("elsewhere", "name another place"),
    ],
)
def test_what_to_name_instead_goes_by_the_folder(folders: Path, place: str, instead: str) -> None:
    """Full or forbidden, with the whole path."""
    path, out = folders / place, folders / "out"
    said = oserrors.in_words(error(errno.ENOSPC, path), out)
    assert said == f"expected room to write, found {FULL} at {path}; free some, or {instead}"
    said = oserrors.in_words(error(errno.EROFS, path), out)
    assert (
        said
        == f"expected a place that can be written, found Read-only file system at {path}; {instead}"
    )


@pytest.mark.parametrize(
    ("full", "instead"),
    [
        ("out", "--out DIR"),
        ("state", "XDG_STATE_HOME"),
        ("cache", "XDG_CACHE_HOME"),
        ("tmp", "TMPDIR"),
    ],
)
def test_a_write_without_a_path_is_traced_to_the_full_folder(
    folders: Path, full: str, instead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of those that the harness writes to, by the room that is left there."""

    def room(path: Path) -> SimpleNamespace:
        return SimpleNamespace(
            f_bavail=0 if path.is_relative_to(folders / full) else 1 << 20, f_frsize=4096
        )

    monkeypatch.setattr(os, "statvfs", room)
    said = oserrors.in_words(error(errno.ENOSPC), folders / "out")
    assert said.startswith(f"expected room to write, found {FULL} in {folders / full}")
    assert instead in said
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=1 << 20, f_frsize=4096))
    said = oserrors.in_words(error(errno.ENOSPC))
    assert all(name in said for name in ("--out DIR", "XDG_STATE_HOME", "XDG_CACHE_HOME", "TMPDIR"))


def test_a_report_that_does_not_fit_is_named(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's error of a write has no path."""

    def full(*_: object) -> int:
        raise error(errno.ENOSPC)

    monkeypatch.setattr(Path, "write_bytes", full)
    path = folders / "report.json"
    with pytest.raises(UsageError) as caught:
        oserrors.write(path, b"{}")
    assert str(caught.value) == (
        f"expected room for a report, found {FULL} at {path}; free some, or name another file"
    )


def test_any_other_error_is_told_with_its_path() -> None:
    """In the system's words."""
    assert oserrors.in_words(error(errno.ENOENT, "/x")) == "No such file or directory at /x"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM])
def test_limits_of_the_machine(number: int) -> None:
    """They have no path, but a fix, and nothing was wrong with what was asked for."""
    said = oserrors.in_words(error(number))
    assert re.fullmatch(
        r"expected .+, found .+; raise .+, or do less at once with --jobs N", said
    ), said
    assert (oserrors.exit_status(error(number)), oserrors.exit_status(error(errno.ENOSPC))) == (
        3,
        2,
    )
    assert oserrors.in_words(OSError("of a library")) == "of a library"


def test_the_command_line_says_it(
    folders: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On one line, with exit status 2."""
    path = folders / "out" / "x"

    def failing(_: argparse.Namespace) -> int:
        raise error(errno.ENOSPC, path)

    monkeypatch.setitem(main.COMMANDS, "run", failing)
    assert main.main(["run", "--out", str(folders / "out")]) == 2
    said = (
        f"expected room to write, found {FULL} at {path}; free some, or name another folder with "
        "--out DIR"
    )
    assert capsys.readouterr().err == f"harness: {said}\n"
