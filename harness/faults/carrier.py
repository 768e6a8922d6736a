"""Carrier loss: the cable is pulled, and the host's interface stays administratively up.

Unlike an interface that is set down it keeps its addresses and routes: TCP goes on sending and the
dead device swallows it. Of a veth pair one end has carrier as long as the other is up, so the far
end is set down, and what that means to whoever has it is the same as with `link-down`. Evidence:
the interface's flags, up but without carrier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from harness.faults.base import Evidence, OfInterface, interface_of
from harness.faults.link import LinkDown
from harness.model.topology import Layout, Side
from harness.oracle.effects import Effect

if TYPE_CHECKING:
    from harness.lab.host import Lab


class CarrierLoss(OfInterface, frozen=True, kw_only=True, tag="carrier-loss"):
    """`on`: the host whose interface loses carrier; `toward`: which one, where it has several."""

    summary: ClassVar[str] = (
        "the cable is pulled: the interface stays up, and discards what it sends"
    )
    also_called: ClassVar[tuple[str, ...]] = ("cable-pulled",)

    def _far_end(self, layout: Layout) -> LinkDown:
        neighbour = interface_of(layout.host(self.on), self.toward).toward
        return LinkDown(on=neighbour, toward=self.on, at_s=self.at_s, for_s=self.for_s)

    def hosts(self, layout: Layout) -> frozenset[str]:
        return super().hosts(layout) | self._far_end(layout).hosts(layout)

    def touches(self, layout: Layout) -> frozenset[tuple[str, str]]:
        own = interface_of(layout.host(self.on), self.toward)
        return self._far_end(layout).touches(layout) | {(self.on, own.name)}

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        return self._far_end(layout).effects(layout, observer)

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        from harness.lab import rtnetlink

        namespace = lab.host(self.on).namespace
        device = interface_of(lab.layout.host(self.on), self.toward).name
        with self._far_end(lab.layout).inject(lab):

            def evidence() -> Evidence:
                with namespace.entered():
                    flags = rtnetlink.flags(device)
                up, carrier = "UP" in flags, "LOWER_UP" in flags
                state = f"{'up' if up else 'down'}, {'with' if carrier else 'without'} carrier"
                return Evidence(
                    level="bit" if up and not carrier else "none",
                    found=f"{self.on}/{device} is {state}",
                )

            yield evidence
