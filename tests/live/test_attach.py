"""Faults in containers that somebody else runs: they bite, are healed, and leave nothing behind,
whatever happens.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pyroute2 import IPRoute

from harness.api.container_session import Attachment
from harness.errors import FaultError, LabError, UsageError
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
    SynackDrop,
    SynDrop,
)
from harness.lab import docker_client, docker_images
from harness.lab.attached_undo import undo
from harness.lab.docker_host import ContainerHost
from harness.lab.entries import Entry
from harness.lab.host import Host
from harness.lab.namespace import Namespace
from harness.model.topology import HostSpec
from tests.conformance.traces import network

pytestmark = [pytest.mark.live, pytest.mark.containers, pytest.mark.needs("docker")]
PATIENCE_S = 30.0
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
        pid = docker_client.pid_of(self.client.containers.get(name))
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
            deadline = time.monotonic() + timeout_s
            while (left_s := deadline - time.monotonic()) > 0:
                with caller.socket(socket.AF_INET) as connection:
                    connection.settimeout(left_s)
                    try:
                        connection.connect((self.address, listener.getsockname()[1]))
                    except OSError:  # EHOSTUNREACH where it was asked for by ARP while it was away
                        time.sleep(0.01)
                    else:
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
    with closing(docker_client.connect()) as client:
        docker_images.ensure_image(client, docker_client.HOST_TREE)
        yield client


@pytest.fixture
def project(daemon: Any) -> Iterator[Project]:
    """Two containers without a label of ours, on a network as docker makes it where nothing is
    asked of it.
    """
    name = f"somebodys-{uuid.uuid4().hex[:8]}"
    binds = docker_images.host_tree(())
    made = daemon.networks.create(name, driver="bridge")
    both = []
    try:
        for part in ("db", "app"):
            run = {"name": f"{name}-{part}", "network": name, "volumes": binds, "detach": True}
            both += [
                daemon.containers.run(
                    docker_client.HOST_TREE, entrypoint=["sleep"], command=["1000"], **run
                )
            ]
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
    "synack-drop": SynackDrop(),
    "network-disconnect": NetworkDisconnect(),
}


def assert_the_same(
    before: dict[str, list[Any]], after: dict[str, list[Any]], *, but_for_the_cable: bool
) -> None:
    """Everything in a network; where docker has laid another cable, its addresses and gateways."""
    if not but_for_the_cable:
        assert after == before
        return
    for what, key in (("addresses", "IFA_ADDRESS"), ("routes", "RTA_GATEWAY")):
        found = [
            [value for each in found[what] for name, value in each["attrs"] if name == key]
            for found in (before, after)
        ]
        assert sorted(found[0]) == sorted(found[1])


@pytest.mark.parametrize("fault", CUTS.values(), ids=CUTS)
def test_a_cut_cuts_and_heals(project: Project, fault: AnyFault) -> None:
    """While it is on nothing gets through; afterwards all is as it was, and what it met is told."""
    before = project.network()
    assert project.reaches(PATIENCE_S)
    with Attachment(project.name) as attached, attached.inject(fault) as injection:
        assert not project.reaches()
        assert injection.gather().level == "bit"
    assert project.reaches(PATIENCE_S)
    assert_the_same(
        before, project.network(), but_for_the_cable=isinstance(fault, NetworkDisconnect)
    )


def test_a_paused_container_stands_still(project: Project) -> None:
    """Its kernel goes on, its processes do not."""
    container = project.client.containers.get(project.name)
    with Attachment(project.name) as attached, attached.inject(ContainerPause()):
        container.reload()
        assert container.status == "paused"
        assert project.reaches(PATIENCE_S)
    container.reload()
    assert container.status == "running"


def test_a_restarted_container_is_followed(project: Project) -> None:
    """What is injected afterwards works on its new network."""
    with Attachment(project.name) as attached:
        identity = attached.host.identity
        with attached.inject(ContainerRestart()):
            pass
        assert attached.host.identity != identity
        assert project.reaches(PATIENCE_S)
        with attached.inject(Blackhole()):
            assert not project.reaches()
    assert project.reaches(PATIENCE_S)


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
    assert project.reaches(PATIENCE_S)


def test_a_quiet_container_meets_no_syn(project: Project) -> None:
    """Nobody calls it on purpose: that is no error of the fault."""
    with Attachment(project.name) as attached:
        injection = attached.begin(SynDrop())
        injection.heal()
        assert injection.gather().level == "in-place"


def test_what_was_not_healed_is_undone_when_it_is_left(project: Project) -> None:
    """Whatever became of the injection."""
    before = project.network()
    with Attachment(project.name) as attached:
        attached.begin(Blackhole())
        attached.begin(LinkDown(on="server"))
        assert not project.reaches()
    assert project.network() == before
    assert project.reaches(PATIENCE_S)


def test_what_others_do_meanwhile_stays(project: Project) -> None:
    """Only what the harness did is undone: by a fault's end, and when the container is left."""
    container = project.client.containers.get(project.name)
    with Attachment(project.name) as attached:
        attached.begin(Blackhole())
        container.pause()
    container.reload()
    assert container.status == "paused"
    container.unpause()
    with Attachment(project.name) as cut, cut.inject(LinkDown(on="server")):
        with Attachment(project.name) as paused, paused.inject(ContainerPause()):
            pass
        with Attachment(project.name) as quiet:
            quiet.begin(SynDrop())
        assert not project.reaches()
    assert project.reaches(PATIENCE_S)


