"""The docker lab: every host a container, wired as the netns lab wires its namespaces.

Each endpoint's own link is docker's: the container is on a network of its own, and the far end of
the cable that docker lays to it is taken off docker's bridge and moved into the neighbour. So the
hosts are wired directly, as anywhere, and `docker network disconnect` pulls a real cable. Links
between two hosts in the middle are the harness's own.
"""

from __future__ import annotations

import functools
import random
import socket
import tempfile
import uuid
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from harness.errors import CapabilityError, FaultError, LabError
from harness.lab import (
    base_lab,
    docker_client,
    docker_images,
    namespace,
    nftables,
    rtnetlink,
    sysctls,
)
from harness.lab.docker_client import HOST_TREE, LABEL
from harness.lab.docker_host import ContainerHost
from harness.lab.ledger import LEDGER
from harness.lab.namespace import Namespace, write_sysctl
from harness.lab.rtnetlink_socket import RtnetlinkSocket
from harness.model.topology import SIDES, HostSpec, Interface, Topology

_DEVICE = "eth0"
"""What docker calls a container's first interface, and the layout an endpoint's."""
_SUBNETS = 1 << 14
"""How many networks of eight addresses 198.18.0.0/15 has, which is for tests (RFC 2544)."""
_TRIES = 20


class DockerLab(base_lab.WiredLab):
    """A topology in containers on this machine's daemon.

    `images`: by host, the host tree's where none is named.

    `shown`: folders that containers of the host tree see, beside the machine's programs. `spares`:
    hosts that will reboot, as often as they are named: what takes their place is started along with
    the lab.
    """

    def __init__(
        self,
        topology: Topology,
        images: Mapping[str, str] | None = None,
        shown: Collection[Path] = (),
        spares: Collection[str] = (),
    ) -> None:
        super().__init__(topology)
        self._images, self._shown, self._wanted_spares = dict(images or {}), shown, spares
        self._spares: dict[str, list[Any]] = {}
        self._client: docker_client.Client = None
        self._token = ""
        self._folder: Path | None = None
        self._serial = 0
        self._given_names: dict[str, str] = {}

    def close(self) -> None:
        """Take everything down; harmless when it is down already. Raises LabError."""
        super().close()
        if self._client is None:
            return
        try:
            docker_client.remove(self._client, self._token)
            LEDGER.settle(self._token)
        finally:
            self._client.close()
            self._client = None

    def _holder(self, side: str) -> str:
        """The endpoint that is on the docker network of an endpoint's link.

        Where both share one, the client.
        """
        return "client" if len(self.layout.hosts) == len(SIDES) else side

    def _network(self, side: str) -> str:
        return f"{self._prefix}-{self._holder(side)}"

    # --- building --------------------------------------------------------------------------------

    def _make_hosts(self) -> None:
        ensure_root()
        self._client = docker_client.connect()
        folder = Path(tempfile.gettempdir()) / f"keepalive-lab-{uuid.uuid4().hex}"
        what = f"containers of {base_lab.topology_name(self.layout)}"
        self._token = LEDGER.announce("docker", what, folder, {"at": docker_client.place()})
        self._folder = folder
        folder.mkdir(mode=0o755)
        for image in {self._images.get(spec.name, HOST_TREE) for spec in self.layout.hosts}:
            docker_images.ensure_image(self._client, image)
        for spec in self.layout.hosts:
            host = ContainerHost(spec, self._container(spec, self._own_network(spec)), folder)
            self._hosts[spec.name] = host
            self._tame(spec, host.namespace)
            host.come_back = functools.partial(self._come_back, host)
            host.leave = functools.partial(self._leave, host)
            if spec.name in SIDES:
                holder = self._hosts[self._holder(spec.name)]
                assert isinstance(holder, ContainerHost)
                host.cable = (holder, self._network(spec.name))
        for name in self._wanted_spares:
            self._spares.setdefault(name, []).append(self._container(self.layout.host(name), None))

    @property
    def _prefix(self) -> str:
        return f"keepalive-{self._token[:12]}"

    def _container(self, spec: HostSpec, network: str | None) -> Any:
        """A running container for a host. Raises LabError."""
        assert self._folder is not None
        self._serial += 1
        image = self._images.get(spec.name, HOST_TREE)
        binds = docker_images.host_tree(self._shown) if image == HOST_TREE else {}
        binds[str(self._folder)] = {"bind": str(self._folder), "mode": "rw"}
        name = f"{self._prefix}-{spec.name}"
        with LEDGER.making():
            return docker_client.start(
                self._client,
                name if network or spec.name not in self._hosts else f"{name}-{self._serial}",
                image=image,
                token=self._token,
                hostname=spec.name,
                network=network,
                binds=binds,
            )

    def _own_network(self, spec: HostSpec) -> str | None:
        """Make the network on which an endpoint's own link is; None for the others.

        Raises LabError.
        """
        if not self._has_own_network(spec):
            return None
        name = self._network(spec.name)
        with LEDGER.making():
            make_network(self._client, name, self._token)
        return name

    def _tame(self, spec: HostSpec, namespace: Namespace) -> None:
        """Make of what docker set up in a namespace an empty one, but for the interface.

        Raises LabError.
        """
        with namespace.entered(), RtnetlinkSocket() as rtnl:
            given = [name for _, name in socket.if_nameindex() if name not in ("lo", _DEVICE)]
            if given and spec.name in SIDES and rtnl.find(_DEVICE) is None:
                # Docker counts on from the last one.
                self._given_names[spec.name] = given[0]
                index = rtnl.index_of(given[0])
                rtnl.set_link(index, up=False)
                rtnl.set_link(index, name=_DEVICE)
            own = rtnl.find(_DEVICE)
            devices = [] if own is None else [_DEVICE]
            base_lab.quieten(self.layout, spec, devices)
            nftables.run(
                {"flush": {"ruleset": None}}
            )  # docker's resolver has its addresses translated
            if own is not None:
                rtnl.set_link(own, up=False)
                rtnl.flush_addresses(own)
            if self.layout.family == "ipv6":
                for scope in ("default", "all", "lo", *devices):
                    write_sysctl(f"net.ipv6.conf.{scope}.accept_dad", 0)
                    write_sysctl(f"net.ipv6.conf.{scope}.router_solicitations", 0)
                    write_sysctl(f"net.ipv6.conf.{scope}.disable_ipv6", 0)

    def _wire(self, near_spec: HostSpec, far_spec: HostSpec) -> None:
        """An endpoint's link is docker's, laid anew; another one as anywhere."""
        for spec, other in ((near_spec, far_spec), (far_spec, near_spec)):
            if self._has_own_network(spec):
                self._lay(spec, other)
                return
        super()._wire(near_spec, far_spec)

    def _has_own_network(self, spec: HostSpec) -> bool:
        return spec.name in SIDES and self._holder(spec.name) == spec.name

    def _lay(self, spec: HostSpec, other: HostSpec) -> None:
        """Take the far end of docker's cable to a host off docker's bridge, into the neighbour.

        Raises LabError.
        """
        near, far = spec.interface_toward(other.name), other.interface_toward(spec.name)
        assert near is not None
        assert far is not None
        with self._hosts[spec.name].entered(), RtnetlinkSocket() as rtnl:
            index = rtnl.index_of(_DEVICE)
            peer = rtnl.link(index).peer
            rtnl.set_link(index, mac=near.mac)
        with RtnetlinkSocket() as rtnl:
            _check_peer(rtnl, peer, index, spec.name)
            there = self._hosts[other.name].namespace.fd
            rtnl.set_link(peer, name=far.name, namespace_fd=there)
        with self._hosts[other.name].entered(), RtnetlinkSocket() as rtnl:
            rtnl.set_link(rtnl.index_of(far.name), mac=far.mac)

    # --- coming back -----------------------------------------------------------------------------

    def reboot(self, name: str, mac: str | None = None) -> None:
        """Another container takes the host's place, with its interfaces.

        Then the old one is killed.

        Returns when the host can be reached again, where its links are up. Raises LabError.
        """
        host = self._hosts[name]
        assert isinstance(host, ContainerHost)
        ready = self._spares.get(name)
        old, fresh = host.container, ready.pop(0) if ready else self._container(host.spec, None)
        try:
            taken = Namespace(docker_client.pid_of(fresh))
            try:
                self._tame(host.spec, taken)
                self._move(host, taken, mac)
            finally:
                if host.namespace is not taken:
                    self._retired.append(taken)
            host.renew(fresh)
            host.kill_programs()
        except OSError as error:
            raise LabError(f"expected to reboot {name}, found {error}") from error
        self._await_reach(host.spec)
        with docker_client.words(LabError, f"expected to kill container {old.name}"):
            old.kill()

    def _leave(self, host: ContainerHost) -> None:
        """Docker looks for what it has laid under the name it gave it."""
        given = self._given_names.pop(host.name, _DEVICE)
        if given != _DEVICE:
            with host.entered(), RtnetlinkSocket() as rtnl:
                index = rtnl.index_of(_DEVICE)
                rtnl.set_link(index, up=False)
                rtnl.set_link(index, name=given)

    def _come_back(self, host: ContainerHost) -> None:
        """Docker has given a container a network anew: wire it as before.

        Raises LabError, FaultError.
        """
        try:
            found = Namespace(docker_client.pid_of(host.container))
            self._retired.append(found)  # unless it becomes the host's own
            if found.identity == host.identity:
                self._tame(host.spec, host.namespace)
            else:
                self._tame(host.spec, found)
                self._retired.remove(found)
                if not self._has_own_network(host.spec):
                    self._move(host, found, None)
                    self._await_reach(host.spec)
                    return
                self._retired.append(host.namespace)
                host.namespace = found
            self._lay_again(host.spec)
        except OSError as error:
            raise FaultError(f"expected to wire {host.name} again, found {error}") from error

    def _lay_again(self, spec: HostSpec) -> None:
        """The endpoint's link is new at both ends."""
        near = spec.interfaces[0]
        neighbour = self.layout.host(near.toward)
        far = neighbour.interface_toward(spec.name)
        assert far is not None
        self._lay(spec, neighbour)
        self._configure_again(neighbour, far)
        with self._hosts[spec.name].entered(), RtnetlinkSocket() as rtnl:
            rtnl.set_link(rtnetlink.LOOPBACK_INDEX, up=True)
        self._configure_again(spec, near)
        self._await_operation((spec, near), (neighbour, far))

    def _configure_again(self, spec: HostSpec, interface: Interface) -> None:
        with self._hosts[spec.name].entered(), RtnetlinkSocket() as rtnl:
            rtnetlink.configure_again(rtnl, spec, interface, self._pinned(spec), self.layout.family)
            sysctls.settle_neighbours([interface.name])


