"""Virtual time where nothing is allowed: an ordinary user in a container without capabilities,
network or modules.
"""

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
from harness.scenario import catalogue
from harness.venue.kernel import Kernel
from tests.live.command import CHECKOUT

IMAGE = "keepalive-harness-test-empty"
SCRATCH = "/scratch"
"""In the container: not /tmp, in which the checkout may lie."""
SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc")


@pytest.fixture
def client() -> Iterator[Any]:
    """A Docker client with an empty image, whose daemon has been seen to run a container."""
    daemon = capabilities.docker()
    if not daemon.available:
        pytest.skip(f"containers are left out: {daemon.found}; {daemon.fix}")
    docker = pytest.importorskip("docker")
    with closing(docker.from_env(timeout=30)) as client:
        empty = io.BytesIO()
        tarfile.open(fileobj=empty, mode="w").close()
        client.api.import_image_from_data(empty.getvalue(), repository=IMAGE)
        try:
            status, printed = _run(client, ["/bin/true"], set())
            if status != 0:
                pytest.skip(f"this daemon's containers cannot run /bin/true: {printed}")
            yield client
        except docker.errors.APIError as error:
            pytest.skip(f"this daemon cannot run containers: {error.explanation}")
        finally:
            client.images.remove(IMAGE, force=True)


def _run(client: Any, argv: list[str], places: set[Path]) -> tuple[int, str]:
    """Run a command to its end as uid 1000, on this machine's system folders and `places`,
    read-only.
    """
    shown = {str(path) for path in (*map(Path, SYSTEM), *places) if path.exists()}
    container = client.containers.create(
        IMAGE,
        argv,
        user="1000:1000",
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        network_mode="none",
        read_only=True,
        volumes={path: {"bind": path, "mode": "ro"} for path in shown},
        tmpfs={SCRATCH: "exec,mode=1777"},
        environment={"HOME": SCRATCH, "TMPDIR": SCRATCH},
        working_dir=str(CHECKOUT) if CHECKOUT in places else "/",
    )
    try:
        container.start()
        return container.wait()["StatusCode"], container.logs().decode()
    finally:
        container.remove(force=True)


@pytest.mark.live
@pytest.mark.virtual
def test_virtual_time_needs_no_privileges(client: Any, kernel: Kernel) -> None:
    """Linux's default keepalive and the outcomes of a probe, with docker's own seccomp profile."""
    argv = [
        sys.executable,
        "-m",
        "harness",
        "run",
        "--clock",
        "virtual",
        "--kernel",
        str(kernel.path),
    ]
    places = {CHECKOUT, kernel.path.parent, Path(sys.base_prefix)}
    status, printed = _run(client, [*argv, "defaults/linux", "outcomes"], places)
    assert status == 0, printed
    assert f"{1 + len(catalogue.find(['outcomes']))} pass, 0 fail, 0 inconclusive" in printed
