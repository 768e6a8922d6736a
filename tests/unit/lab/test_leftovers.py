"""What a killed run left is removed by name; what may be another's is left, and named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from harness.lab import leftovers, origin
from harness.lab.entries import Entry
from harness.lab.processes import MARK_VARIABLE
from harness.system import process_tree
from tests.unit.leftbehind import entry, left_behind, sleeper

pytestmark = pytest.mark.slow

AA, BB, CC = (uuid.uuid4().hex for _ in range(3))
"""Tokens of these tests in this process: cleaning ends every process that carries one, also another
worker's.
"""
ORPHAN = """
import os, sys, time
os.setsid()
if os.fork():
    sys.exit()
while os.getppid() == os.getsid(0):
    time.sleep(0.001)
print(os.getpid(), flush=True)
sys.stdin.read()
"""
"""It stays in a session whose first process is gone."""


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A state folder of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "keepalive-harness"


@pytest.fixture
def programs() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that are ended with the test."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def test_what_a_killed_run_left_is_removed_by_name(
    state: Path, programs: list[subprocess.Popen[bytes]]
) -> None:
    """Cleaning ends exactly the processes that carry a token from the ledger, and says so."""
    said = entry("program", AA, "redis on server"), entry("program", BB), Entry("done", BB)
    programs += [sleeper(AA), sleeper(BB), sleeper(CC)]
    path = left_behind(state, *said)
    removed, _ = leftovers.clean()
    assert removed == [
        f"removed process {programs[0].pid} (redis on server)",
        f"removed ledger {path}",
    ]
    assert programs[0].wait(5) == -signal.SIGKILL
    assert [program.poll() for program in programs[1:]] == [None, None]
    assert leftovers.clean() == ([], [])


def test_children_of_a_program_go_with_it(
    state: Path, programs: list[subprocess.Popen[bytes]]
) -> None:
    """The mark is inherited, so what a program has started is found too."""
    said = entry("program", AA, "a shell")
    shell = subprocess.Popen(
        ["/bin/sh", "-c", "sleep 60 & echo $!; exec sleep 61"],
        stdout=subprocess.PIPE,
        env={**os.environ, MARK_VARIABLE: AA},
    )
    programs.append(shell)
    assert shell.stdout is not None
    child = int(shell.stdout.readline())
    left_behind(state, said)
    removed, _ = leftovers.clean()
    assert {f"removed process {pid} (a shell)" for pid in (child, shell.pid)} == set(removed[:-1])


# --- strangers ----------------------------------------------------------------------------------


def _left(programs: list[subprocess.Popen[bytes]], said: Entry, state: Path) -> list[str]:
    """What cleaning says of processes that it leaves."""
    path = left_behind(state, said)
    done, kept = leftovers.clean()
    assert [program.poll() for program in programs] == [None] * len(programs)
    assert [line for line in done if line.startswith("removed process")] == []
    assert path.exists() == bool(kept), "what is named stays in the ledger"
    return kept


def test_a_marked_process_of_another_origin_is_left(
    state: Path, programs: list[subprocess.Popen[bytes]]
) -> None:
    """One that is older than the announcement, of another PID namespace, or of a ledger that does
    not say.
    """
    programs.append(sleeper(AA))
    here = origin.here()
    pid = programs[0].pid
    later = msgspec.structs.replace(here, since=here.since + 1000)
    elsewhere = msgspec.structs.replace(here, pids=here.pids + 1, since=0)
    for wrong in (later, elsewhere, None):
        kept = _left(programs, entry("program", AA, "it", origin=wrong), state)
        (named,) = [line for line in kept if "mark" in line]
        assert named.startswith(
            f"it: process {pid}: it has this program's mark, but another origin"
        ), wrong
    before_boot = msgspec.structs.replace(here, since=0, boot="other")
    assert _left(programs, entry("program", AA, origin=before_boot), state) == []


def test_what_may_be_in_another_container_is_named(
    state: Path, programs: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where not every process shows: its session's number is another one there.

    Its ledger stays for those who see.
    """
    programs.append(sleeper(BB))
    here = origin.here()
    elsewhere = msgspec.structs.replace(here, pids=here.pids + 1, since=0)
    said = entry(
        "program",
        AA,
        "it",
        session=os.getsid(0),
        born=process_tree.born(os.getsid(0)),
        origin=elsewhere,
    )
    monkeypatch.setattr(origin, "sees_everything", lambda: False)
    (line,) = _left(programs, said, state)
    assert line.startswith(
        f"it: it was started in another PID namespace (pid:[{here.pids + 1}]): clean there, or"
    )
    monkeypatch.setattr(origin, "sees_everything", lambda: True)
    assert _left(programs, said, state) == []


