"""The ledger: what a run made is written down first, and removed by name, whoever has to do it."""

from __future__ import annotations

import errno
import io
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.errors import LabError
from harness.lab import ledger, leftovers
from harness.lab.entries import Entry
from harness.lab.ledger import Ledger
from tests.unit.leftbehind import files, sleeper


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A state folder of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "keepalive-harness"


def entries(path: Path) -> list[Entry]:
    """What a ledger says, but for where and since when."""
    said = [msgspec.json.decode(line, type=Entry) for line in path.read_bytes().splitlines()]
    assert all(entry.origin is not None for entry in said if entry.kind != "done")
    return [msgspec.structs.replace(entry, origin=None) for entry in said]


@pytest.fixture
def programs() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that are ended with the test."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def test_what_is_made_is_on_disk_before_it_exists(state: Path) -> None:
    """An announcement is complete in the file when it returns; there is no file without one."""
    own = Ledger()
    assert files(state) == []
    token = own.announce("program", "echo on server")
    (path,) = files(state)
    assert path.suffix == ".jsonl"
    assert entries(path) == [Entry("program", token, "echo on server")]
    own.settle(token)


def test_the_file_goes_with_the_last_thing(state: Path) -> None:
    """Settled entries are struck out.

    When nothing is open the file is gone, and the next entry makes another.
    """
    own = Ledger()
    first, second = own.announce("program", "a"), own.announce("program", "b")
    assert first != second
    own.settle(first)
    (path,) = files(state)
    assert entries(path)[-1] == Entry("done", first)
    own.settle(second)
    assert files(state) == []
    third = own.announce("program", "c")
    assert files(state) not in ([], [path])
    own.settle(third)


def test_no_line_is_torn(state: Path) -> None:
    """Of an entry that the system has taken a part of nothing is left, and the next one has a line
    of its own.
    """
    own = Ledger()
    first = own.announce("program", "a")
    (path,) = files(state)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            own.announce("program", "b")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    last = own.announce("program", "c")
    assert entries(path) == [Entry("program", first, "a"), Entry("program", last, "c")]
    own.settle(first)
    own.settle(last)


def test_a_line_that_is_taken_in_parts_is_whole(tmp_path: Path) -> None:
    """As write(2) may take it, after a signal for instance."""

    class Slow(io.FileIO):
        def write(self, data: Any) -> int:
            return super().write(data[:7])

    with Slow(tmp_path / "ledger", "xb") as file:
        for line in (b"0123456789abcdef\n", b"next\n"):
            ledger._write_line(file, line)
    assert (tmp_path / "ledger").read_bytes() == b"0123456789abcdef\nnext\n"


def test_settling_twice_does_nothing(state: Path) -> None:
    """What is not open cannot be settled, and makes no file."""
    own = Ledger()
    token = own.announce("program", "a")
    own.settle(token)
    own.settle(token)
    own.settle("unheard of")
    assert files(state) == []


def test_a_living_runs_ledger_is_locked(state: Path) -> None:
    """While its process lives a ledger is nobody's leftover."""
    own = Ledger()
    token = own.announce("program", "a")
    assert list(leftovers.leftovers()) == []
    assert leftovers.clean() == ([], [])
    assert len(files(state)) == 1
    own.settle(token)


def test_what_is_open_at_the_end_is_removed(
    state: Path, programs: list[subprocess.Popen[bytes]]
) -> None:
    """Finishing kills what was announced and not settled, and only that."""
    own = Ledger()
    programs += [sleeper(own.announce("program", "mine")), sleeper("another's")]
    own.finish()
    assert programs[0].wait(5) == -signal.SIGKILL
    assert programs[1].poll() is None
    assert files(state) == []
    own.finish()


