"""A lab of one container that somebody runs: it is the host "server", and all that it talks to is the host "client".

Nothing is made but what a fault needs, and what the container had before goes into the ledger first: when its lab is
left, or by `harness clean` after this process was killed, it has that again. What arrives at the rest of the network is
what leaves the container; it is caught at its interface's egress (netfilter, Linux 5.16) and sent to loopback, which
drops it: to TCP it has been sent (see KERNEL: a drop would be a local error).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Any, Self

import msgspec
from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from harness.errors import FaultError, LabError, UsageError
from harness.lab import containers, links, nftables
from harness.lab.container import ContainerHost
from harness.lab.docker import ensure_root
from harness.lab.host import Host, Rules
from harness.lab.ledger import LEDGER, Entry
from harness.lab.links import FAMILIES, SavedInterface
from harness.lab.namespace import Namespace
from harness.lab.topology import Family, HostSpec, Interface, Layout

IT, REST = "server", "client"


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """What a container had. `at`: the daemon; `prefix`: of the names of the tables that are put into its network."""

    at: str
    container: str
    name: str
    prefix: str
    paused: bool
    networks: dict[str, dict[str, Any]]
    interfaces: dict[str, SavedInterface]
    """Those that were up, by name."""


class AttachedLab:
    """One running container. Use as a context manager; leaving it gives the container back what it had."""

    def __init__(self, name: str, family: Family = "ipv4", device: str = "") -> None:
        """`device`: its interface that is meant, by default the one by which its default route leads."""
        self.name, self.family, self.device = name, family, device
        self._client: containers.Client = None
        self._token = ""

    def __enter__(self) -> Self:
        """Look at the container and write down what it has. Raises UsageError, CapabilityError, LabError."""
        ensure_root()
        self._client = containers.connect()
        try:
            container = _find(self._client, self.name)
            namespace = Namespace(containers.pid_of(container))
            try:
                spec = _spec(namespace, self.family, self.device)
                before = _look(container, namespace)
            finally:
                namespace.close()
            self._host = ContainerHost(spec, container)
            self._host.come_back = self._come_back
        except BaseException:
            self._client.close()
            raise
        self._token = LEDGER.announce("attached", f"container {self.name}", data={})
        before = msgspec.structs.replace(before, prefix=f"harness_{self._token[:12]}")
        self._host.table_prefix = before.prefix
        LEDGER.note(self._token, msgspec.to_builtins(before))
        self._outside = _Outside(_rest(spec), self._host)
        self.layout = Layout(family=self.family, hosts=(self._outside.spec, spec), neighbours=())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._host.close()
        finally:
            LEDGER.settle(self._token)
            self._client.close()

    def host(self, name: str) -> Host:
        """The container, or the stand-in for the rest. Raises KeyError."""
        return {IT: self._host, REST: self._outside}[name]

    def reboot(self, name: str, mac: str | None = None) -> None:
        """Raise FaultError: a container that is not ours is restarted by docker, or not at all."""
        raise FaultError(f"expected a fault for a container that is given, found a reboot of {name}: container-restart")

    def _come_back(self) -> None:
        """It may have another network namespace."""
        before, self._host.namespace = self._host.namespace, Namespace(containers.pid_of(self._host.container))
        before.close()


class _Outside(Host):
    """All that the container talks to. What arrives there is what leaves the container."""

    def __init__(self, spec: HostSpec, container: ContainerHost) -> None:
        super().__init__(spec, container.namespace)
        self._container = container

    @property
    def identity(self) -> int:
        return self._container.identity

    def entered(self) -> AbstractContextManager[None]:
        raise FaultError("expected a fault of the container itself, found one of what it talks to; set on=server")

    @contextmanager
    def ruleset(self, hook: str, rules: Rules) -> Iterator[Callable[[], dict[str, int]]]:
        device = self._container.spec.interfaces[0].name
        sent = {label: [_to_loopback(rule) for rule in group] for label, group in rules.items()}
        if not hook.startswith("ingress:"):
            raise FaultError(f"expected a fault of the container itself, found one that works on its peer's {hook}")
        with self._container.ruleset(f"egress:{device}", sent) as counters:
            yield counters

    def close(self) -> None:
        """The namespace is the container's."""


def _to_loopback(rule: Sequence[Any]) -> list[Any]:
    return [{"fwd": {"dev": "lo"}} if "drop" in statement else statement for statement in rule]


# --- looking -------------------------------------------------------------------------------------------


