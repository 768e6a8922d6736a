"""Link down: one network interface is set administratively down, as by `ip link set DEV down`.

Whose interface it is makes three different claims: one's own (the local host cannot send; IPv6 reports why), the
other end of one's own link (no carrier: TCP's segments are swallowed by the dead device), or further away (segments
leave and vanish). Evidence: the interface's flags, read back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from harness.errors import MISSING
from harness.faults.base import Evidence, Fault, Misplaced, unknown_host
from harness.lab.topology import HostSpec, Interface, Layout, Side
from harness.oracle.effects import Effect

if TYPE_CHECKING:
    from harness.lab.host import Lab

CARRIER_SETTLES_S = 0.1
"""The far end learns of lost carrier from a work queue (net/core/link_watch.c), not at once."""


class LinkDown(Fault, frozen=True, kw_only=True, tag="link-down"):
    """`on`: the host whose interface goes down; `toward`: which one, where it has several."""

    on: str
    toward: str | None = None

    def misplaced(self, layout: Layout) -> Iterator[Misplaced]:
        if self.on not in layout.host_names:
            yield unknown_host("on", self.on, layout)
            return
        host = layout.host(self.on)
        names = [i.toward for i in host.interfaces]
        if self.toward is None and len(names) > 1:
            yield Misplaced("toward", MISSING, f"the neighbour whose link goes down ({', '.join(names)})")
        elif self.toward is not None and self.toward not in names:
            yield Misplaced("toward", self.toward, f"a neighbour of {self.on} ({', '.join(names)})")

    def _interface(self, host: HostSpec) -> Interface:
        if self.toward is None:
            return host.interfaces[0]
        interface = host.interface_toward(self.toward)
        assert interface is not None
        return interface

    def hosts(self, layout: Layout) -> frozenset[str]:
        return frozenset({self.on})

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        interface = self._interface(layout.host(self.on))
        if self.on == observer:
            errno = "ENETUNREACH" if layout.family == "ipv6" else None
            return (Effect(mechanism="lost-locally", from_s=self.at_s, until_s=self.until_s, errno=errno),)
        if interface.toward == observer:
            return (
                Effect(
                    mechanism="lost-locally",
                    from_s=self.at_s,
                    until_s=self.until_s,
                    unsettled_s=CARRIER_SETTLES_S,
                    swallowed=True,
                ),
            )
        unknown = "a router reports it, as far as its own link tells it"
        return (Effect(mechanism="lost", from_s=self.at_s, until_s=self.until_s, unknown=unknown),)

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        host = lab.host(self.on)
        interface = self._interface(lab.layout.host(self.on))
        with host.interface_down(interface.name) as flags:

            def evidence() -> Evidence:
                up = "UP" in flags()
                return Evidence(
                    level="none" if up else "bit",
                    found=f"{self.on}/{interface.name} is {'still up' if up else 'down'}",
                )

            yield evidence
