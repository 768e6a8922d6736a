"""The fixtures for services that run elsewhere, and the example project that shows them, on a real
redis.
"""

from __future__ import annotations

import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness.api import toxiproxy_session
from harness.errors import CapabilityError, UsageError
from harness.lab import docker_client, docker_images, keyed, namespace, toxiproxy_server
from harness.system import pidfd
from harness.system.user_dirs import libraries_folder
from tests.live.command import CHECKOUT

pytestmark = [pytest.mark.live, pytest.mark.needs("toxiproxy-server")]
EXAMPLE = CHECKOUT / "ci" / "examples" / "compose"
READY_S = 10.0


def session(folder: Path, *words: str, **env: str) -> tuple[int, str]:
    """A pytest session of its own."""
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words]
    done = subprocess.run(
        argv,
        cwd=folder,
        env={**os.environ, **env},
        text=True,
        timeout=100,
        capture_output=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def redis_project() -> Iterator[str]:
    """The example's redis, as compose would start it, but of this machine's redis-server.

    Yields the project's name.
    """
    server = shutil.which("redis-server") or shutil.which(
        "redis-server", path=str(libraries_folder())
    )
    if server is None:
        pytest.skip("no redis-server here: ci/libraries installs it")
    project = f"example-{uuid.uuid4().hex[:8]}"
    with closing(docker_client.connect()) as client:
        docker_images.ensure_image(client, docker_client.HOST_TREE)
        network = client.networks.create(project, driver="bridge")
        labels = {"com.docker.compose.project": project, "com.docker.compose.service": "redis"}
        command = [server, "--save", "", "--protected-mode", "no", "--dir", "/tmp"]  # noqa: S108 - the container's
        shown = docker_images.host_tree(())
        container = None
        try:
            container = client.containers.run(
                docker_client.HOST_TREE,
                command=command,
                name=f"{project}-redis-1",
                labels=labels,
                network=project,
                volumes=shown,
                tmpfs={"/tmp": ""},  # noqa: S108
                detach=True,
            )
            _await_answer(container)
            yield project
        finally:
            if container is not None:
                container.remove(force=True)
            network.remove()


def _await_answer(container: Any) -> None:
    deadline = time.monotonic() + READY_S
    while True:
        container.reload()
        found = next(iter(container.attrs["NetworkSettings"]["Networks"].values()))["IPAddress"]
        with socket.socket() as probe:
            if found and probe.connect_ex((found, 6379)) == 0:
                return
        assert time.monotonic() < deadline, container.logs().decode()
        time.sleep(0.02)


@pytest.fixture
def running_toxiproxy() -> Iterator[None]:
    """The example's toxiproxy, where its compose file publishes it."""
    with subprocess.Popen(
        [toxiproxy_server.server(), "-host", "127.0.0.1"], env={**os.environ, "LOG_LEVEL": "fatal"}
    ) as it:
        try:
            yield
        finally:
            it.kill()


@pytest.mark.alone
@pytest.mark.needs("docker")
def test_the_example_project_passes(redis_project: str, running_toxiproxy: None) -> None:
    """All three tests of it, without a change."""
    del running_toxiproxy
    status, printed = session(
        EXAMPLE, "tests", "--rootdir", ".", "-c", "/dev/null", COMPOSE_PROJECT_NAME=redis_project
    )
    assert status == 0, printed
    assert "3 passed" in printed


TESTS = """
import socket
from toxiproxy.api import APIConsumer

def test_one(toxiproxy):
    assert toxiproxy.create(upstream="127.0.0.1:1", name="mine").name == "mine"
    assert (APIConsumer.host, APIConsumer.port) != ("127.0.0.1", 8474)

def test_what_another_test_made_is_gone(toxiproxy, toxiproxy_server):
    assert toxiproxy.proxies() == {}
    toxiproxy_server.create(upstream="127.0.0.1:1", name="the-sessions").add_toxic(type="timeout")

def test_what_is_not_a_tests_own_stays(toxiproxy):
    toxiproxy.create(upstream="127.0.0.1:1", name="mine")

def test_it_is_still_there(toxiproxy):
    assert set(toxiproxy.proxies()) == {"the-sessions"}
    assert toxiproxy.get_proxy("the-sessions").toxics()
    assert toxiproxy.version()
"""


def test_toxiproxy_of_the_sessions_own(tmp_path: Path) -> None:
    """Each test finds it empty, at a port that nobody else has.

    The library's own address is back at the end.
    """
    (tmp_path / "test_it.py").write_text(TESTS)
    conftest = (
        "import pytest\n\n\ndef pytest_unconfigure():\n    import sys\n    api = "
        "sys.modules['toxiproxy.api']\n"
    )
    conftest += "    print('then', api.APIConsumer.host, api.APIConsumer.port)\n"
    (tmp_path / "conftest.py").write_text(conftest)
    status, printed = session(tmp_path, "-s")
    assert status == 0, printed
    assert "4 passed" in printed
    assert "then 127.0.0.1 8474" in printed


def _reached(port: int) -> bool:
    """Whether a client of this machine without the key gets a connection."""
    with socket.socket() as stranger:
        stranger.settimeout(0.2)
        try:
            stranger.connect(("127.0.0.1", port))
        except TimeoutError:
            return False
    return True


def test_nobody_else_may_use_the_sessions_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection without the key is not made.

    A server that somebody reached before it had one is not used.
    """
    protect = keyed.protect
    reached: list[int] = []

    def after_a_stranger(process: int, port: int) -> keyed.Keyed:
        if not reached:
            with socket.create_connection(("127.0.0.1", port)):
                reached.append(port)
                return protect(process, port)
        return protect(process, port)

    monkeypatch.setattr(keyed, "protect", after_a_stranger)
    with toxiproxy_session.speaking_to(None) as client:
        from toxiproxy.api import APIConsumer

        assert client.create(upstream="127.0.0.1:1", name="mine").name == "mine"
        assert APIConsumer.port not in reached
        assert not _reached(APIConsumer.port)
        assert set(client.proxies()) == {"mine"}


@pytest.mark.parametrize(
    ("module", "lacks"),
    [(pidfd, "_PIDFD_GETFD"), (keyed, "_MD5SIG_EXT")],
    ids=["pidfd_getfd", "md5"],
)
def test_a_server_that_everybody_may_use_is_refused(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, lacks: str
) -> None:
    """Where the machine cannot give it a key, with what can be done.

    In a network of one's own it needs none.
    """
    monkeypatch.setattr(module, lacks, 4000)
    with (
        pytest.raises(
            CapabilityError,
            match=r"a server for this process alone: .*Fix: pytest --clock=virtual, or",
        ),
        toxiproxy_session.speaking_to(None),
    ):
        pass
    monkeypatch.setattr(namespace, "has_own_network", lambda: True)
    with toxiproxy_session.speaking_to(None) as client:
        assert client.proxies() == {}


ELSEWHERE = """
import pytest

@pytest.fixture(scope="session")
def toxiproxy_address():
    return ("127.0.0.1", 1)
"""


@pytest.mark.parametrize(
    "address", ["", "localhost", "localhost:toxi", "localhost:80000", ("localhost",), 8474]
)
def test_what_is_no_address_is_refused(address: Any) -> None:
    """With what would be one."""
    with (
        pytest.raises(
            UsageError,
            match=r'toxiproxy_address: expected a host and a port, as \("localhost", 8474\)',
        ),
        toxiproxy_session.speaking_to(address),
    ):
        pass


def test_another_server_is_not_taken_for_it() -> None:
    """One that speaks HTTP, too; the address may be written as one word."""
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as other:
        threading.Thread(target=other.handle_request, daemon=True).start()
        with (
            pytest.raises(
                CapabilityError, match=rf"another server at 127.0.0.1:{other.server_port}"
            ),
            toxiproxy_session.speaking_to(f"127.0.0.1:{other.server_port}"),
        ):
            pass


def test_a_silent_server_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes the connection and says nothing, as in a paused container."""
    monkeypatch.setattr(toxiproxy_session, "ANSWER_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = silent.getsockname()
        with (
            pytest.raises(
                CapabilityError, match=rf"no answer .*timed out.* at 127.0.0.1:{address[1]}"
            ),
            toxiproxy_session.speaking_to(address),
        ):
            pass


@pytest.mark.alone
@pytest.mark.needs("docker")
def test_a_service_that_does_not_run_is_said_so(tmp_path: Path) -> None:
    """With those of the project that do."""
    (tmp_path / "test_it.py").write_text("def test_it(attach):\n    attach('dbb')\n")
    status, printed = session(tmp_path, COMPOSE_PROJECT_NAME="shop")
    assert status == 1
    assert (
        "expected a service of compose project 'shop' (none runs; fixture compose_project), "
        "or a running"
    ) in printed
    assert "found no dbb" in printed


def test_a_server_that_is_not_there_is_said_to_be(tmp_path: Path) -> None:
    """Where the tests name one."""
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "conftest.py").write_text(ELSEWHERE)
    status, printed = session(tmp_path)
    assert status == 1
    assert "no answer ([Errno 111] Connection refused) at 127.0.0.1:1" in printed
