"""Faults in containers that somebody else runs: they bite, are healed, and leave nothing behind, whatever happens."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from harness.attachment import Attachment
from harness.errors import FaultError, UsageError
from harness.faults import (
    AddressRemoved,
    AnyFault,
    Blackhole,
    ContainerKill,
    ContainerPause,
    ContainerRestart,
    LinkDown,
    NetworkDisconnect,
    PeerReboot,
    SynDrop,
)
from harness.lab import containers
from harness.lab.container import ContainerHost
from harness.lab.host import Host
from harness.lab.namespace import Namespace
from harness.lab.topology import HostSpec
from tests.conformance.traces import network

pytestmark = [pytest.mark.live, pytest.mark.needs("docker"), pytest.mark.timeout(120)]
PATIENCE_S = 5.0
SOON_S = 0.3
"""Ample for a connection within one machine, and short of the first repetition of a SYN."""


class Project:
    """Two containers on a network, as somebody would have them: `name` is the one under test."""

    def __init__(self, client: Any, name: str, other: str) -> None:
        self.client, self.name, self.other = client, name, other
        found = client.containers.get(name).attrs["NetworkSettings"]["Networks"]
        self.address = str(next(iter(found.values()))["IPAddress"])

    def inside(self, name: str) -> Host:
        """A container as a host, of which only the namespace matters."""
        pid = containers.pid_of(self.client.containers.get(name))
        return Host(HostSpec(name=name, interfaces=()), Namespace(pid))

    def reaches(self, timeout_s: float = SOON_S) -> bool:
        """Whether the other container can connect to it, and is answered."""
        with ExitStack() as stack:
            server, caller = self.inside(self.name), self.inside(self.other)
            for host in (server, caller):
                stack.callback(host.close)
            listener = stack.enter_context(server.socket(socket.AF_INET))
            listener.bind(("0.0.0.0", 0))  # noqa: S104 - in a container of the test's own
            listener.listen()
            connection = stack.enter_context(caller.socket(socket.AF_INET))
            connection.settimeout(timeout_s)
            with suppress(OSError):
                connection.connect((self.address, listener.getsockname()[1]))
                return True
        return False

    def network(self) -> dict[str, list[Any]]:
        """Everything in the network of the container under test."""
        host = self.inside(self.name)
        with closing(host), host.entered():
            return network()


@pytest.fixture
def daemon(privileges: None) -> Iterator[Any]:
    """A client of the daemon."""
    del privileges
    with closing(containers.connect()) as client:
        containers.ensure_image(client, containers.HOST_TREE)
        yield client


@pytest.fixture
def project(daemon: Any) -> Iterator[Project]:
    """Two containers without a label of ours."""
    from docker.types import IPAMConfig, IPAMPool

    name = f"somebodys-{uuid.uuid4().hex[:8]}"
    binds = containers.host_tree(())
    pool = IPAMConfig(pool_configs=[IPAMPool(subnet="198.19.255.240/29")])
    made = daemon.networks.create(name, driver="bridge", internal=True, ipam=pool)
    both = []
    try:
        for part in ("db", "app"):
            run = {"name": f"{name}-{part}", "network": name, "volumes": binds, "detach": True}
            both += [daemon.containers.run(containers.HOST_TREE, entrypoint=["sleep"], command=["1000"], **run)]
        yield Project(daemon, f"{name}-db", f"{name}-app")
    finally:
        for container in both:
            container.remove(force=True)
        made.remove()


CUTS: dict[str, AnyFault] = {
    "blackhole": Blackhole(),
    "blackhole-in": Blackhole(direction="to-server"),
    "blackhole-out": Blackhole(direction="to-client"),
    "link-down": LinkDown(on="server"),
    "address-removed": AddressRemoved(),
    "syn-drop": SynDrop(),
    "network-disconnect": NetworkDisconnect(),
}


@pytest.mark.parametrize("fault", CUTS.values(), ids=CUTS)
def test_a_cut_cuts_and_heals(project: Project, fault: AnyFault) -> None:
    """While it is on nothing gets through; afterwards all is as it was, and what it met is told."""
    before = project.network()
    assert project.reaches()
    with Attachment(project.name) as attached, attached.inject(fault) as injection:
        assert not project.reaches()
        assert injection.gather().level == "bit"
    assert project.reaches()
    if not isinstance(fault, NetworkDisconnect):  # docker lays another cable
        assert project.network() == before


def test_a_paused_container_stands_still(project: Project) -> None:
    """Its kernel goes on, its processes do not."""
    container = project.client.containers.get(project.name)
    with Attachment(project.name) as attached, attached.inject(ContainerPause()):
        container.reload()
        assert container.status == "paused"
        assert project.reaches()
    container.reload()
    assert container.status == "running"


def test_a_restarted_container_is_followed(project: Project) -> None:
    """What is injected afterwards works on its new network."""
    with Attachment(project.name) as attached:
        identity = attached.host.identity
        with attached.inject(ContainerRestart()):
            pass
        assert attached.host.identity != identity
        assert project.reaches()
        with attached.inject(Blackhole()):
            assert not project.reaches()
    assert project.reaches()


def test_a_killed_container_stays_so(project: Project) -> None:
    """It is not ours to start again."""
    with Attachment(project.name) as attached, attached.inject(ContainerKill()):
        assert isinstance(attached.host, ContainerHost)
        assert attached.host.status() == "exited"
    container = project.client.containers.get(project.name)
    assert (container.status, container.attrs["State"]["ExitCode"]) == ("exited", 137)
    with pytest.raises(UsageError, match="docker start it"), Attachment(project.name):
        pass


def test_what_met_nothing_proves_nothing(project: Project) -> None:
    """A fault without a trace is an error in a test."""
    with (
        pytest.raises(FaultError, match="0 packets dropped"),
        Attachment(project.name) as attached,
        attached.inject(Blackhole(direction="to-server")),
    ):
        pass
    assert project.reaches()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [(PeerReboot(), "works on one container"), (LinkDown(on="client"), "on: expected server")],
    ids=["reboot", "elsewhere"],
)
def test_what_does_not_fit_is_refused(project: Project, fault: AnyFault, expected: str) -> None:
    """Before anything is done."""
    with Attachment(project.name) as attached, pytest.raises(UsageError, match=expected):
        attached.begin(fault)


def test_an_unknown_container_is_named_with_those_that_run(project: Project) -> None:
    """And is not taken for another one."""
    with pytest.raises(UsageError, match=rf"{project.name}.*found no nobody"), Attachment("nobody"):
        pass


# --- the command line ----------------------------------------------------------------------------------


@pytest.fixture
def harness(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start `harness` with a state of its own."""
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}

    def start(*words: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "harness", *words]
        return subprocess.Popen(argv, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    return start


def test_the_command_line_heals_in_time(project: Project, harness: Callable[..., subprocess.Popen[str]]) -> None:
    """It says what it does, and at the end what the fault met."""
    running = harness("inject", "blackhole", "--container", project.name, "--for", "2", "--set", "direction=to-server")
    assert running.stdout is not None
    assert "heals after 2 s" in running.stdout.readline()
    assert not project.reaches()
    printed, _ = running.communicate(timeout=PATIENCE_S + 2)
    assert running.returncode == 0
    assert "healed; bit: 1 packet dropped" in printed
    assert project.reaches()


def test_an_interrupt_heals(project: Project, harness: Callable[..., subprocess.Popen[str]]) -> None:
    """It is the way to end what has no end."""
    running = harness("inject", "container-pause", "--container", project.name)
    assert running.stdout is not None
    assert "^C heals it" in running.stdout.readline()
    running.send_signal(signal.SIGINT)
    printed, _ = running.communicate(timeout=PATIENCE_S)
    assert (running.returncode, "healed; bit" in printed) == (0, True)
    assert project.client.containers.get(project.name).status == "running"


@pytest.mark.parametrize("kind", ["blackhole", "link-down", "address-removed", "container-pause", "network-disconnect"])
def test_what_a_killed_harness_left_is_cleaned(
    project: Project, harness: Callable[..., subprocess.Popen[str]], kind: str
) -> None:
    """The container has again what it had, and the next call has nothing to do."""
    running = harness("inject", kind, "--container", project.name)
    assert running.stdout is not None
    assert kind in running.stdout.readline()
    running.kill()
    running.communicate()
    assert project.client.containers.get(project.name).status == "paused" or not project.reaches()
    cleaning = harness("clean")
    printed, _ = cleaning.communicate(timeout=PATIENCE_S * 2)
    assert f"of container {project.name}" in printed, printed
    assert project.client.containers.get(project.name).status == "running"
    assert project.reaches()
    assert f"of container {project.name}" not in harness("clean").communicate(timeout=PATIENCE_S * 2)[0]