def test_what_is_so_already_cannot_be_done(project: Project) -> None:
    """Its end would undo what somebody else did."""
    container = project.client.containers.get(project.name)
    container.pause()
    with Attachment(project.name) as attached, pytest.raises(FaultError, match="paused already"):
        attached.begin(ContainerPause())
    container.reload()
    assert container.status == "paused"
    container.unpause()
    with (
        Attachment(project.name) as first,
        first.inject(LinkDown(on="server")),
        Attachment(project.name) as second,
        pytest.raises(FaultError, match=r"eth0 of .* down already"),
    ):
        second.begin(LinkDown(on="server"))


def test_an_interface_that_has_gone_is_named(project: Project) -> None:
    """As where somebody has taken the container off its network meanwhile."""
    network = project.name.removesuffix("-db")
    with Attachment(project.name) as attached:
        project.client.networks.get(network).disconnect(project.name)
        with pytest.raises(
            FaultError, match=r"expected eth0 of container .* up, found none: docker has made"
        ):
            attached.begin(LinkDown(on="server"))
    assert project.client.containers.get(project.name).attrs["NetworkSettings"]["Networks"] == {}


def test_healing_that_was_cut_off_is_done_again(project: Project) -> None:
    """The interface is up, and its routes are still gone."""
    before = project.network()
    with Attachment(project.name) as attached:
        attached.begin(LinkDown(on="server"))
        given = attached._lab._host
        entry = Entry("attached", given.token, data=msgspec.to_builtins(given.done))
        host = project.inside(project.name)
        with closing(host), host.entered(), IPRoute() as ipr:
            ipr.link("set", index=ipr.link_lookup(ifname="eth0")[0], state="up")
        assert project.network() != before
        assert undo(entry) == [
            f"gave back addresses and routes to eth0 of container {project.name}"
        ]
        assert project.network() == before


def test_what_another_version_wrote_is_left(project: Project) -> None:
    """And not taken for nothing."""
    with Attachment(project.name) as attached:
        data = {**msgspec.to_builtins(attached._lab._host.done), "paused": True}
        with pytest.raises(
            LabError, match=r"expected what this version writes down, found .*paused"
        ):
            undo(Entry("attached", "x", data=data))


def test_two_faults_of_one_thing_are_not_on_at_once(project: Project) -> None:
    """Healing one would heal the other."""
    down = LinkDown(on="server")
    with (
        Attachment(project.name) as attached,
        attached.inject(down),
        pytest.raises(UsageError, match="link-down to be over: both act on"),
    ):
        attached.begin(down)


def test_a_fault_inside_a_lost_network_heals(project: Project) -> None:
    """What was put into the namespace is taken out of it, with another cable in between."""
    with Attachment(project.name) as attached:
        around = attached.begin(SynDrop())
        with attached.inject(NetworkDisconnect()):
            assert not project.reaches()
        around.heal()
        assert project.reaches(PATIENCE_S)
        with attached.inject(Blackhole()):
            assert not project.reaches()
    assert project.reaches(PATIENCE_S)


@pytest.mark.parametrize("mode", ["host", "container"])
def test_a_container_without_a_network_of_its_own_is_refused(project: Project, mode: str) -> None:
    """A fault would be this machine's, or another container's."""
    network = "host" if mode == "host" else f"container:{project.name}"
    binds = docker_images.host_tree(())
    other = project.client.containers.run(
        docker_client.HOST_TREE,
        entrypoint=["sleep"],
        command=["1000"],
        network_mode=network,
        volumes=binds,
        detach=True,
    )
    try:
        whose = "this machine's" if mode == "host" else "another container's"
        with (
            pytest.raises(UsageError, match=f"a network of its own, found .* on {whose}"),
            Attachment(other.name),
        ):
            pass
    finally:
        other.remove(force=True)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [(PeerReboot(), "works on one container"), (LinkDown(on="client"), "on: expected server")],
    ids=["reboot", "elsewhere"],
)
def test_what_does_not_fit_is_refused(project: Project, fault: AnyFault, expected: str) -> None:
    """Before anything is done."""
    with Attachment(project.name) as attached, pytest.raises(UsageError, match=expected):
        attached.begin(fault)


