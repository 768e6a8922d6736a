"""Link down: one network interface is set administratively down, as by `ip link set DEV down`.

Whose interface it is makes three different claims: one's own (the local host cannot send; IPv6
reports why), the other end of one's own link (no carrier: TCP's segments are swallowed by the dead
device), or further away (segments leave and vanish). Evidence: the interface's flags, read back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, ClassVar

import msgspec

from harness.faults.base import Evidence, OfInterface, interface_of, routes_by
from harness.faults.icmp import unrouted
from harness.model.topology import HostSpec, Interface, Layout, Side, faces
from harness.oracle.effects import Effect

if TYPE_CHECKING:
    from harness.lab.host import Lab

CARRIER_SETTLES_S = 0.1
"""The far end learns of lost carrier from a work queue (net/core/link_watch.c), not at once."""


class LinkDown(OfInterface, frozen=True, kw_only=True, tag="link-down"):
    """`on`: the host whose interface goes down; `toward`: which one, where it has several."""

    summary: ClassVar[str] = "a network interface is set down"
    also_called: ClassVar[tuple[str, ...]] = ("host-down", "host-crash", "power-off")
    on_one_container: ClassVar[bool] = True

    def touches(self, layout: Layout) -> frozenset[tuple[str, str]]:
        host = layout.host(self.on)
        interface = interface_of(host, self.toward)
        return frozenset({(self.on, interface.name), routes_by(host, interface)})

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        interface = interface_of(layout.host(self.on), self.toward)
        if self.on == observer:
            errno = "ENETUNREACH" if layout.family == "ipv6" else None
            return (
                Effect(
                    mechanism="lost-locally", from_s=self.at_s, until_s=self.until_s, errno=errno
                ),
            )
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
        lost = Effect(mechanism="lost", from_s=self.at_s, until_s=self.until_s)
        # A router whose own interface is down has lost the route and says so; one without carrier
        # sends into nothing.
        if (
            not layout.host(self.on).forwards
            or faces(layout, self.on, interface.toward) == observer
        ):
            return (lost,)
        if _sends_back(layout.host(self.on), interface):
            unknown = f"the default route of {self.on} sends it back to where it came from"
            return (msgspec.structs.replace(lost, unknown=unknown),)
        return (unrouted(layout.family, "unrouted", lost),)

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        host = lab.host(self.on)
        interface = interface_of(lab.layout.host(self.on), self.toward)
        with host.interface_down(interface.name) as flags:
            lab.settle_carrier(self.on, interface.name)

            def evidence() -> Evidence:
                up = "UP" in flags()
                return Evidence(
                    level="none" if up else "bit",
                    found=f"{self.on}/{interface.name} is {'still up' if up else 'down'}",
                )

            yield evidence
        lab.settle_carrier(self.on, interface.name)


def _sends_back(host: HostSpec, interface: Interface) -> bool:
    """Whether a host has a default route that does not lead through an interface."""
    if host.gateway is None or interface.address is None:
        return False
    return ip_address(host.gateway) not in ip_network(
        f"{interface.address}/{interface.prefix}", strict=False
    )
