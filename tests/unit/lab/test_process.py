"""A program is killed and stopped with all that it started, also what has left its session and its
parent.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from harness.errors import SubjectError
from harness.lab.process import Program
from harness.lab.processes import MARK_VARIABLE
from harness.system import process_tree
from tests.unit.lab.test_processes import DAEMON

CHAIN = """
import os, time
print(os.getpid(), flush=True)
end = time.monotonic() + 20
while time.monotonic() < end:
    if os.fork():
        os._exit(7)
"""
"""Each of its processes starts the next one, in the same group, and ends at once."""


def _started(script: str) -> tuple[Program, int]:
    """A program with a mark, and the process whose ID it prints."""
    env = {**os.environ, MARK_VARIABLE: os.urandom(16).hex()}
    program = Program("daemon", [sys.executable, "-I", "-S", "-c", script], env, owns_children=True)
    return program, int(program.read_line(20.0))


def _state(pid: int) -> bytes:
    found = process_tree.read(pid)
    return b"" if found is None else found.state


def _await(pid: int, states: tuple[bytes, ...]) -> None:
    deadline = time.monotonic() + 20
    while _state(pid) not in states:
        assert time.monotonic() < deadline, _state(pid)
        time.sleep(0.001)


def test_a_daemon_goes_with_its_program() -> None:
    """It has a session of its own and another parent, and its program has ended by itself."""
    program, daemon = _started(DAEMON)
    assert program.wait(20.0) == 0
    assert _state(daemon) in (b"R", b"S")
    assert program.kill() == []
    assert _state(daemon) in (b"", b"Z"), "its new parent may not have asked about it yet"
    program.close()


def test_a_daemon_stands_still_with_its_program() -> None:
    """And goes on with it."""
    program, daemon = _started(
        DAEMON.replace("sys.exit()", "time.sleep(1000)", 1).replace(
            "getppid() == between", "getppid() < 0"
        )
    )
    with program.frozen():
        _await(daemon, (b"T",))
    _await(daemon, (b"S", b"R"))
    program.close()
    _await(daemon, (b"", b"Z"))


def test_a_chain_goes_with_its_program() -> None:
    """None of it is there for long enough to be found; its process group is."""
    program, first = _started(CHAIN)
    assert program.wait(20.0) == 7
    assert _state(first) == b"Z", "nobody else can have its number, or a group of that number"
    program.kill()
    time.sleep(0.05)
    groups = {each.group for each in process_tree.everyone().values() if not each.has_ended}
    assert first not in groups
    program.close()
    assert not Path(f"/proc/{first}").exists()


@pytest.mark.parametrize("keeps", [True, False])
def test_the_status_stays(*, keeps: bool) -> None:
    """While it is a zombie, after that, and when it is closed, as often as it is asked for."""
    argv = [sys.executable, "-I", "-S", "-c", "import sys; sys.exit(int(input()))"]
    with_status = Program("it", argv, owns_children=True, keeps_ended=keeps)
    with pytest.raises(SubjectError, match="expected an end within 0 s, found it running"):
        with_status.wait(0)
    assert with_status.poll() is None
    with_status.write(b"3\n")
    assert [with_status.wait(20.0), with_status.poll()] == [3, 3]
    assert (_state(with_status.pid) == b"Z") == keeps
    with_status.close()
    with_status.close()
    assert with_status.poll() == 3
    killed = Program("it", ["sleep", "60"])
    assert killed.kill() == []
    assert killed.poll() == -9
    killed.close()


def test_what_an_ended_program_was_to_read_is_no_error_at_its_end() -> None:
    """The order failed, and was told; closing what is left of it says nothing."""
    program = Program("ended", [sys.executable, "-I", "-S", "-c", ""], dict(os.environ))
    assert program.wait(20.0) == 0
    with pytest.raises(BrokenPipeError):
        program.write(b"read\n")
    program.close()


def test_input_is_offered_without_waiting() -> None:
    """It is taken while the program runs and there is room; a program that does not read is no
    trouble.
    """
    reads = Program("it", [sys.executable, "-I", "-S", "-c", "print(input(), flush=True)"])
    assert reads.offer(b"hello\n")
    assert reads.read_line(20.0) == b"hello"
    assert reads.wait(20.0) == 0
    assert not reads.offer(b"anybody?\n")
    reads.close()
    deaf = Program("it", [sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"])
    taken = [deaf.offer(bytes(4096)) for _ in range(100)]
    assert taken[0]
    assert not taken[-1]
    deaf.close()


def test_the_processes_of_a_program() -> None:
    """Its own while it runs, and what it left behind."""
    program, daemon = _started(DAEMON)
    assert program.wait(20.0) == 0
    assert program.running() == [daemon]
    program.close()
    alone = Program("it", [sys.executable, "-I", "-S", "-c", "input()"], owns_children=True)
    assert alone.running() == [alone.pid]
    alone.close()
    assert alone.running() == []
