"""Virtual time where nothing is allowed: an ordinary user in a container without capabilities, network or modules."""

from __future__ import annotations

import io
import sys
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness import capabilities
from harness.venue.kernel import Kernel
from tests.live.command import CHECKOUT

IMAGE = "keepalive-harness-test-empty"
SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc")


@pytest.fixture
def client() -> Iterator[Any]:
    """A Docker client with an empty image; the file tree of this machine goes into it, read-only."""
    daemon = capabilities.docker()
    if not daemon.available:
        pytest.skip(f"containers are left out: {daemon.found}; {daemon.mend}")
    docker = pytest.importorskip("docker")
    with closing(docker.from_env(timeout=30)) as client:
        empty = io.BytesIO()
        tarfile.open(fileobj=empty, mode="w").close()
        client.api.import_image_from_data(empty.getvalue(), repository=IMAGE)
        yield client
        client.images.remove(IMAGE)


@pytest.mark.live
@pytest.mark.timeout(120)
def test_virtual_time_needs_no_privileges(client: Any, kernel: Kernel) -> None:
    """Linux's default keepalive and the outcomes of a probe, with docker's own seccomp profile."""
    python, places = Path(sys.executable), {CHECKOUT, kernel.path.parent, Path(sys.base_prefix)}
    places |= {Path(path) for path in SYSTEM if Path(path).exists()}
    arguments = [
        "-m",
        "harness",
        "run",
        "--clock",
        "virtual",
        "--kernel",
        str(kernel.path),
        "defaults/linux",
        "outcomes",
    ]
    container = client.containers.run(
        IMAGE,
        [str(python), *arguments],
        detach=True,
        user="1000:1000",
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        network_mode="none",
        read_only=True,
        volumes={str(path): {"bind": str(path), "mode": "ro"} for path in places},
        tmpfs={"/tmp": "exec,mode=1777"},  # noqa: S108 - the container's own
        environment={"HOME": "/tmp/home"},  # noqa: S108
        working_dir=str(CHECKOUT),
    )
    try:
        status = container.wait()["StatusCode"]
        printed = container.logs().decode()
    finally:
        container.remove(force=True)
    assert status == 0, printed
    assert "9 pass, 0 fail, 0 inconclusive" in printed
