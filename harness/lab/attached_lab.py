"""A lab of one container that somebody runs: it is the host "server", and all that it talks to is
the host "client".

Nothing is made but what a fault needs, and before a fault changes something, what that was goes
into the ledger: when its lab is left, or by `harness clean` after this process was killed, it is so
again. What others change meanwhile is theirs. What arrives at the rest of the network is what
leaves the container; it is caught at its interface's egress (netfilter, Linux 5.16) and sent to
loopback, which drops it: to TCP it has been sent (see KERNEL: a drop would be a local error).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from harness.errors import FaultError, LabError, UsageError
from harness.lab import docker_client, rtnetlink
from harness.lab.attached_undo import (
    Change,
    Changed,
    Disconnected,
    Done,
    Paused,
    indices,
    restored,
    table_prefix,
)
from harness.lab.docker_host import ContainerHost
from harness.lab.docker_lab import ensure_root
from harness.lab.host import Host
from harness.lab.ledger import LEDGER
from harness.lab.namespace import Namespace
from harness.lab.nftables import Rules
from harness.lab.rtnetlink_socket import MAIN_TABLE, RtnetlinkSocket
from harness.lab.watched import Watched
from harness.model.topology import FAMILIES, Family, HostSpec, Interface, Layout

IT, REST = "server", "client"


class AttachedLab:
    """One running container.

    Use as a context manager; leaving it undoes what was done to the container.
    """

    def __init__(self, name: str, family: Family = "ipv4", device: str = "") -> None:
        """`device`: its interface that is meant, by default the one by which its default route
        leads.
        """
        self.name, self.family, self.device = name, family, device
        self.watched: Watched | None = None
        self._client: docker_client.Client = None
        self._retired: list[Namespace] = []

    def __enter__(self) -> Self:
        """Look at the container, and announce it. Raises UsageError, CapabilityError, LabError."""
        ensure_root()
        self._client = docker_client.connect()
        try:
            container = docker_client.running(self._client, self.name)
            namespace = Namespace(docker_client.pid_of(container))
            try:
                _check_own(namespace, container)
                spec = _spec(namespace, self.family, self.device)
            finally:
                namespace.close()
            self._host = _Given(spec, container)
            self._host.come_back = self._come_back
        except BaseException:
            self._client.close()
            raise
        self._host.enter_ledger(f"container {self.name}")
        self._lay_out(spec)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Whatever has not been healed is undone.

        Raises LabError; what is left then is for `harness clean`.
        """
        try:
            with docker_client.words(LabError, f"expected to restore container {self.name}"):
                self._host.container.reload()
                for _ in restored(self._host.container, self._host.done):
                    pass
            LEDGER.settle(self._host.token)
        finally:
            self._host.close()
            for namespace in self._retired:
                namespace.close()
            self._client.close()

    def host(self, name: str) -> Host:
        """The container, or the stand-in for the rest. Raises KeyError."""
        return {IT: self._host, REST: self._outside}[name]

    def networks(self) -> list[str]:
        """Docker's networks that the container is on, by name. Raises FaultError."""
        return self._host.networks()

    def settle_carrier(self, name: str, device: str) -> None:
        """Nothing: the other end of the container's link is not ours to look at."""

    def reboot(self, name: str, mac: str | None = None) -> None:
        """Raise FaultError: a container that is not ours is restarted by docker, or not at all."""
        raise FaultError(
            f"expected a fault for a container that is given, found a reboot of {name}: "
            "container-restart"
        )

    def _lay_out(self, spec: HostSpec) -> None:
        self._outside = _Outside(_rest(spec), self._host)
        self.layout = Layout(family=self.family, hosts=(self._outside.spec, spec), neighbours=())

    def _come_back(self) -> None:
        """It may have another network namespace, interface and address."""
        found = Namespace(docker_client.pid_of(self._host.container))
        if found.identity == self._host.identity:
            found.close()
        else:
            self._retired.append(self._host.namespace)
            self._host.namespace = found
        self._host.spec = _spec(self._host.namespace, self.family, "")
        self._lay_out(self._host.spec)


