"""What a machine can do: found out by trying, told with a fix."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from harness import capabilities
from harness.capabilities import Capability
from harness.errors import CapabilityError, LabError
from harness.lab import docker_client
from harness.system import kernel_clock
from harness.venue import guest_process, kernel, trial
from harness.venue.kernel import Kernel, Manifest


def test_hz_is_one_that_kernels_have() -> None:
    """It comes from the resolution of the coarse clock, which is one jiffy."""
    hz, source = kernel_clock.hz()
    assert hz in (100, 250, 300, 1000)
    assert source.startswith("clock_getres(CLOCK_MONOTONIC_COARSE) = ")


@pytest.mark.parametrize(
    ("resolution_s", "hz"),
    [(0.01, 100), (0.004, 250), (0.003333333, 300), (0.001, 1000), (0.001953125, 512)],
)
def test_hz_from_a_jiffy(resolution_s: float, hz: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A jiffy of 3333333 ns is HZ=300."""
    monkeypatch.setattr("time.clock_getres", lambda _: resolution_s)
    assert kernel_clock.hz.__wrapped__()[0] == hz


def attempted(error: Exception | None) -> Capability:
    """A trial that fails, or does not."""

    def trial() -> str:
        if error is not None:
            raise error
        return "all of it"

    return capabilities._attempt("thing", trial, "scenarios", "CONFIG_THING")


def test_what_works_is_available() -> None:
    """With what was found, and nothing to fix."""
    found = attempted(None)
    assert (found.available, found.found, found.fix) == (True, "all of it", "")


@pytest.mark.parametrize(
    ("error", "found", "fix"),
    [
        (
            CapabilityError("thing", "not there", "apt-get install thing"),
            "not there",
            "apt-get install thing",
        ),
        (
            LabError("expected a bridge, found none"),
            "expected a bridge, found none",
            "CONFIG_THING",
        ),
        (
            OSError(95, "Operation not supported"),
            "[Errno 95] Operation not supported",
            "CONFIG_THING",
        ),
    ],
)
def test_what_fails_has_a_fix(error: Exception, found: str, fix: str) -> None:
    """The error's own, or the option of the kernel that the trial needs."""
    missing = attempted(error)
    assert (missing.available, missing.found) == (False, found)
    assert fix in missing.fix


def test_without_namespaces_nothing_else_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs them cannot be told; all that is missing has a fix and a use."""

    def refused() -> str:
        raise CapabilityError("network namespaces", "not allowed", "run as root")

    monkeypatch.setattr(capabilities, "_namespaces", refused)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setenv("XDG_CACHE_HOME", "/nonexistent")
    found = {item.name: item for item in capabilities.survey()}
    assert list(found) == ["kernel", "namespaces", "virtual time", "docker", "toxiproxy-server"]
    missing = [item for item in found.values() if not item.available]
    assert [(item.name, item.essential) for item in missing] == [
        ("namespaces", True),
        ("virtual time", False),
        ("docker", False),
        ("toxiproxy-server", False),
    ]
    assert all(item.fix and item.needed_for for item in missing)


def test_a_docker_daemon_is_one_that_answers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not a file that lies where its socket should be."""
    path = tmp_path / "docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    assert "No such file or directory" in docker_client.reach()[0]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        assert "Connection refused" in docker_client.reach()[0]
        listener.listen()
        assert docker_client.reach() == (f"a daemon at unix://{path}", "")


@pytest.mark.parametrize("where", ["tcp://127.0.0.1:1", "ssh://", "nonsense"])
def test_other_ways_to_a_docker_daemon(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address by TCP is tried; what is no address is told."""
    monkeypatch.setenv("DOCKER_HOST", where)
    found = capabilities.docker()
    assert not found.available
    assert where in found.found
    assert found.fix


@pytest.mark.parametrize(
    ("confined", "confines", "who"),
    [
        (True, True, "the host's kernel keeps guests from all files"),
        (False, True, "only their own kernel keeps guests from the user's files"),
        (
            False,
            False,
            "nothing keeps root in a guest from writing the user's files: build a kernel anew",
        ),
    ],
)
def test_who_keeps_a_guest_from_the_users_files_is_told(
    monkeypatch: pytest.MonkeyPatch, *, confined: bool, confines: bool, who: str
) -> None:
    """A machine may allow no mount namespace, and an older kernel knows nothing of either."""
    manifest = Manifest(
        release="7.2.13",
        hz=1000,
        seccomp=True,
        compiler="",
        executable_sha256="",
        built="",
        confines=confines,
    )
    monkeypatch.setattr(
        kernel, "find", lambda _: Kernel("linux-7.2.13-hz1000", Path("linux"), manifest)
    )
    folder = guest_process.MemoryFolder(Path("/dev/shm"), 512)  # noqa: S108 - no file
    monkeypatch.setattr(guest_process, "memory_folder", lambda: folder)
    monkeypatch.setattr(trial, "try_out", lambda _: confined)
    assert who in capabilities._virtual_time()