def test_an_unknown_network_is_named_with_those_there_are(project: Project) -> None:
    """Before anything is done."""
    expected = (
        r"network: expected one of the container's networks "
        rf"\({project.name.removesuffix('-db')}\), found mine"
    )
    with Attachment(project.name) as attached, pytest.raises(UsageError, match=expected):
        attached.begin(NetworkDisconnect(network="mine"))


def test_an_unknown_container_is_named_with_those_that_run(project: Project) -> None:
    """And is not taken for another one."""
    with pytest.raises(UsageError, match=rf"{project.name}.*found no nobody"), Attachment("nobody"):
        pass


# --- the command line ---------------------------------------------------------------------------


@pytest.fixture
def harness(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start `harness` with a state of its own."""
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}

    def start(*words: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "harness", *words]
        return subprocess.Popen(
            argv, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    return start


def test_the_command_line_heals_in_time(
    project: Project, harness: Callable[..., subprocess.Popen[str]]
) -> None:
    """It says what it does, and at the end what the fault met."""
    running = harness(
        "inject",
        "blackhole",
        "--container",
        project.name,
        "--for",
        "2",
        "--set",
        "direction=to-server",
    )
    assert running.stdout is not None
    assert "removed after 2 s" in running.stdout.readline()
    assert not project.reaches()
    printed, _ = running.communicate(timeout=PATIENCE_S + 2)
    assert running.returncode == 0
    assert "removed; it acted: 1 packet dropped" in printed
    assert project.reaches(PATIENCE_S)


def test_an_interrupt_heals(
    project: Project, harness: Callable[..., subprocess.Popen[str]]
) -> None:
    """It is the way to end what has no end."""
    running = harness("inject", "container-pause", "--container", project.name)
    assert running.stdout is not None
    assert "Ctrl-C removes it" in running.stdout.readline()
    running.send_signal(signal.SIGINT)
    printed, _ = running.communicate(timeout=PATIENCE_S)
    assert (running.returncode, "removed; it acted" in printed) == (0, True)
    assert project.client.containers.get(project.name).status == "running"


SAID = {
    "blackhole": "removed packet filter harness_",
    "link-down": "set up again eth0 of container",
    "address-removed": "gave back addresses and routes to eth0 of container",
    "container-pause": "unpaused container",
    "network-disconnect": "connected container",
}


@pytest.mark.parametrize(("kind", "said"), SAID.items(), ids=SAID)
def test_what_a_killed_harness_left_is_cleaned(
    project: Project, harness: Callable[..., subprocess.Popen[str]], kind: str, said: str
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
    assert said in printed
    assert f"container {project.name}" in printed
    assert project.client.containers.get(project.name).status == "running"
    assert project.reaches(PATIENCE_S)
    assert (
        f"container {project.name}" not in harness("clean").communicate(timeout=PATIENCE_S * 2)[0]
    )


def test_a_container_that_was_restarted_meanwhile_is_left_alone(
    project: Project, harness: Callable[..., subprocess.Popen[str]]
) -> None:
    """Docker has given it a new network: what it had in the old one is not put into that."""
    running = harness("inject", "address-removed", "--container", project.name)
    assert running.stdout is not None
    assert "address-removed" in running.stdout.readline()
    running.kill()
    running.communicate()
    project.client.containers.get(project.name).restart(timeout=0)
    before = project.network()
    cleaning = harness("clean")
    printed, _ = cleaning.communicate(timeout=PATIENCE_S * 2)
    assert cleaning.returncode == 0
    assert f"of container {project.name}" not in printed
    assert project.network() == before


def test_a_closed_output_heals(
    project: Project, harness: Callable[..., subprocess.Popen[str]]
) -> None:
    """As in a pipe whose other end has gone."""
    running = harness("inject", "blackhole", "--container", project.name)
    assert running.stdout is not None
    running.stdout.close()
    assert running.wait(timeout=PATIENCE_S * 2) != 0
    assert running.stderr is not None
    running.stderr.close()
    assert project.reaches(PATIENCE_S)
