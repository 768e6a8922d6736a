"""The netns lab: every host a network namespace, every link a veth pair, built in-process through rtnetlink.

Building takes a few milliseconds; everything disappears with the last descriptor of its namespaces.
"""

from __future__ import annotations

import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from harness.errors import LabError
from harness.lab import links, tracking
from harness.lab.host import Host
from harness.lab.namespace import Namespace, write_sysctl
from harness.lab.topology import HostSpec, Interface, Layout, Topology, layout

OPERATION_WAIT_S = 2.0


class NetnsLab:
    """A topology in namespaces of this process. Use as a context manager; safe to use from one thread at a time."""

    def __init__(self, topology: Topology) -> None:
        self.layout: Layout = layout(topology)
        self._hosts: dict[str, Host] = {}
        self._retired: list[Namespace] = []

    def __enter__(self) -> Self:
        try:
            for spec in self.layout.hosts:
                self._hosts[spec.name] = Host(spec, self._new_namespace(spec))
            self._wire()
            for spec in self.layout.hosts:
                self._configure(spec)
            self._await_operation(*((spec, interface) for spec in self.layout.hosts for interface in spec.interfaces))
        except (NetlinkError, OSError) as error:
            self.close()
            raise LabError(f"expected to wire {topology_name(self.layout)}, found {error}") from error
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take everything down; harmless when it is down already."""
        for host in self._hosts.values():
            host.close()
        self._hosts.clear()
        for namespace in self._retired:
            namespace.close()
        self._retired.clear()

    def host(self, name: str) -> Host:
        """The host of that name. Raises KeyError."""
        return self._hosts[name]

    def reboot(self, name: str, mac: str | None = None) -> None:
        """Move the host's interface into a fresh namespace, with another MAC where one is given, then end the old one.

        The interface leaves first, so that no FIN or RST of the dying sockets can escape. Returns when the host can
        be reached again, where its links are up. Raises LabError.
        """
        host = self._hosts[name]
        spare = self._new_namespace(host.spec)
        try:
            with host.namespace.entered(), IPRoute() as ipr:
                for interface in host.spec.interfaces:
                    ipr.link("set", index=links.index_of(ipr, interface.name), net_ns_fd=spare.fd)
            host.namespace, spare = spare, host.namespace
            if mac is not None:
                with host.namespace.entered(), IPRoute() as ipr:
                    ipr.link("set", index=links.index_of(ipr, host.spec.interfaces[0].name), address=mac)
            self._configure(host.spec)
            host.kill_programs()
        except (NetlinkError, OSError) as error:
            raise LabError(f"expected to reboot {name}, found {error}") from error
        finally:
            # Kept until the end: what was done to the old namespace, such as a ruleset, may still be undone there.
            self._retired.append(spare)
        for near in host.spec.interfaces:
            neighbour = self.layout.host(near.toward)
            far = neighbour.interface_toward(name)
            assert far is not None
            with self._hosts[neighbour.name].entered():
                wired = "UP" in links.flags(far.name)
            if wired:
                self._await_operation((host.spec, near), (neighbour, far))

    def _new_namespace(self, spec: HostSpec) -> Namespace:
        namespace = Namespace()
        try:
            with namespace.entered():
                _quieten(self.layout, spec)
        except BaseException:
            namespace.close()
            raise
        return namespace

    def _wire(self) -> None:
        """Make each link once, from the host nearer to the client."""
        for near_spec, far_spec in zip(self.layout.hosts, self.layout.hosts[1:], strict=False):
            near, far = near_spec.interface_toward(far_spec.name), far_spec.interface_toward(near_spec.name)
            assert near is not None
            assert far is not None
            with self._hosts[near_spec.name].entered(), IPRoute() as ipr:
                links.connect(ipr, near, far, self._hosts[far_spec.name].namespace.fd)

    def _configure(self, spec: HostSpec) -> None:
        neighbours = [(address, mac) for host, address, mac in self.layout.neighbours if host == spec.name]
        with self._hosts[spec.name].entered(), IPRoute() as ipr:
            links.configure(ipr, spec, neighbours, self.layout.family)
            tracking.set_up(spec, self.layout.family)

    def _await_operation(self, *ends: tuple[HostSpec, Interface]) -> None:
        """Wait until these interfaces send what they are given. Raises LabError."""
        deadline = time.monotonic() + OPERATION_WAIT_S
        for spec, interface in ends:
            with self._hosts[spec.name].entered(), IPRoute() as ipr:
                index = links.index_of(ipr, interface.name)
                while not links.in_operation(ipr, index):
                    if time.monotonic() > deadline:
                        raise LabError(f"expected carrier on {spec.name}/{interface.name}, found none")
                    time.sleep(0.0005)


def topology_name(where: Layout) -> str:
    """The hosts in a row, for messages."""
    return " - ".join(where.host_names)


def _quieten(where: Layout, spec: HostSpec) -> None:
    """Settings of an empty namespace: only the family asked for, no address detection, forwarding where wanted."""
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