def test_what_is_open_is_removed_unheard(
    state: Path,
    programs: list[subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Also where nobody is left to be told of it, as when the terminal is gone."""
    own = Ledger()
    own.announce("docker", "a lab", data={"at": "unix:///nowhere/docker.sock"})
    programs += [sleeper(own.announce("program", "mine"))]
    with (tmp_path / "gone").open("w") as gone:
        monkeypatch.setattr(sys, "stderr", gone)
    own.finish()
    assert programs[0].wait(5) == -signal.SIGKILL
    assert files(state) == []


def test_what_is_over_is_not_noted(state: Path) -> None:
    """Nothing is done of which no ledger would know."""
    own = Ledger()
    token = own.announce("attached", "a container")
    own.settle(token)
    with pytest.raises(LabError, match="found that this harness is ending, or has let go of it"):
        own.note(token, {})
    assert files(state) == []


def test_a_fork_owns_nothing(state: Path) -> None:
    """A child process that exits leaves its parent's programs alone."""
    own = Ledger()
    token = own.announce("program", "a")
    own._owner = os.getpid() + 1
    own.finish()
    assert len(files(state)) == 1
    own.settle(token)


@pytest.mark.parametrize(
    "ending", ["sys.exit(3)", "raise KeyboardInterrupt", "os.kill(os.getpid(), signal.SIGINT)"]
)
def test_an_interrupted_process_leaves_nothing(state: Path, ending: str) -> None:
    """However an interpreter comes to its end by itself, the programs in its ledger end with it."""
    script = f"""
        import os, signal, subprocess, sys
        from harness.lab.ledger import LEDGER
        from harness.lab.processes import MARK_VARIABLE
        mark = {{**os.environ, MARK_VARIABLE: LEDGER.announce("program", "a")}}
        program = subprocess.Popen(["sleep", "60"], env=mark, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        print(program.pid, flush=True)
        {ending}
    """  # noqa: E501
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False
    )
    assert not Path(f"/proc/{done.stdout.strip()}/exe").exists()
    assert files(state) == []


def test_a_state_folder_that_cannot_be_written_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The error names the folder and the variable to set."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(
        LabError, match=f"Not a directory at {tmp_path}/file/.*; set XDG_STATE_HOME"
    ):
        Ledger().announce("program", "a")


def test_a_folder_goes_with_its_program(
    state: Path, tmp_path: Path, programs: list[subprocess.Popen[bytes]]
) -> None:
    """It is in the entry before it is made.

    At the end it is removed after its program, which might still write.
    """
    own = Ledger()
    folder, neighbour = (tmp_path / f"keepalive-guest-{number:012x}" for number in (1, 2))
    token = own.announce("program", "a guest", folder)
    assert entries(files(state)[0]) == [Entry("program", token, "a guest", str(folder))]
    (folder / "deeper").mkdir(parents=True)
    neighbour.mkdir()
    programs.append(sleeper(token))
    own.finish()
    assert programs[0].wait(5) == -signal.SIGKILL
    assert not folder.exists()
    assert neighbour.is_dir()
    assert files(state) == []


def test_nothing_is_begun_at_the_end(state: Path) -> None:
    """A thread that goes on while the interpreter exits can start nothing that would stay."""
    own = Ledger()
    own.announce("program", "a")
    own.finish()
    with pytest.raises(LabError, match="ending: another guest is not started"):
        own.announce("program", "another guest")
    assert files(state) == []


def test_what_goes_is_written_down_where_it_is_kept(state: Path, tmp_path: Path) -> None:
    """A folder with another name could not be removed by any ledger."""
    with pytest.raises(
        LabError, match="expected a folder with a name that the harness gives, found another name"
    ):
        Ledger().announce("program", "a guest", tmp_path / "mine")
    assert files(state) == []


def test_a_folder_that_cannot_be_removed_is_kept(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays in the ledger and is told of at the end; all the rest goes.

    `clean` removes it when it can.
    """
    own = Ledger()
    stubborn, other = (tmp_path / f"keepalive-scratch-{number:032x}" for number in (1, 2))
    tokens = [own.announce("program", folder.name[-1], folder) for folder in (stubborn, other)]
    for folder in (stubborn, other):
        (folder / "deeper").mkdir(parents=True)
    real = shutil.rmtree

    def refused(path: Path) -> None:
        if path == stubborn:
            raise OSError(errno.EBUSY, "Device or resource busy", str(path / "deeper"))
        real(path)

    monkeypatch.setattr(shutil, "rmtree", refused)
    for token in tokens:
        own.settle(token)
    assert (stubborn.is_dir(), other.is_dir()) == (True, False)
    own.finish()
    reason = (
        f"1: expected to remove folder {stubborn}, found Device or resource busy at "
        f"{stubborn}/deeper"
    )
    assert f"harness: left {reason}" in capsys.readouterr().err
    assert own._file is not None
    own._file.close()  # as at the end of its process
    (path,) = files(state)
    assert leftovers.clean().kept == [
        f"{reason}; clear that up, then run `harness clean` (ledger {path})"
    ]
    monkeypatch.undo()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert leftovers.clean().done == [f"removed folder {stubborn} (1)", f"removed ledger {path}"]
