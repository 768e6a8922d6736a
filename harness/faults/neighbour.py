"""Neighbour death: a host forgets the MAC address of its neighbours on a link, and ARP or neighbour
discovery fails.

Packets wait for the answer that does not come and are given up after three requests, one a second
(RFC 826, RFC 4861 section 7.2.2; net/core/neighbour.c:neigh_timer_handler); a router then reports
the host as unreachable. Evidence: a counter of the answers that were dropped where they arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from harness.faults.base import Evidence, OfInterface, interface_of
from harness.model.topology import Layout, Side, faces
from harness.model.values import Problem, count
from harness.oracle.effects import Effect

if TYPE_CHECKING:
    from harness.lab.host import Lab


ASKED_S = 3.1
"""Packets wait so long for their neighbour at most, three requests a second apart
(net/core/neighbour.c).
"""


class NeighbourDeath(OfInterface, frozen=True, kw_only=True, tag="neighbour-death"):
    """`on`: the host that forgets its neighbours; `toward`: on which link, where it has several."""

    summary: ClassVar[str] = "ARP or neighbour discovery gets no answer any more"

    def misplaced(self, layout: Layout) -> Iterator[Problem]:
        yield from super().misplaced(layout)
        if self.on in layout.host_names and layout.host(self.on).bridges:
            yield Problem("on", self.on, "a host with an IP address: a switch has no neighbours")

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        lost = self._loss(layout, observer)
        if self.until_s is None:
            return (lost,)
        begins_s = max(self.at_s, self.until_s - ASKED_S)
        return (lost, Effect(mechanism="parked", from_s=begins_s, until_s=self.until_s))

    def _loss(self, layout: Layout, observer: Side) -> Effect:
        after = "after three seconds of asking for the neighbour's MAC address"
        if self.on == observer:
            return Effect(
                mechanism="lost-locally",
                from_s=self.at_s,
                until_s=self.until_s,
                swallowed=True,
                unknown=f"the host tells its own socket {after}",
            )
        toward = interface_of(layout.host(self.on), self.toward).toward
        if faces(layout, self.on, toward) == observer:
            return Effect(mechanism="answers-lost", from_s=self.at_s, until_s=self.until_s)
        unknown = f"a router reports it {after}"
        return Effect(mechanism="lost", from_s=self.at_s, until_s=self.until_s, unknown=unknown)

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        from harness.lab import rtnetlink

        host, layout = lab.host(self.on), lab.layout
        namespace = host.namespace
        device = interface_of(layout.host(self.on), self.toward).name
        with host.ruleset(f"ingress:{device}", {"answer": [_drop_answers(layout)]}) as counters:
            with namespace.entered():
                pinned = rtnetlink.unpin(device)

            def evidence() -> Evidence:
                dropped = counters()["answer"]
                level: Literal["bit", "in-place"] = "bit" if dropped else "in-place"
                asked = "ARP" if layout.family == "ipv4" else "neighbour discovery"
                return Evidence(
                    level=level, found=f"{self.on} missed {count(dropped, 'answer')} of {asked}"
                )

            try:
                yield evidence
            finally:
                with namespace.entered():
                    rtnetlink.pin(device, pinned)


def _drop_answers(layout: Layout) -> list[dict[str, Any]]:
    if layout.family == "ipv4":
        field, value = {"payload": {"protocol": "arp", "field": "operation"}}, "reply"
    else:
        field, value = {"payload": {"protocol": "icmpv6", "field": "type"}}, "nd-neighbor-advert"
    return [
        {"match": {"op": "==", "left": field, "right": value}},
        {"counter": None},
        {"drop": None},
    ]