def _find(client: containers.Client, name: str) -> Any:
    """The running container of that name or ID. Raises UsageError, LabError."""
    import docker.errors

    with containers.words(LabError, f"expected to look for container {name}"):
        try:
            container = client.containers.get(name)
        except docker.errors.NotFound:
            running = ", ".join(sorted(each.name for each in client.containers.list())) or "none"
            raise UsageError(f"--container: expected a running container ({running}), found no {name}") from None
    if container.status not in ("running", "paused"):
        raise UsageError(f"--container: expected a running container, found {name} {container.status}; docker start it")
    return container


def _spec(namespace: Namespace, family: Family, device: str) -> HostSpec:
    """The container as a host at the end of a link. Raises LabError, UsageError."""
    with namespace.entered(), IPRoute() as ipr:
        names = [name for _, name in socket.if_nameindex() if name != "lo"]
        wanted = device or _default_device(ipr, family) or next(iter(names), "")
        if wanted not in names:
            found = ", ".join(names) or "none"
            raise UsageError(f"expected an interface of the container ({found}), found {wanted or 'no interface'}")
        index = links.index_of(ipr, wanted)
        mac = str(ipr.link("get", index=index)[0].get_attr("IFLA_ADDRESS"))
        own = [m for m in ipr.get_addr(index=index, family=FAMILIES[family]) if m["scope"] == 0]
    if not own:
        raise UsageError(f"expected an {family} address on the container's {wanted}, found none; name another --family")
    address, prefix = str(own[0].get_attr("IFA_ADDRESS")), int(own[0]["prefixlen"])
    interface = Interface(name=wanted, toward=REST, mac=mac, address=address, prefix=prefix)
    return HostSpec(name=IT, interfaces=(interface,))


def _default_device(ipr: IPRoute, family: Family) -> str:
    """The interface of the default route, "" where there is none."""
    for route in ipr.get_default_routes(family=FAMILIES[family]):
        index = route.get_attr("RTA_OIF")
        if index is not None:
            return str(ipr.link("get", index=index)[0].get_attr("IFLA_IFNAME"))
    return ""


def _rest(spec: HostSpec) -> HostSpec:
    """What stands for all that the container talks to."""
    own = spec.interfaces[0]
    return HostSpec(name=REST, interfaces=(msgspec.structs.replace(own, name="outside", toward=IT, mac=""),))


def _look(container: Any, namespace: Namespace) -> Before:
    """What a container has. Raises FaultError, LabError."""
    networks = container.attrs["NetworkSettings"]["Networks"]
    with namespace.entered():
        up = [name for _, name in socket.if_nameindex() if name != "lo" and "UP" in links.flags(name)]
        interfaces = {name: links.saved(name) for name in up}
    return Before(
        at=containers.place(),
        container=container.id,
        name=container.name,
        prefix="",
        paused=container.status == "paused",
        networks={name: containers.endpoint(container, name) for name in networks},
        interfaces=interfaces,
    )


# --- giving back ---------------------------------------------------------------------------------------


def undo(entry: Entry) -> list[str]:
    """Give a container back what it had, after a harness was killed; a line for each thing. Raises HarnessError."""
    if not entry.data:
        return []
    before = msgspec.convert(entry.data, Before)
    import docker.errors

    with containers.at(before.at) as client, containers.words(LabError, f"expected to restore {before.name}"):
        try:
            container = client.containers.get(before.container)
        except docker.errors.NotFound:
            return [f"what was done to container {before.name}, which is gone"]
        return [f"{what} of container {before.name}" for what in _restored(container, before)]


def _restored(container: Any, before: Before) -> Iterator[str]:
    if container.status == "paused" and not before.paused:
        container.unpause()
        yield "pause"
    for network, endpoint in before.networks.items():
        if network not in container.attrs["NetworkSettings"]["Networks"] and container.status != "exited":
            containers.reconnect(container, network, endpoint)
            yield f"absence from network {network}"
    container.reload()
    if container.status != "running":
        return
    namespace = Namespace(containers.pid_of(container))
    try:
        with namespace.entered():
            yield from _network_restored(before)
    except (NetlinkError, OSError) as error:
        raise LabError(f"expected to restore the network of container {before.name}, found {error}") from error
    finally:
        namespace.close()


def _network_restored(before: Before) -> Iterator[str]:
    """In the container's network."""
    for item in nftables.run({"list": {"tables": None}}):
        table = item.get("table", {})
        if str(table.get("name", "")).startswith(f"{before.prefix}_"):
            nftables.run({"delete": {"table": {"family": table["family"], "name": table["name"]}}})
            yield f"packet filter {table['name']}"
    present = {name for _, name in socket.if_nameindex()}
    for device, saved in before.interfaces.items():
        if device not in present:
            continue
        if "UP" not in links.flags(device):
            links.bring_up(device, saved)
            yield f"{device}, which was down,"
        elif {address for address, *_ in saved.addresses} - links.addresses(device):
            links.give_back(device, saved)
            yield f"{device}, which had lost addresses,"
