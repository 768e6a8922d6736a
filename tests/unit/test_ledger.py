"""The ledger: what a run made is written down first, and removed by name, whoever has to do it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from harness.errors import LabError
from harness.lab import ledger, places
from harness.lab.ledger import Entry, Ledger
from harness.lab.namespace import boot_id
from harness.lab.processes import MARK_VARIABLE

AA, BB, CC = (f"{name}-{os.getpid()}" for name in ("aa", "bb", "cc"))
"""Tokens of these tests in this process: cleaning ends every process that carries one, also another worker's."""
SLEEP = [sys.executable, "-I", "-S", "-c", "import sys; print(flush=True); sys.stdin.read()"]


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A state folder of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "keepalive-harness"


def files(state: Path) -> list[Path]:
    """The ledgers on disk."""
    return sorted((state / "ledger").glob("*"))


def entries(path: Path) -> list[Entry]:
    """What a ledger says."""
    return [msgspec.json.decode(line, type=Entry) for line in path.read_bytes().splitlines()]


def sleeper(token: str) -> subprocess.Popen[bytes]:
    """A program that carries a token and has begun."""
    process = subprocess.Popen(
        SLEEP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, MARK_VARIABLE: token}
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.fixture
def programs() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that are ended with the test."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def left_behind(state: Path, *lines: bytes) -> Path:
    """A ledger whose run is over."""
    path = state / "ledger" / "old.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(lines))
    return path


def line(kind: str, token: str, what: str = "") -> bytes:
    """One line of a ledger."""
    return msgspec.json.encode(Entry(kind, token, what)) + b"\n"


# --- one's own -------------------------------------------------------------------------------------------


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
    """Settled entries are struck out; when nothing is open the file is gone, and the next entry makes another."""
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
    assert list(ledger.leftovers()) == []
    assert ledger.clean() == ([], [])
    assert len(files(state)) == 1
    own.settle(token)


def test_what_is_open_at_the_end_is_removed(state: Path, programs: list[subprocess.Popen[bytes]]) -> None:
    """Finishing kills what was announced and not settled, and only that."""
    own = Ledger()
    programs += [sleeper(own.announce("program", "mine")), sleeper("another's")]
    own.finish()
    assert programs[0].wait(5) == -signal.SIGKILL
    assert programs[1].poll() is None
    assert files(state) == []
    own.finish()


def test_what_is_open_is_removed_unheard(
    state: Path, programs: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
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


@pytest.mark.parametrize("ending", ["sys.exit(3)", "raise KeyboardInterrupt", "os.kill(os.getpid(), signal.SIGINT)"])
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
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)
    assert not Path(f"/proc/{done.stdout.strip()}/exe").exists()
    assert files(state) == []


def test_a_state_folder_that_cannot_be_written_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error names the folder and the variable to set."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(LabError, match=f"Not a directory at {tmp_path}/file/.*; set XDG_STATE_HOME"):
        Ledger().announce("program", "a")


def test_where_the_state_folder_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """$XDG_STATE_HOME where it is absolute, else below the home, else (no home at all) a folder in /tmp."""
    assert places.state_folder() == tmp_path / "keepalive-harness"
    monkeypatch.setenv("HOME", "/home/somebody")
    for ignored in ("relative/path", ""):
        monkeypatch.setenv("XDG_STATE_HOME", ignored)
        assert places.state_folder() == Path("/home/somebody/.local/state/keepalive-harness")

    def nobody(_: type[Path]) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", classmethod(nobody))
    assert places.state_folder().name == f"keepalive-harness-{os.getuid()}"


# --- others' ---------------------------------------------------------------------------------------------


def test_what_a_killed_run_left_is_removed_by_name(state: Path, programs: list[subprocess.Popen[bytes]]) -> None:
    """Cleaning ends exactly the processes that carry a token from the ledger, and says so."""
    programs += [sleeper(AA), sleeper(BB), sleeper(CC)]
    path = left_behind(state, line("program", AA, "redis on server"), line("program", BB), line("done", BB))
    removed, _ = ledger.clean()
    assert removed == [f"removed process {programs[0].pid} (redis on server)", f"removed ledger {path}"]
    assert programs[0].wait(5) == -signal.SIGKILL
    assert [program.poll() for program in programs[1:]] == [None, None]
    assert ledger.clean() == ([], [])


def test_children_of_a_program_go_with_it(state: Path, programs: list[subprocess.Popen[bytes]]) -> None:
    """The mark is inherited, so what a program has started is found too."""
    shell = subprocess.Popen(
        ["/bin/sh", "-c", "sleep 60 & echo $!; exec sleep 61"],
        stdout=subprocess.PIPE,
        env={**os.environ, MARK_VARIABLE: AA},
    )
    programs.append(shell)
    assert shell.stdout is not None
    child = int(shell.stdout.readline())
    left_behind(state, line("program", AA, "a shell"))
    removed, _ = ledger.clean()
    assert {f"removed process {pid} (a shell)" for pid in (child, shell.pid)} == set(removed[:-1])


