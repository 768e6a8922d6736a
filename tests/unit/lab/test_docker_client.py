"""Processes of a container, as this machine's cgroups tell them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.errors import LabError
from harness.lab import docker_client


def test_all_processes_of_a_container() -> None:
    """Those in the cgroup of its first one: here this process's, and a child's."""
    group = Path("/proc/self/cgroup").read_text().splitlines()[0]
    container = SimpleNamespace(id=group, name="web", attrs={"State": {"Pid": os.getpid()}})
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE
    ) as child:
        found = docker_client.pids_of(container)
    assert found[0] == os.getpid()
    assert child.pid in found
    assert len(set(found)) == len(found)


def test_a_container_of_another_machine_has_none_here() -> None:
    """The process with the number that the daemon tells is somebody else's."""
    attrs = {"State": {"Pid": os.getpid()}}
    container = SimpleNamespace(id="c0ffee" * 8, name="web", attrs=attrs)
    with pytest.raises(LabError, match="expected container web to run on this machine"):
        docker_client.pids_of(container)
