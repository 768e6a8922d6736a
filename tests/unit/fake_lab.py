"""A lab without a kernel: it records what is done to its hosts, and fails on demand."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from harness.lab.host import Host
from harness.lab.namespace import Namespace
from harness.lab.nftables import Rules
from harness.lab.tallies import Tally
from harness.lab.watched import Watched
from harness.model.topology import Family, HostSpec, Topology, layout
from harness.probes.capture import Frame
from harness.subjects.tcp_driver import PORT
from tests.unit.fake_clock import FakeClock

_numbers = itertools.count(1000)
"""Of descriptors and namespaces; no descriptor of this process has such a number."""


class FakeLab:
    """The hosts of a topology. `done`: what was done, one line for each step, in order.

    `fails`: what is raised instead, by the line of the step. `takes_ns`: how long a step takes, by
    its line.
    """

    def __init__(self, topology: Topology, clock: FakeClock) -> None:
        self.layout = layout(topology)
        self.clock = clock
        self.watched: Watched | None = None
        self.done: list[str] = []
        self.fails: dict[str, BaseException] = {}
        self.takes_ns: dict[str, int] = {}
        self.packets = 1
        """How many packets the rules of each label have met, as their counters say."""
        self.unreadable: BaseException | None = None
        """What is raised where these counters are read."""
        self.hosts = {spec.name: FakeHost(spec, self) for spec in self.layout.hosts}

    def __enter__(self) -> Self:
        self.step("built")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.step("taken down")

    def host(self, name: str) -> Host:
        """The host of that name. Raises KeyError."""
        return self.hosts[name]

    def settle_carrier(self, name: str, device: str) -> None:
        """At once."""

    def reboot(self, name: str, mac: str | None = None) -> None:
        """Give the host another namespace."""
        self.step(f"{name} rebooted")
        self.hosts[name].namespace = FakeNamespace()

    def counted(self, rules: Rules) -> dict[str, int]:
        """What the counters of rules say."""
        if self.unreadable is not None:
            raise self.unreadable
        return dict.fromkeys(rules, self.packets)

    def step(self, line: str) -> None:
        """Write a step down. It takes its time first, and raises what it is to raise last."""
        self.done.append(line)
        self.clock.takes(self.takes_ns.get(line, 0))
        if line in self.fails:
            raise self.fails[line]


class FakeNamespace(Namespace):
    """A number, and nothing behind it."""

    def __init__(self) -> None:
        self.fd, self.network, self.identity = -1, None, next(_numbers)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Stay where one is."""
        yield


class FakeHost(Host):
    """A host whose packet filter and interfaces are lines in its lab's record."""

    def __init__(self, spec: HostSpec, lab: FakeLab) -> None:
        super().__init__(spec, FakeNamespace())
        self._lab = lab

    @contextmanager
    def ruleset(self, hook: str, rules: Rules) -> Iterator[Callable[[], dict[str, int]]]:
        """Rules that have met `FakeLab.packets` packets."""
        self._lab.step(f"{self.name} +{hook}")
        try:
            yield lambda: self._lab.counted(rules)
        finally:
            self._lab.step(f"{self.name} -{hook}")

    @contextmanager
    def ruleset_by_connection(
        self, hook: str, rules: Rules, family: Family
    ) -> Iterator[Callable[[], dict[str, Tally]]]:
        """Rules that have met as many packets of the watched connection, and as many others."""
        ends = frozenset(
            {
                (self._lab.layout.address("client"), 40000),
                (self._lab.layout.address("server"), PORT),
            }
        )
        with self.ruleset(hook, rules) as counters:
            yield lambda: {
                label: Tally(2 * packets, {ends: packets}) for label, packets in counters().items()
            }

    @contextmanager
    def interface_down(self, device: str) -> Iterator[Callable[[], set[str]]]:
        """An interface that is down in the block."""
        self._lab.step(f"{self.name} {device} down")
        try:
            yield set
        finally:
            self._lab.step(f"{self.name} {device} up")

    def sysctl(self, name: str, value: int | str) -> None:
        """A setting."""
        self._lab.step(f"{self.name} {name}={value}")


class FakeCapture:
    """Stands for `harness.probes.capture.Capture`: gives what a test puts into `frames`."""

    made: list[FakeCapture]
    """All of them, since a test began with an empty list here."""

    def __init__(self, host: str) -> None:
        self.host, self.frames, self.closed = host, list[Frame](), False
        self._descriptor = next(_numbers)
        self.made.append(self)

    def fileno(self) -> int:
        """A number that no file has."""
        return self._descriptor

    def read(self) -> list[Frame]:
        """Those that have come since the last call."""
        found, self.frames = self.frames, []
        return found

    def dropped(self) -> int:
        """None are."""
        return 0

    def close(self) -> None:
        """It captures no more."""
        self.closed = True
