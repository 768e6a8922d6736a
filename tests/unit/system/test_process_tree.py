"""Which processes belong to a program, whatever they did to be told from it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.lab.process import Program
from harness.system import process_tree

SCRIPT = """
import os, sys, time
if os.fork() == 0:
    if sys.argv[1] == "leaves":
        os.setsid()
    print("child", flush=True)
    time.sleep(1000)
if sys.argv[2] == "ends":
    sys.exit(7)
time.sleep(1000)
"""


@pytest.fixture(params=["stays", "leaves"])
def program(request: pytest.FixtureRequest) -> Iterator[Program]:
    """One with a child, in its session or in one of its own."""
    started = Program(
        "parent", [sys.executable, "-c", SCRIPT, request.param, "goes-on"], owns_children=True
    )
    assert started.read_line(20.0) == b"child"
    yield started
    started.close()


def test_children_go_with_their_program(program: Program) -> None:
    """Whether they have left its session or not; then nothing is left of it."""
    found = process_tree.members(program.pid, program.born)
    assert program.pid in found
    assert len(found) == 2
    assert process_tree.members(program.pid, program.born + 1) == {}
    program.kill()
    assert process_tree.members(program.pid, program.born) == {}


def test_children_stand_still_with_their_program(program: Program) -> None:
    """And go on with it."""

    def states() -> set[str]:
        found = process_tree.members(program.pid, program.born)
        return {
            Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
            for pid in found
        }

    with program.frozen():
        deadline = time.monotonic() + 10
        while states() != {"T"} and time.monotonic() < deadline:
            time.sleep(0.001)
        assert states() == {"T"}
    deadline = time.monotonic() + 10
    while "T" in states() and time.monotonic() < deadline:
        time.sleep(0.001)
    assert "T" not in states()


def test_children_go_after_their_program() -> None:
    """What a program leaves behind in its session is found when it is gone."""
    program = Program("parent", [sys.executable, "-c", SCRIPT, "stays", "ends"], owns_children=True)
    assert program.read_line(20.0) == b"child"
    assert program.wait(20.0) == 7
    assert len(process_tree.members(program.pid, program.born)) == 1
    program.close()
    assert process_tree.members(program.pid, program.born) == {}


def test_nobody_elses() -> None:
    """No session is nobody's; a process of ours is not one of another's session."""
    assert process_tree.members(0, 0) == {}
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        assert other.pid not in process_tree.members(other.pid + 1, 0)
        assert process_tree.born(other.pid) > 0
        other.kill()
    assert process_tree.born(other.pid) == 0