def test_nothing_is_ended_by_an_empty_token(
    state: Path, programs: list[subprocess.Popen[bytes]]
) -> None:
    """It is no token: processes without a mark have it, so to say, and those with an empty one."""
    programs += [sleeper(""), sleeper(AA)]
    (line,) = _left(programs, entry("program", "", "it"), state)
    assert line.startswith("line 1: expected a token of 32 hexadecimal digits, found ''")


def test_nothing_is_ended_by_a_sessions_number(
    state: Path, programs: list[subprocess.Popen[bytes]]
) -> None:
    """Not where the session's first process is gone, nor where it was born at another time."""
    argv = [sys.executable, "-I", "-S", "-c", ORPHAN]
    first = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    programs.append(sleeper(BB))
    began = process_tree.born(programs[0].pid)
    assert _left(programs, entry("program", AA, session=os.getsid(0), born=began), state) == []
    with first:
        assert first.stdout is not None
        orphan = int(first.stdout.readline())
        first.wait()
        seen = process_tree.read(orphan)
        assert seen is not None
        (line,) = _left(
            programs, entry("program", AA, "it", session=first.pid, born=seen.born - 1), state
        )
        assert line.startswith(
            f"it: process {orphan}: its session has the number of this program's, whose first"
        )
        assert process_tree.born(orphan) == seen.born, "it lives"
        assert (
            _left(programs, entry("program", AA, session=first.pid, born=seen.born + 1), state)
            == []
        ), "it is older"


def test_a_sessions_own_processes_end(state: Path, programs: list[subprocess.Popen[bytes]]) -> None:
    """A program may write over its environment: its first process, by ID and birth, tells its
    session then.
    """
    said = entry("program", AA, "redis")
    command = "sleep 60 & echo $!; exec sleep 61"
    shell = subprocess.Popen(
        ["/bin/sh", "-c", command], stdout=subprocess.PIPE, start_new_session=True
    )
    programs.append(shell)
    assert shell.stdout is not None
    child = int(shell.stdout.readline())
    left_behind(
        state, msgspec.structs.replace(said, session=shell.pid, born=process_tree.born(shell.pid))
    )
    removed, kept = leftovers.clean()
    assert {f"removed process {pid} (redis)" for pid in (child, shell.pid)} == set(removed[:-1])
    assert kept == []


# --- ledgers that are not as they should be -----------------------------------------------------


def test_a_torn_line_is_no_entry(state: Path) -> None:
    """A run killed while it announced something had not made it yet."""
    whole = entry("program", AA, "a")
    left_behind(
        state, Entry("done", CC), whole, msgspec.json.encode(entry("program", BB, "b"))[:-9]
    )
    ((_, read),) = leftovers.leftovers()
    assert read == ([whole], [])
    assert len(leftovers.clean().done) == 1


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (
            msgspec.json.encode(Entry("container", AA, "of a later version")),
            "a kind of entry that this version knows",
        ),
        (
            b'{"kind":"program","token":"aa"}',
            "expected a token of 32 hexadecimal digits, found 'aa'",
        ),
        (b'{"kind":"program"}', "expected an entry of a ledger, found"),
        (b'{"kind":"program","token":7}', "expected an entry of a ledger, found"),
        (b"\xff\xfe", "expected an entry of a ledger, found"),
        (b"", "expected an entry of a ledger, found"),
        (b"[" * 100_000, "expected an entry of a ledger, found"),
    ],
    ids=["kind", "token", "lacking", "type", "octets", "empty", "deep"],
)
def test_what_is_no_entry_is_left_and_named(
    state: Path, programs: list[subprocess.Popen[bytes]], line: bytes, found: str
) -> None:
    """Nothing is done about it, and the ledger stays; all the rest of it is done."""
    programs += [sleeper(AA)]
    path = left_behind(state, line + b"\n", said := entry("program", BB, "it"))
    assert said.origin is not None
    programs += [sleeper(BB)]
    done, kept = leftovers.clean()
    assert done == [f"removed process {programs[1].pid} (it)"]
    assert found in kept[0]
    assert kept[0].startswith("line 1: ")
    assert kept[0].endswith(f" (ledger {path})")
    assert programs[0].poll() is None
    assert path.exists()


