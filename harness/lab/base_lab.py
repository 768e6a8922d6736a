"""What labs have in common: hosts with a network namespace each, wired by veth links through
rtnetlink.

Whoever makes the namespaces, the hosts in them get the same interfaces, addresses, routes,
neighbours and rules.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self

from harness.errors import LabError
from harness.lab import nat_rules, processes, rtnetlink, sysctls
from harness.lab.host import Host
from harness.lab.namespace import Namespace, write_sysctl
from harness.lab.processes import Owned
from harness.lab.rtnetlink_socket import UP, Link, RtnetlinkSocket
from harness.lab.watched import Watched
from harness.model.topology import HostSpec, Interface, Layout, Topology, layout
from harness.probes.capture import keep_stamping
from harness.system import priority

OPERATION_WAIT_S = 10.0
CARRIER_WAIT_S = 10.0
_YIELDS = 3
"""So often the CPU is left to the work queue before time is spent, which virtual time counts."""


class WiredLab:
    """A topology in namespaces. Use as a context manager; safe to use from one thread at a time."""

    def __init__(self, topology: Topology) -> None:
        self.layout: Layout = layout(topology)
        self.watched: Watched | None = None
        self._hosts: dict[str, Host] = {}
        self._retired: list[Namespace] = []

    def __enter__(self) -> Self:
        keep_stamping()
        try:
            self._make_hosts()
            for near, far in zip(self.layout.hosts, self.layout.hosts[1:], strict=False):
                self._wire(near, far)
            for spec in self.layout.hosts:
                self._configure(spec)
            self._await_operation(
                *((spec, interface) for spec in self.layout.hosts for interface in spec.interfaces)
            )
        except OSError as error:
            self.close()
            raise LabError(
                f"expected to wire {topology_name(self.layout)}, found {error}"
            ) from error
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take everything down, with every process that is still in it.

        Harmless when it is down already.

        Raises LabError where a process does not end; all the rest is down then.
        """
        hosts, retired = list(self._hosts.values()), [*self._retired]
        self._hosts.clear()
        self._retired.clear()
        with (
            ExitStack() as stack
        ):  # each is done whatever becomes of the others, the last one first
            for namespace in retired:
                stack.callback(namespace.close)
            for host in hosts:
                stack.callback(host.close)
            stack.callback(self._end_strays, [*(host.namespace for host in hosts), *retired])
            for host in hosts:
                stack.callback(host.kill_programs)

    def _end_strays(self, namespaces: Sequence[Namespace]) -> None:
        """End what programs left behind in the lab's networks.

        Raises LabError where something is still there.
        """
        what = f"left in {topology_name(self.layout)}"
        left = processes.end(
            [Owned(what, network=each.network) for each in namespaces if each.network], held=True
        ).left
        if left:
            found = "; ".join(why for _, why in left)
            raise LabError(
                f"expected every process in {topology_name(self.layout)} to end, found {found}"
            )

    def host(self, name: str) -> Host:
        """The host of that name. Raises KeyError."""
        return self._hosts[name]

    def _make_hosts(self) -> None:
        """Put every host of the layout, not wired yet, into `_hosts`. Raises LabError."""
        raise NotImplementedError

    def _wire(self, near_spec: HostSpec, far_spec: HostSpec) -> None:
        """Make the link between two neighbours, of which one is nearer to the client."""
        near, far = (
            near_spec.interface_toward(far_spec.name),
            far_spec.interface_toward(near_spec.name),
        )
        assert near is not None
        assert far is not None
        with self._hosts[near_spec.name].entered(), RtnetlinkSocket() as rtnl:
            rtnetlink.connect(rtnl, near, far, self._hosts[far_spec.name].namespace.fd)

    def _move(self, host: Host, namespace: Namespace, mac: str | None) -> None:
        """Move a host's interfaces into a fresh namespace, its own from then on.

        They leave first, so that no FIN or RST of the dying sockets can escape. The old namespace
        is kept until the end: what was done to it, such as a ruleset, may still be undone there.
        """
        with host.namespace.entered(), RtnetlinkSocket() as rtnl:
            for interface in host.spec.interfaces:
                rtnl.set_link(rtnl.index_of(interface.name), namespace_fd=namespace.fd)
        self._retired.append(host.namespace)
        host.namespace = namespace
        if mac is not None:
            with host.namespace.entered(), RtnetlinkSocket() as rtnl:
                rtnl.set_link(rtnl.index_of(host.spec.interfaces[0].name), mac=mac)
        self._configure(host.spec)

    def _configure(self, spec: HostSpec) -> None:
        with self._hosts[spec.name].entered(), RtnetlinkSocket() as rtnl:
            rtnetlink.configure(rtnl, spec, self._pinned(spec), self.layout.family)
            sysctls.settle_neighbours(
                [
                    *(each.name for each in spec.interfaces),
                    *([rtnetlink.BRIDGE] if spec.bridges else []),
                ]
            )
            nat_rules.set_up(spec, self.layout.family)

    def _pinned(self, spec: HostSpec) -> list[tuple[str, str]]:
        """Address and MAC of each neighbour that a host knows."""
        return [
            (address, mac) for host, address, mac in self.layout.neighbours if host == spec.name
        ]

    def _await_reach(self, spec: HostSpec) -> None:
        """Wait until a host that has come back can be reached, where its links are up.

        Raises LabError.
        """
        for near in spec.interfaces:
            neighbour = self.layout.host(near.toward)
            far = neighbour.interface_toward(spec.name)
            assert far is not None
            with self._hosts[neighbour.name].entered():
                wired = "UP" in rtnetlink.flags(far.name)
            if wired:
                self._await_operation((spec, near), (neighbour, far))

    def settle_carrier(self, name: str, device: str) -> None:
        """As `Lab` has it."""
        spec = self.layout.host(name)
        near = next(each for each in spec.interfaces if each.name == device)
        far = self.layout.host(near.toward).interface_toward(name)
        assert far is not None
        ends = ((name, device), (near.toward, far.name))
        deadline = time.monotonic() + CARRIER_WAIT_S
        for attempt in itertools.count():
            links = [self._link(*end) for end in ends]
            carries = all(link.flags & UP for link in links)
            if all(link.operates == carries for link in links) or time.monotonic() > deadline:
                return
            if attempt < _YIELDS:
                with priority.ordinary():  # at real-time priority the work queue would not run
                    os.sched_yield()
            else:
                time.sleep(0.0005)

    def _link(self, name: str, device: str) -> Link:
        with self._hosts[name].entered(), RtnetlinkSocket() as rtnl:
            return rtnl.link(rtnl.index_of(device))

    def _await_operation(self, *ends: tuple[HostSpec, Interface]) -> None:
        """Wait until these interfaces send what they are given. Raises LabError."""
        deadline = time.monotonic() + OPERATION_WAIT_S
        for spec, interface in ends:
            with self._hosts[spec.name].entered(), RtnetlinkSocket() as rtnl:
                index = rtnl.index_of(interface.name)
                while not rtnetlink.in_operation(rtnl, index):
                    if time.monotonic() > deadline:
                        raise LabError(
                            f"expected carrier on {spec.name}/{interface.name}, found none"
                        )
                    time.sleep(0.0005)


def topology_name(where: Layout) -> str:
    """The hosts in a row, for messages."""
    return " - ".join(where.host_names)


def quieten(where: Layout, spec: HostSpec, devices: Sequence[str] = ()) -> None:
    """Settings of a new namespace: only the family asked for, no address detection, forwarding
    where wanted.

    All others are the same on every machine. `devices`: those that are in it, beside the loopback
    device.
    """
    sysctls.settle(devices)
    if where.family == "ipv4":
        with suppress(LabError):  # a kernel without IPv6 has nothing to switch off
            write_sysctl("net.ipv6.conf.default.disable_ipv6", 1)
            write_sysctl("net.ipv6.conf.all.disable_ipv6", 1)
        if spec.forwards:
            write_sysctl("net.ipv4.ip_forward", 1)
        return
    for scope in ("default", "all"):
        write_sysctl(f"net.ipv6.conf.{scope}.accept_dad", 0)
        write_sysctl(f"net.ipv6.conf.{scope}.router_solicitations", 0)
    if spec.forwards:
        write_sysctl("net.ipv6.conf.all.forwarding", 1)