class _Given(ContainerHost):
    """The container: each change to it is in the ledger for as long as it lasts."""

    def enter_ledger(self, what: str) -> None:
        """Announce that something will be done to it. Raises LabError."""
        self.token = LEDGER.announce("attached", what)
        self.table_prefix = table_prefix(self.token)
        self.done = Done(
            at=docker_client.place(),
            container=self.container.id,
            name=self.container.name,
            prefix=self.table_prefix,
        )
        self._note()

    @contextmanager
    def paused(self) -> Iterator[Callable[[], bool]]:
        if self.status() == "paused":
            raise FaultError(
                f"expected container {self.container.name} to run, found it paused already"
            )
        with self._noted(Paused()), super().paused() as is_paused:
            yield is_paused

    @contextmanager
    def disconnected(self, network: str) -> Iterator[Callable[[], bool]]:
        network = network or self._only_network()
        left = Disconnected(network, docker_client.endpoint(self.container, network))
        with self._noted(left), super().disconnected(network) as is_off:
            yield is_off

    @contextmanager
    def interface_down(self, device: str) -> Iterator[Callable[[], set[str]]]:
        with self._changed(device), super().interface_down(device) as flags:
            yield flags

    @contextmanager
    def addresses_removed(self, device: str) -> Iterator[Callable[[], set[str]]]:
        with self._changed(device), super().addresses_removed(device) as addresses:
            yield addresses

    def _changed(self, device: str) -> AbstractContextManager[None]:
        expected = f"expected {device} of container {self.container.name} up"
        with self.entered():
            index = indices().get(device)
            if index is None:
                raise FaultError(
                    f"{expected}, found none: docker has made its network anew; attach to it again"
                )
            if "UP" not in rtnetlink.flags(device):
                raise FaultError(f"{expected}, found it down already")
            return self._noted(Changed(self.identity, device, index, rtnetlink.saved(device)))

    @contextmanager
    def _noted(self, change: Change) -> Iterator[None]:
        """Around a change and its undoing; where that fails, it stays to be done."""
        self._note(*self.done.changes, change)
        yield
        with suppress(LabError):  # what is over already stays written down, and is found in order
            self._note(*(other for other in self.done.changes if other is not change))

    def _note(self, *changes: Change) -> None:
        self.done = msgspec.structs.replace(self.done, changes=changes)
        LEDGER.note(self.token, msgspec.to_builtins(self.done))


class _Outside(Host):
    """All that the container talks to. What arrives there is what leaves the container."""

    def __init__(self, spec: HostSpec, container: ContainerHost) -> None:
        super().__init__(spec, container.namespace)
        self._container = container

    @property
    def identity(self) -> int:
        return self._container.identity

    def entered(self) -> AbstractContextManager[None]:
        raise FaultError("expected a fault of the container itself, found one of what it talks to")

    @contextmanager
    def ruleset(self, hook: str, rules: Rules) -> Iterator[Callable[[], dict[str, int]]]:
        device = self._container.spec.interfaces[0].name
        sent = {label: [_to_loopback(rule) for rule in group] for label, group in rules.items()}
        if not hook.startswith("ingress:"):
            raise FaultError(
                "expected a fault of the container itself, found one that works on its "
                f"peer's {hook}"
            )
        with self._container.ruleset(f"egress:{device}", sent) as counters:
            yield counters

    def close(self) -> None:
        """The namespace is the container's."""


def _to_loopback(rule: Sequence[Any]) -> list[Any]:
    return [{"fwd": {"dev": "lo"}} if "drop" in statement else statement for statement in rule]


# --- looking ------------------------------------------------------------------------------------


def _check_own(namespace: Namespace, container: Any) -> None:
    """Raise UsageError for a container without a network of its own."""
    mode = str(container.attrs["HostConfig"]["NetworkMode"])
    shared = namespace.identity == Path("/proc/self/ns/net").stat().st_ino
    if shared or mode == "host" or mode.startswith("container:"):
        whose = "another container's" if mode.startswith("container:") else "this machine's"
        raise UsageError(
            f"expected a container with a network of its own, found {container.name} on "
            f"{whose} (--network {mode})"
        )


def _spec(namespace: Namespace, family: Family, device: str) -> HostSpec:
    """The container as a host at the end of a link. Raises UsageError."""
    with namespace.entered(), RtnetlinkSocket() as rtnl:
        own = _addressed(rtnl, family)
        wanted = device or _default_device(rtnl, family) or next(iter(own), "")
        if wanted not in own:
            found = ", ".join(own) or "none"
            raise UsageError(
                f"expected an interface of the container with an {family} address ({found}), found "
                f"{wanted or 'no interface'}; name another family or device"
            )
        mac = rtnl.link(rtnl.index_of(wanted)).mac
    address, prefix = own[wanted]
    interface = Interface(name=wanted, toward=REST, mac=mac, address=address, prefix=prefix)
    return HostSpec(name=IT, interfaces=(interface,))


def _addressed(rtnl: RtnetlinkSocket, family: Family) -> dict[str, tuple[str, int]]:
    """The first address of each interface that has one beyond its link, with the prefix, by
    name.
    """
    names = dict(socket.if_nameindex())
    found: dict[str, tuple[str, int]] = {}
    for each in rtnl.addresses(family=FAMILIES[family]):
        name = names.get(each.index, "lo")
        if each.scope == 0 and name != "lo":
            found.setdefault(name, (each.address, each.prefix))
    return found


def _default_device(rtnl: RtnetlinkSocket, family: Family) -> str:
    """The interface of the default route, "" where there is none."""
    for route in rtnl.routes(FAMILIES[family]):
        if (route.dst, route.table) == ("default", MAIN_TABLE) and route.oif is not None:
            return rtnl.link(route.oif).name
    return ""


def _rest(spec: HostSpec) -> HostSpec:
    """What stands for all that the container talks to."""
    own = spec.interfaces[0]
    return HostSpec(
        name=REST, interfaces=(msgspec.structs.replace(own, name="outside", toward=IT, mac=""),)
    )
