"""The network of one host: its sockets, sysctls, packet filter, interfaces and their impairment.

It works on any namespace, whoever made it.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.lab import nftables, tallies
from harness.lab.namespace import Namespace, read_sysctl, write_sysctl
from harness.lab.nat_rules import TRANSLATION_PRIORITY
from harness.lab.nftables import Rules
from harness.lab.socket_table import SocketTable
from harness.lab.tallies import Tally
from harness.model.topology import Family, HostSpec
from harness.system.file_descriptors import raised_socket

if TYPE_CHECKING:
    from harness.lab.netem import Counters, Impairment
    from harness.probes.packets import FlowTracker

_table_numbers = itertools.count(1)


class HostNetwork:
    """The network of one machine of a lab."""

    def __init__(self, spec: HostSpec, namespace: Namespace) -> None:
        self.spec = spec
        self.namespace = namespace
        self.table_prefix = "harness"
        """What the names of nftables tables made here begin with."""
        self.flow_tracker: Callable[[], FlowTracker] | None = None
        """The connections that a capture on this host has seen until now.

        None without a capture.
        """

    @property
    def name(self) -> str:
        """Its name in the topology."""
        return self.spec.name

    @property
    def identity(self) -> int:
        """The inode number of its network namespace, as in /proc/PID/ns/net."""
        return self.namespace.identity

    def entered(self) -> AbstractContextManager[None]:
        """Put the calling thread into the host's network for the length of a block."""
        return self.namespace.entered()

    def socket(self, family: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A socket that lives on this host.

        Raises UsageError for anything but a family of the socket module.
        """
        if not isinstance(family, int):
            raise UsageError(
                f"socket: expected socket.AF_INET or socket.AF_INET6, found {family!r}"
            )
        with self.entered():
            return raised_socket(socket.socket(family, kind))

    @property
    def socket_table(self) -> SocketTable:
        """The TCP sockets of the host."""
        return SocketTable(self.name, self.entered)

    def sysctl(self, name: str, value: int | str) -> None:
        """Set a sysctl of the host's network, by its dotted name. Raises LabError."""
        with self.entered():
            write_sysctl(name, value)

    @contextmanager
    def sysctls(self, settings: Mapping[str, int]) -> Iterator[None]:
        """Set sysctls of the host's network for the length of the block, then as they were.

        Raises LabError.
        """
        namespace = self.namespace
        with namespace.entered():
            before = {name: read_sysctl(name) for name in settings}
        try:
            for name, value in settings.items():
                self.sysctl(name, value)
            yield
        finally:
            with namespace.entered():
                for name, text in before.items():
                    write_sysctl(name, text)

    def transmit(self, device: str, frame: bytes) -> None:
        """Put an Ethernet frame on an interface's wire, past routing and packet filter.

        Raises OSError.
        """
        with self.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
            wire.sendto(frame, (device, 0))

    @contextmanager
    def ruleset(self, hook: str, rules: Rules) -> Iterator[Callable[[], dict[str, int]]]:
        """A table of our own with rules at one hook, for the length of the block.

        Yields a reader of its counters.

        `hook`: "ingress:DEVICE", "egress:DEVICE", each also for "DEVICE,DEVICE…", "input",
        "output", "forward", "prerouting" (before a packet's way is chosen, behind connection
        tracking) or "translation" (source addresses, before the lab's own). The reader gives
        packets by label. Raises LabError.
        """
        with self._table(hook, rules) as listed:
            yield lambda: {label: tally.packets for label, tally in listed().items()}

    @contextmanager
    def ruleset_by_connection(
        self, hook: str, rules: Rules, family: Family
    ) -> Iterator[Callable[[], dict[str, Tally]]]:
        """As `ruleset`, of rules by `tallies.by_connection`.

        Yields a reader of tallies by label.
        """
        with self._table(hook, rules, family) as listed:
            yield listed

    @contextmanager
    def _table(
        self, hook: str, rules: Rules, by_connection: Family | None = None
    ) -> Iterator[Callable[[], dict[str, Tally]]]:
        """`by_connection`: with a set for each label, of connections of that family."""
        table = f"{self.table_prefix}_{next(_table_numbers)}"
        name, _, devices = hook.partition(":")
        family = "netdev" if devices else "inet"
        where = {"family": family, "table": table}
        base = {**where, "type": "filter", "hook": name, "prio": 0, "policy": "accept"}
        if name == "translation":
            base |= {"type": "nat", "hook": "postrouting", "prio": TRANSLATION_PRIORITY - 1}
        commands: list[dict[str, Any]] = [{"add": {"table": {"family": family, "name": table}}}]
        if by_connection is not None:
            commands += [tallies.connection_set(where, label, by_connection) for label in rules]
        # libnftables 1.0.6 takes no list of devices, so each has a chain of its own.
        for number, device in enumerate(devices.split(",")):
            at = {"dev": device} if device else {}
            chain = f"chain{number}"
            commands.append({"add": {"chain": {**base, **at, "name": chain}}})
            commands += [
                {
                    "add": {
                        "rule": {
                            **where,
                            "chain": chain,
                            "comment": label,
                            "expr": list(expressions),
                        }
                    }
                }
                for label, group in rules.items()
                for expressions in group
            ]
        namespace = self.namespace
        with namespace.entered():
            nftables.run(*commands)
        try:
            yield lambda: _tallies(namespace, family, table, rules)
        finally:
            with namespace.entered():
                nftables.run({"delete": {"table": {"family": family, "name": table}}})

    @contextmanager
    def interface_down(self, device: str) -> Iterator[Callable[[], set[str]]]:
        """Take an interface down for the length of the block, then up with the addresses and routes
        it had.

        Yields a reader of the interface's flags ("UP", "LOWER_UP", …).
        """
        from harness.lab import rtnetlink

        namespace = self.namespace
        with namespace.entered():
            saved = rtnetlink.take_down(device)

        def flags() -> set[str]:
            with namespace.entered():
                return rtnetlink.flags(device)

        try:
            yield flags
        finally:
            with namespace.entered():
                rtnetlink.bring_up(device, saved)

    @contextmanager
    def addresses_removed(self, device: str) -> Iterator[Callable[[], set[str]]]:
        """Take an interface's addresses away for the length of the block, but link-local ones.

        Then all is as it was.

        Yields a reader of the addresses that it has.
        """
        from harness.lab import rtnetlink

        namespace = self.namespace
        with namespace.entered():
            saved = rtnetlink.remove_addresses(device)

        def addresses() -> set[str]:
            with namespace.entered():
                return rtnetlink.addresses(device)

        try:
            yield addresses
        finally:
            with namespace.entered():
                rtnetlink.give_back(device, saved)

    def unread(self, counts: Callable[[Collection[int]], bool] | None = None) -> int:
        """Octets that have come for the host's connections and that no program has read.

        `counts`: whether those of a connection between two ports do. Raises LabError.
        """
        return self.socket_table.unread(counts)

    @contextmanager
    def impaired(self, device: str, impairment: Impairment) -> Iterator[Callable[[], Counters]]:
        """Impair the TCP segments that leave an interface, for the length of the block.

        Yields a reader of counters.

        Raises CapabilityError where the kernel has no netem, FaultError where another queue is in
        its place.
        """
        from harness.lab import netem

        namespace = self.namespace
        with namespace.entered():
            netem.attach(device, impairment)

        def counters() -> Counters:
            with namespace.entered():
                return netem.counters(device, impairment)

        try:
            yield counters
        finally:
            with namespace.entered():
                netem.detach(device)


def _tallies(namespace: Namespace, family: str, table: str, rules: Rules) -> dict[str, Tally]:
    with namespace.entered():
        listing = nftables.run({"list": {"table": {"family": family, "name": table}}})
    return tallies.read(listing, rules)
