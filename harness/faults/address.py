"""Address removed: an endpoint loses its IP address, as by `ip address del` or an expired lease,
and keeps its link.

With IPv4's last address go the routes and neighbours of the interface: the host cannot send. IPv6
sends from the lost address as long as some route leads to the peer, and takes nothing in. The peer
is met with silence. Evidence: the interface's addresses, read back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from harness.faults.base import Evidence, Fault, routes_by
from harness.model.topology import Layout, Side
from harness.oracle.effects import Effect

if TYPE_CHECKING:
    from harness.lab.host import Lab


class AddressRemoved(Fault, frozen=True, kw_only=True, tag="address-removed"):
    """`on`: the endpoint whose address is deleted; it comes back with its routes."""

    on: Side = "server"

    summary: ClassVar[str] = "an endpoint loses its IP address"
    on_one_container: ClassVar[bool] = True

    def hosts(self, layout: Layout) -> frozenset[str]:
        return frozenset({self.on})

    def touches(self, layout: Layout) -> frozenset[tuple[str, str]]:
        host = layout.host(self.on)
        return frozenset({(self.on, host.interfaces[0].name), routes_by(host, host.interfaces[0])})

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        if self.on != observer:
            return (Effect(mechanism="lost", from_s=self.at_s, until_s=self.until_s),)
        if layout.family == "ipv4":
            return (Effect(mechanism="lost-locally", from_s=self.at_s, until_s=self.until_s),)
        if layout.host(self.on).gateway is not None:
            return (Effect(mechanism="answers-lost", from_s=self.at_s, until_s=self.until_s),)
        return (
            Effect(
                mechanism="lost-locally",
                from_s=self.at_s,
                until_s=self.until_s,
                errno="ENETUNREACH",
            ),
        )

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        device, address = lab.layout.host(self.on).interfaces[0].name, lab.layout.address(self.on)
        with lab.host(self.on).addresses_removed(device) as addresses:

            def evidence() -> Evidence:
                kept = address in addresses()
                found = f"{self.on}/{device} {'still has' if kept else 'lost'} {address}"
                return Evidence(level="none" if kept else "bit", found=found)

            yield evidence
