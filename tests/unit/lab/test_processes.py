"""What a program leaves behind is found by its mark or its network, and ends; nothing else does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from harness.errors import LabError
from harness.lab import origin, processes
from harness.lab.namespace import Network, boot_id
from harness.lab.processes import MARK_VARIABLE, Owned

DAEMON = """
import os, sys, time
if os.fork():
    sys.exit()
os.setsid()
between = os.getpid()
if os.fork():
    sys.exit()
while os.getppid() == between:
    time.sleep(0.001)
print(os.getpid(), flush=True)
time.sleep(1000)
"""
BREEDER = """
import os, sys, time
os.setsid()
print(os.getpid(), flush=True)
while True:
    if not os.fork():
        time.sleep(0.01)
        os._exit(0)
    time.sleep(0.002)
"""
"""When its processes are looked at there are others a moment later."""
CHAIN = """
import os, time
os.setsid()
print(os.getpid(), flush=True)
end = time.monotonic() + 20
while time.monotonic() < end:
    if os.fork():
        os._exit(0)
"""
"""Each of its processes starts the next one and ends at once.

It ends by itself, were it not ended.
"""


@pytest.fixture(params=[DAEMON, BREEDER, CHAIN], ids=["daemon", "breeder", "chain"])
def daemon(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[int, str]]:
    """The ID of a process that has left its parent and session, and the mark that it was started
    with.
    """
    token = os.urandom(16).hex()
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", request.param],
        stdout=subprocess.PIPE,
        env={MARK_VARIABLE: token},
        cwd=tmp_path,
    ) as parent:
        assert parent.stdout is not None
        started = int(parent.stdout.readline())
        if (
            request.param == DAEMON
        ):  # the process that started it bears the mark, too, until it has ended
            parent.wait(60)
        yield started, token
        for pid in _in(tmp_path):
            with suppress(ProcessLookupError):
                os.kill(pid, 9)


def _owned(token: str) -> Owned:
    """A program that was announced in this boot, and some time ago."""
    return Owned("echo on server", token, origin=msgspec.structs.replace(origin.here(), since=0))


def _in(folder: Path) -> list[int]:
    """The processes that work in a folder."""
    found = []
    for path in Path("/proc").glob("[1-9]*"):
        with suppress(OSError):
            if (path / "cwd").samefile(folder):
                found.append(int(path.name))
    return found


def test_a_mark_is_enough(daemon: tuple[int, str], tmp_path: Path) -> None:
    """A daemon has nobody's session and nobody for a parent, and ends with the program that it came
    from.
    """
    _, token = daemon
    lines, left = processes.end([_owned(token)])
    assert lines
    assert left == []
    assert all("(echo on server)" in line for line in lines)
    assert _in(tmp_path) == []
    assert processes.end([_owned(token)], held=True) == ([], [])


@pytest.mark.parametrize("daemon", [DAEMON], indirect=True)
def test_nothing_else_ends(
    daemon: tuple[int, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by another's mark, nor by the number of a network that is another one by now."""
    ended: list[object] = []
    monkeypatch.setattr(
        signal, "pidfd_send_signal", lambda *told: ended.append(told)
    )  # it is this machine's network
    inode = Path("/proc/self/ns/net").stat().st_ino
    other = Network(inode, cookie=2**63, boot=boot_id())
    assert processes.end(
        [
            Owned("other", "0123456789abcdef0123456789abcdef"),
            Owned("other", network=other),
            Owned("nothing"),
        ]
    ) == ([], [])
    assert (ended, _in(tmp_path)) == ([], [daemon[0]])


@pytest.mark.parametrize("daemon", [DAEMON], indirect=True)
def test_what_does_not_end_is_not_called_removed(
    daemon: tuple[int, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that waits for a disk heeds SIGKILL only later: nobody waits for it again and
    again.
    """
    pid, token = daemon
    told: list[object] = []
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda *said: told.append(said[1]))
    monkeypatch.setattr(processes, "DYING_S", 0.05)
    open_before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the folder is gone with the process
    owned = _owned(token)
    words = f"process {pid}: it has not ended 0.05 s after SIGKILL"
    assert processes.end([owned], held=True) == ([], [(owned, words)])
    assert (told, _in(tmp_path)) == ([signal.SIGSTOP, signal.SIGKILL], [pid])
    assert len(os.listdir("/proc/self/fd")) == open_before  # noqa: PTH208


def test_only_a_guest_ends_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anywhere else that would be what is other people's."""
    ended: list[object] = []
    monkeypatch.setattr(os, "kill", lambda *told: ended.append(told))
    monkeypatch.setattr(os, "waitpid", lambda *_: (_ for _ in ()).throw(ChildProcessError))
    with pytest.raises(LabError, match="expected to be process 1 of a guest, found process"):
        processes.end_everything_else()
    assert ended == []
    monkeypatch.setattr(os, "getpid", lambda: 1)
    processes.end_everything_else()
    assert ended == [(-1, signal.SIGKILL)]
