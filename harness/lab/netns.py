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
from harness.lab import links
from harness.lab.host import Host
from harness.lab.namespace import Namespace, write_sysctl
from harness.lab.topology import HostSpec, Interface, Layout, Topology, layout

CARRIER_WAIT_S = 2.0


class NetnsLab:
    """A topology in namespaces of this process. Use as a context manager; safe to use from one thread at a time."""

    def __init__(self, topology: Topology) -> None:
        self.layout: Layout = layout(topology)
        self._hosts: dict[str, Host] = {}

    def __enter__(self) -> Self:
        try:
            for spec in self.layout.hosts:
                self._hosts[spec.name] = self._new_host(spec)
            self._wire()
            for spec in self.layout.hosts:
                self._configure(spec)
        except NetlinkError as error:
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

    def host(self, name: str) -> Host:
        """The host of that name. Raises KeyError."""
        return self._hosts[name]

    def reboot(self, name: str) -> None:
        """Move the host's interface into a fresh namespace, then end what lives in the old one.

        The interface leaves first, so that no FIN or RST of the dying sockets can escape. Returns when the neighbour
        sees carrier again. Raises LabError.
        """
        host = self._hosts[name]
        old = host.namespace
        fresh = self._new_host(host.spec).namespace
        with old.entered(), IPRoute() as ipr:
            for interface in host.spec.interfaces:
                ipr.link("set", index=self._index(host.spec, interface), net_ns_fd=fresh.fd)
        host.namespace = fresh
        self._configure(host.spec)
        host.end_programs()
        old.close()
        for interface in host.spec.interfaces:
            self._await_carrier(host.spec, interface)

    def _new_host(self, spec: HostSpec) -> Host:
        host = Host(spec, Namespace())
        with host.entered():
            _quieten(self.layout, spec)
        return host

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
        indices = {interface.name: self._index(spec, interface) for interface in spec.interfaces}
        with self._hosts[spec.name].entered(), IPRoute() as ipr:
            links.configure(ipr, spec, indices, neighbours, self.layout.family)

    def _index(self, spec: HostSpec, interface: Interface) -> int:
        """The interface's index: chosen for the near end of a link, the kernel's first for the far end."""
        place = self.layout.host_names.index
        return links.NEAR_INDEX if place(spec.name) < place(interface.toward) else links.FAR_INDEX

    def _await_carrier(self, spec: HostSpec, interface: Interface) -> None:
        neighbour = self.layout.host(interface.toward)
        device = neighbour.interface_toward(spec.name)
        assert device is not None
        deadline = time.monotonic() + CARRIER_WAIT_S
        with self._hosts[neighbour.name].entered():
            while "RUNNING" not in links.flags(device.name):
                if time.monotonic() > deadline:
                    raise LabError(f"expected carrier on {neighbour.name}/{device.name} after the reboot, found none")
                with suppress(InterruptedError):
                    time.sleep(0.001)


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
