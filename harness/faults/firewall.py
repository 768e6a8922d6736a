"""A stateful firewall that forgets idle flows: nf_conntrack with a short timeout for established connections.

The entry's age is judged per packet, exact to the jiffy; a packet that comes at or after the timeout finds no state
and, because mid-stream pickup is off (nf_conntrack_tcp_loose=0), is invalid: dropped, or answered with RST as many
load balancers and NAT gateways do. Evidence: counters of packets that met live and expired state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import msgspec

from harness.faults.base import Evidence, Fault, Misplaced, count, unknown_host
from harness.lab.topology import Layout, Side
from harness.oracle.effects import Effect

if TYPE_CHECKING:
    from harness.lab.host import Lab, Rules


class FirewallIdle(Fault, frozen=True, kw_only=True, tag="firewall-idle"):
    """Forgets a flow after `timeout_s` whole seconds without a packet; `then` what a later packet meets."""

    timeout_s: Annotated[int, msgspec.Meta(ge=1, le=2_147_483)]
    then: Literal["drop", "reset"] = "drop"
    on: str = "router"

    standing: ClassVar[bool] = True

    def misplaced(self, layout: Layout) -> Iterator[Misplaced]:
        yield from self._check_standing()
        if self.on not in layout.host_names:
            yield unknown_host("on", self.on, layout)
        elif not layout.host(self.on).forwards:
            yield Misplaced("on", self.on, 'a host that forwards IP packets (the router of topology "routed")')

    def hosts(self, layout: Layout) -> frozenset[str]:
        return frozenset({self.on})

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        return (Effect(mechanism="expires", timeout_s=float(self.timeout_s), then=self.then),)

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        host = lab.host(self.on)
        settings = {
            "net.netfilter.nf_conntrack_tcp_loose": 0,
            "net.netfilter.nf_conntrack_tcp_timeout_established": self.timeout_s,
        }
        late: dict[str, Any] = {"reject": {"type": "tcp reset"}} if self.then == "reset" else {"drop": None}
        rules: Rules = {
            "expired": [[_state("invalid"), {"counter": None}, late]],
            "tracked": [[_state("established"), {"counter": None}, {"accept": None}]],
        }
        with host.sysctls(settings), host.ruleset("forward", rules) as counters:

            def evidence() -> Evidence:
                counted = counters()
                expired, tracked = counted["expired"], counted["tracked"]
                level: Literal["bit", "in-place", "none"] = "bit" if expired else "in-place" if tracked else "none"
                return Evidence(
                    level=level,
                    found=f"{count(tracked, 'packet')} of tracked flows, {count(expired, 'packet')} met expired state",
                )

            yield evidence


def _state(name: str) -> dict[str, Any]:
    return {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": name}}