def test_a_torn_line_is_no_entry(state: Path) -> None:
    """A run killed while it announced something had not made it yet."""
    whole = line("program", AA, "a")
    left_behind(state, line("done", "unknown"), whole, line("program", BB, "b")[:-9])
    ((_, found),) = ledger.leftovers()
    assert found == [Entry("program", AA, "a")]
    assert len(ledger.clean().done) == 1


def test_other_kinds_of_entries_are_left_alone(state: Path, programs: list[subprocess.Popen[bytes]]) -> None:
    """Only what is called a program is a process to end."""
    programs.append(sleeper(AA))
    path = left_behind(state, line("container", AA, "of a later version"))
    assert ledger.clean().done == [f"removed ledger {path}"]
    assert programs[0].poll() is None


def test_a_ledger_that_goes_while_it_is_looked_at_is_passed_over(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its run ended well between the listing and the opening."""
    path = left_behind(state, line("program", AA))
    real = Path.open

    def vanishing(self: Path, *arguments: str) -> object:
        path.unlink(missing_ok=True)
        return real(self, *arguments)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", vanishing)
    assert list(ledger.leftovers()) == []


def test_run_directories_are_removed_but_those_in_use(state: Path) -> None:
    """Folders of harnesses that are over go; that of a living process and what is not ours stay."""
    runs = state / "runs"
    living = ledger.new_run_folder(f"20260101-120000-{os.getpid()}")
    over = runs / "20260101-120000-4194999"
    for folder in (over / "outcomes", runs / "mine"):
        folder.mkdir(parents=True)
    (over / ledger.RUN_MARK).write_text("4194999\n")
    assert ledger.clean_runs() == [f"removed run directory {over}"]
    assert sorted(folder.name for folder in runs.iterdir()) == [living.name, "mine"]


def test_a_run_directory_of_another_container_is_in_use(state: Path) -> None:
    """Its process ID says nothing here: whether it runs is told by the lock of its mark."""
    program = "import sys; from harness.lab import ledger; print(ledger.new_run_folder('one')); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as elsewhere:
        assert elsewhere.stdout is not None
        folder = Path(elsewhere.stdout.readline().decode().strip())
        assert folder.parent == state / "runs"
        (folder / ledger.RUN_MARK).write_text(f"4194999 {boot_id()}\n")
        ledger.trim_runs(0)
        assert (folder.exists(), ledger.clean_runs()) == (True, [])
    ledger.trim_runs(0)
    assert not folder.exists()


def test_nothing_to_clean(state: Path) -> None:
    """Where nothing was ever run there is nothing to remove, and nothing is made."""
    assert ledger.clean().done == ledger.clean_runs() == []
    assert not state.exists()


# --- folders ---------------------------------------------------------------------------------------------


def test_a_folder_goes_with_its_program(state: Path, tmp_path: Path, programs: list[subprocess.Popen[bytes]]) -> None:
    """It is in the entry before it is made; at the end it is removed after its program, which might still write."""
    own = Ledger()
    folder, neighbour = tmp_path / "guest-1", tmp_path / "guest-2"
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


def test_a_killed_runs_folder_is_removed_by_name(state: Path, tmp_path: Path) -> None:
    """Only the folders of open entries go, and those that were never made are not missed."""
    left, settled, missing = (tmp_path / name for name in ("left", "settled", "missing"))
    for folder in (left, settled):
        folder.mkdir()
    (left / "job.json").touch()
    lines = [
        msgspec.json.encode(Entry("program", token, "a guest", str(folder))) + b"\n"
        for token, folder in ((AA, left), (BB, settled), (CC, missing))
    ]
    path = left_behind(state, *lines, line("done", BB))
    assert ledger.clean().done == [f"removed folder {left} (a guest)", f"removed ledger {path}"]
    assert not left.exists()
    assert settled.is_dir()


def test_entries_of_earlier_versions_are_read(state: Path) -> None:
    """They name no folder, and need not say what they are of."""
    lines = (f'{{"kind":"program","token":"{AA}","what":""}}\n', f'{{"kind":"program","token":"{BB}"}}\n')
    left_behind(state, *(line.encode() for line in lines))
    ((_, found),) = ledger.leftovers()
    assert found == [Entry("program", AA), Entry("program", BB)]
    assert len(ledger.clean().done) == 1


def test_what_is_no_folder_of_ours_is_not_removed(state: Path, tmp_path: Path) -> None:
    """A link in its place is an error that says so, and the ledger stays."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    entry = Entry("program", AA, "a guest", str(tmp_path / "link"))
    path = left_behind(state, msgspec.json.encode(entry) + b"\n")
    with pytest.raises(LabError, match=f"expected to remove folder {tmp_path}/link"):
        ledger.clean()
    assert path.exists()
    assert (tmp_path / "elsewhere").is_dir()


def test_nothing_is_begun_at_the_end(state: Path) -> None:
    """A thread that goes on while the interpreter exits can start nothing that would stay."""
    own = Ledger()
    own.announce("program", "a")
    own.finish()
    with pytest.raises(LabError, match="ending: another guest is not started"):
        own.announce("program", "another guest")
    assert files(state) == []
