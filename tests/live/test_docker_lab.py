"""Scenarios in containers, by the command line: they hold, what is missing is named, and nothing
stays behind.
"""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.errors import CapabilityError, LabError, SubjectError
from harness.lab import docker_client, docker_images
from harness.lab.docker_host import ContainerHost
from harness.lab.docker_lab import DockerLab
from harness.model.topology import Family, Topology
from harness.venue.kernel import Kernel
from tests.live.command import harness, started
from tests.running import note_retry

pytestmark = [pytest.mark.live, pytest.mark.alone]
docker = pytest.mark.needs("docker")
IMAGE = "keepalive-harness-test/sleeper:1"
CLAIM = '[client]\nimage = "{image}"\n[[faults]]\nkind = "blackhole"\nat_s = 0\n'
SURVIVES = (
    "[client.keepalive]\nidle_s = 1\ninterval_s = 1\ncount = 1\n[expect]\noutcome = "
    '"survives"\nbound_s = 1.5\n'
)
PATIENCE_S = 30.0


@pytest.fixture
def daemon(privileges: None) -> Iterator[Any]:
    """A client of the daemon."""
    del privileges
    with closing(docker_client.connect()) as client:
        yield client


@pytest.fixture
def ours(daemon: Any) -> Callable[[], list[str]]:
    """The containers and networks that bear our label, by name, but for those that were there
    before the test.
    """
    wanted = {"label": docker_client.LABEL}

    def now() -> dict[str, str]:
        both = [
            *daemon.containers.list(all=True, filters=wanted, ignore_removed=True),
            *daemon.networks.list(filters=wanted),
        ]
        return {each.id: each.name for each in both}

    before = now()
    return lambda: [name for each, name in now().items() if each not in before]


@pytest.fixture
def image(daemon: Any) -> Iterator[str]:
    """An image of its own, with `sleep` and nothing else."""
    sleep = Path(shutil.which("sleep") or "/bin/sleep").resolve()
    linked = subprocess.run(
        ["/usr/bin/ldd", str(sleep)], capture_output=True, text=True, check=True
    ).stdout.split()
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", dereference=True) as tree:
        tree.add(sleep, "bin/sleep")
        for library in {word for word in linked if word.startswith("/")}:
            tree.add(library, library.lstrip("/"))
    repository, _, tag = IMAGE.partition(":")
    daemon.api.import_image_from_data(
        written.getvalue(), repository=repository, tag=tag, changes=["ENV MINE=yes"]
    )
    yield IMAGE
    daemon.images.remove(IMAGE, force=True)


# --- what holds ---------------------------------------------------------------------------------


@docker
def test_scenarios_hold_in_containers(tmp_path: Path, ours: Callable[[], list[str]]) -> None:
    """What docker does, and the outcomes of a probe: each in its window, and nothing is left."""
    outcomes = [
        f"outcomes/{name}"
        for name in ("peer-down", "peer-rebooted", "firewall-resets", "peer-closes")
    ]
    done = harness(
        tmp_path, "run", "--lab", "docker", "containers", *outcomes, "--json", "said.json"
    )
    assert ", in containers" in done.out
    said = json.loads((tmp_path / "said.json").read_text())["scenarios"]
    assert done.status == 0, done.out
    assert len(said) > len(outcomes)
    note_retry(
        (each["name"] for each in said if each["attempts"] > 1),
        "this machine was too busy; then few at once",
    )
    assert [each for each in said if each["verdict"] != "pass"] == []
    assert ours() == []