@pytest.mark.parametrize(
    ("kind", "data", "found"),
    [
        (
            "docker",
            {"at": "unix://\0"},
            "d: expected to undo it, found ValueError: embedded null byte",
        ),
        ("docker", {"at": "tcp://["}, "d: docker: "),
        ("attached", {"at": 7}, "d: expected what this version writes down, found Expected `str`"),
        (
            "attached",
            {
                "at": "unix:///nowhere/docker.sock",
                "container": "c",
                "name": "n",
                "prefix": "filter",
            },
            "d: expected tables named after the entry's token, found 'filter'",
        ),
    ],
    ids=["null", "address", "type", "tables"],
)
def test_what_cannot_be_undone_keeps_nothing_else(
    state: Path, kind: str, data: object, found: str
) -> None:
    """It is named and kept. Nothing is done in a container that its entry cannot have done."""
    ours = state.parent / f"keepalive-guest-{1:012x}"
    ours.mkdir()
    left_behind(state, entry("program", BB, "ours", ours), entry(kind, AA, "d", data=data))
    done, kept = leftovers.clean()
    assert done == [f"removed folder {ours} (ours)"]
    assert [line.startswith(found) for line in kept] == [True], kept


def test_entries_of_earlier_versions_are_read(state: Path) -> None:
    """They name no folder and no origin, and need not say what they are of."""
    lines = (
        f'{{"kind":"program","token":"{AA}","what":""}}\n',
        f'{{"kind":"program","token":"{BB}"}}\n',
    )
    left_behind(state, *(line.encode() for line in lines))
    ((_, read),) = leftovers.leftovers()
    assert read.open == [Entry("program", AA), Entry("program", BB)]
    assert len(leftovers.clean().done) == 1


def test_a_ledger_that_goes_while_it_is_looked_at_is_passed_over(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its run ended well between the listing and the opening."""
    path = left_behind(state, entry("program", AA))
    real = Path.open

    def vanishing(self: Path, *arguments: str) -> object:
        path.unlink(missing_ok=True)
        return real(self, *arguments)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", vanishing)
    assert list(leftovers.leftovers()) == []


def test_a_ledger_that_cannot_be_read_is_named(state: Path) -> None:
    """And the others are cleaned."""
    path = left_behind(state, entry("program", AA))
    (state / "ledger" / "odd.jsonl").mkdir()
    done, kept = leftovers.clean()
    assert done == [f"removed ledger {path}"]
    assert kept[0].startswith("expected to read it, found Is a directory")


def test_nothing_to_clean(state: Path) -> None:
    """Where nothing was ever run there is nothing to remove, and nothing is made."""
    assert leftovers.clean() == ([], [])
    assert not state.exists()


# --- folders ------------------------------------------------------------------------------------


def test_a_killed_runs_folder_is_removed_by_name(state: Path, tmp_path: Path) -> None:
    """Only the folders of open entries go, and those that were never made are not missed."""
    left, settled, missing = (tmp_path / f"keepalive-guest-{number:012x}" for number in range(3))
    for folder in (left, settled):
        folder.mkdir()
    (left / "job.json").touch()
    lines = [
        entry("program", token, "a guest", folder)
        for token, folder in ((AA, left), (BB, settled), (CC, missing))
    ]
    path = left_behind(state, *lines, Entry("done", BB))
    assert leftovers.clean().done == [f"removed folder {left} (a guest)", f"removed ledger {path}"]
    assert not left.exists()
    assert settled.is_dir()


def test_what_is_no_folder_of_ours_is_not_removed(state: Path, tmp_path: Path) -> None:
    """It is left and named, and the ledger stays; the rest of it goes."""
    victim = tmp_path / "precious"
    victim.mkdir()
    link, ours = tmp_path / f"keepalive-guest-{1:012x}", tmp_path / f"keepalive-guest-{2:012x}"
    link.symlink_to(victim)
    ours.mkdir()
    wrong = (str(victim), str(link), f"{ours}/../precious", "precious", f"{victim}\0", "/")
    lines = [
        entry("program", uuid.uuid4().hex, f"guest {number}", at) for number, at in enumerate(wrong)
    ]
    path = left_behind(state, *lines, entry("program", AA, "ours", ours))
    done, kept = leftovers.clean()
    assert done == [f"removed folder {ours} (ours)"]
    assert [line.partition(",")[0] for line in kept] == [
        f"guest {number}: expected a folder that the harness made" for number in range(len(wrong))
    ]
    assert (victim.is_dir(), link.is_symlink(), path.exists()) == (True, True, True)