def make_network(client: docker_client.Client, name: str, token: str) -> None:
    """A docker network with nothing on it and no way out. Raises LabError."""
    import docker.errors
    from docker.types import IPAMConfig, IPAMPool

    with docker_client.words(LabError, f"expected to make network {name}"):
        for left in reversed(range(_TRIES)):
            number = random.randrange(_SUBNETS)
            subnet = f"198.{18 + (number >> 13)}.{number >> 5 & 255}.{(number & 31) * 8}/29"
            try:
                pool = IPAMConfig(pool_configs=[IPAMPool(subnet=subnet)])
                client.networks.create(
                    name, driver="bridge", internal=True, labels={LABEL: token}, ipam=pool
                )
            except docker.errors.APIError as error:
                if not left or "overlaps" not in str(error.explanation):
                    raise
            else:
                return


def ensure_root() -> None:
    """Raise CapabilityError where this process cannot go into containers' namespaces."""
    if not namespace.is_root():
        raise CapabilityError(
            "containers",
            "not root: their network namespaces belong to the daemon's user",
            "run as root (sudo -E)",
        )


def _check_peer(rtnl: RtnetlinkSocket, peer: int, index: int, host: str) -> None:
    """Raise LabError where the far end of a container's cable is not in this network namespace."""
    expected = (
        f"expected the far end of {host}'s cable in this network namespace, which must be the "
        "daemon's"
    )
    try:
        found = rtnl.link(peer)
    except OSError as error:
        raise LabError(f"{expected}, found {error}") from error
    if found.kind != "veth" or found.peer != index:
        raise LabError(f"{expected}, found {found.name}")