@docker
def test_scenario_files_are_tests_in_containers(
    tmp_path: Path, ours: Callable[[], list[str]]
) -> None:
    """With an option, which also says what `lab` builds."""
    (tmp_path / "mine.scenario.toml").write_text(
        '[[faults]]\nkind = "container-pause"\nat_s = 0.2\nfor_s = 1.0\n'
        "[client]\nwrites_at_s = [0.7]\n" + SURVIVES.replace("1.5", "2.5")
    )
    (tmp_path / "test_mine.py").write_text(
        "def test_mine(lab):\n    assert type(lab('direct').host('client')).__name__ == "
        "'ContainerHost'\n"
    )
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--lab", "docker"]
    done = subprocess.run(
        argv, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S * 2, check=False
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    assert ours() == []


@docker
@pytest.mark.needs("toxiproxy-server")
def test_proxies_in_containers(tmp_path: Path) -> None:
    """The server runs in the container in the middle, and so does what is done to it."""
    names = (
        "proxy-rebooted",
        "proxy-killed",
        "proxy-frozen",
        "toxic-reset-peer-busy",
        "server-link-dead-keepalive",
    )
    done = harness(tmp_path, "run", "--lab", "docker", *(f"proxied/{name}" for name in names))
    assert done.status == 0, done.out


@docker
@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_hosts_of_an_image_by_name(image: str, family: Family) -> None:
    """Programs run in its file system and with its environment.

    Endpoints inside the harness need nothing of it.
    """
    with DockerLab(Topology(kind="direct", family=family), {"client": image}) as lab:
        host = lab.host("client")
        assert isinstance(host, ContainerHost)
        assert dict(host._environment())["MINE"] == "yes"
        program = host.start("sleeper", ["/bin/sleep", "1000"])
        assert host.holds_programs()
        assert program.poll() is None
        with pytest.raises(SubjectError, match=r"expected to start '/bin/sh', found No such file"):
            host.start("shell", ["/bin/sh"])


@docker
def test_an_image_in_a_scenario(image: str, tmp_path: Path) -> None:
    """By the key of its side."""
    file = tmp_path / "mine.scenario.toml"
    file.write_text(
        CLAIM.format(image=image) + "[client.keepalive]\nidle_s = 1\ninterval_s = 1\ncount = 1\n"
    )
    done = harness(tmp_path, "run", "--lab", "docker", str(file))
    assert done.status == 0, done.out
    assert "ETIMEDOUT" in done.out


# --- what is missing ----------------------------------------------------------------------------


@pytest.mark.usefixtures("privileges")
def test_no_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said with where it was looked for and the fix, before anything is built."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    done = harness(tmp_path, "run", "outcomes/peer-alive", "--lab", "docker")
    assert done.status == 3
    assert (
        "docker: No such file or directory at unix:///nowhere/docker.sock. Fix: start a docker"
        in done.err
    )


@docker
def test_a_daemon_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the version of its API."""
    monkeypatch.setattr(docker_client, "OLDEST_API", (99, 0))
    with pytest.raises(CapabilityError, match=r"a daemon with API 1\.\d+. Fix: one with API 99\.0"):
        docker_client.connect()


@docker
def test_an_image_that_is_not_there(tmp_path: Path) -> None:
    """It is not fetched behind one's back, and what needs no such image is run."""
    file = tmp_path / "mine.scenario.toml"
    file.write_text(CLAIM.format(image="nobody/nothing:7"))
    done = harness(tmp_path, "run", "--lab", "docker", "--yes", str(file), "outcomes/peer-closes")
    assert done.status == 3
    assert "1 pass, 0 fail, 1 inconclusive" in done.out
    said = " ".join(done.out.split())
    assert "image nobody/nothing:7: not on the daemon" in said
    assert "Fix: docker pull nobody/nothing:7" in said


@docker
def test_a_name_that_is_taken(
    daemon: Any, monkeypatch: pytest.MonkeyPatch, ours: Callable[[], list[str]]
) -> None:
    """The other container stays, and what had been built goes."""
    monkeypatch.setattr(DockerLab, "_prefix", "keepalive-taken")
    docker_images.ensure_image(daemon, docker_client.HOST_TREE)
    other = daemon.containers.create(
        docker_client.HOST_TREE, command=["x"], name="keepalive-taken-server"
    )
    try:
        with (
            pytest.raises(
                LabError,
                match=r"container keepalive-taken-server .*`harness clean`.*already in use",
            ),
            DockerLab(Topology(kind="routed")),
        ):
            pass
        assert ours() == []
        assert daemon.containers.get("keepalive-taken-server").id == other.id
    finally:
        other.remove(force=True)


def test_dockers_faults_need_containers(tmp_path: Path) -> None:
    """Without a lab of them a scenario is refused, with the option that would do."""
    done = harness(tmp_path, "run", "containers/paused")
    assert done.status == 2
    assert "expected a lab of containers, by --lab docker, found 'container-pause'" in done.err


def test_containers_have_real_time(tmp_path: Path, kernel: Kernel) -> None:
    """There are none in a guest."""
    done = harness(
        tmp_path,
        "run",
        "outcomes",
        "--lab",
        "docker",
        "--clock",
        "virtual",
        "--kernel",
        kernel.name,
    )
    assert done.status == 2
    assert "--lab docker: expected --clock real with it" in done.err


# --- what stays behind --------------------------------------------------------------------------


@docker
@pytest.mark.parametrize(
    ("ending", "times"),
    [(signal.SIGINT, 1), (signal.SIGINT, 3), (signal.SIGTERM, 1), (signal.SIGKILL, 1)],
)
def test_a_run_that_is_ended_leaves_nothing(
    tmp_path: Path, ending: int, times: int, ours: Callable[[], list[str]]
) -> None:
    """Interrupted, however often, it takes its containers down.

    Killed it leaves what `harness clean` removes.
    """
    with started(tmp_path, "run", "containers/paused", "--lab", "docker") as running:
        deadline = time.monotonic() + PATIENCE_S
        while len(ours()) < 5:  # three containers, two networks
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for _ in range(times):
            running.process.send_signal(ending)
            time.sleep(0.3)
        running.wait()
    if ending == signal.SIGKILL:
        cleaned = harness(tmp_path, "clean")
        assert cleaned.out.count("removed container keepalive-") == 3, cleaned
        assert cleaned.out.count("removed network keepalive-") == 2
    assert ours() == []
    assert "container" not in harness(tmp_path, "clean").out


@docker
def test_the_image_goes_when_asked(tmp_path: Path, daemon: Any) -> None:
    """It is kept for the next lab otherwise."""
    docker_images.ensure_image(daemon, docker_client.HOST_TREE)
    assert harness(tmp_path, "clean").out == "nothing to remove\n"
    assert f"removed image {docker_client.HOST_TREE}" in harness(tmp_path, "clean", "--images").out
    assert not daemon.images.list(name=docker_client.HOST_TREE.partition(":")[0])
