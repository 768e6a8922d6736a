"""Path MTU blackhole: a link in the middle takes only small packets, and the ICMP error that would
say so is dropped.

Small packets pass (keepalive probes, their answers, a few bytes of data), so keepalive finds the
connection alive, while full segments vanish and are sent again in vain (RFC 2923 section 2.1). The
MTU is that of the router's route to the end (include/net/ip.h:ip_dst_mtu_maybe_forward). Evidence:
the counter of the ICMP errors that were dropped, of those that quote a segment of the watched
connection. A datagram that is too big, sent as a trial, shows no more than that the fault is in
place.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec

from harness.faults.base import Evidence, Fault, besides, routes_by, unknown_host
from harness.faults.icmp import Direction
from harness.faults.route import address_seen
from harness.lab.watched import OTHERS, of_quoting
from harness.model.topology import FAMILIES, SIDES, Family, Layout, Side, other
from harness.model.values import Problem, count
from harness.oracle.effects import Effect

if TYPE_CHECKING:
    from harness.lab.host import Lab
    from harness.lab.namespace import Namespace
    from harness.lab.nftables import Rules

LEAST_MTU = 1280
"""IPv6 has no smaller one (RFC 8200 section 5), and what fits into one small write passes."""
_MTU_DISCOVER = {"ipv4": (socket.IPPROTO_IP, 10), "ipv6": (socket.IPPROTO_IPV6, 23)}
_PROBE = 3
"""IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, and IP_PMTUDISC_PROBE: never fragment, whatever the path is
known to take.
"""
_DISCARD_PORT = 9


class PmtuBlackhole(Fault, frozen=True, kw_only=True, tag="pmtu-blackhole"):
    """`mtu`: the biggest packet that passes, in bytes.

    `on`: the router in question (default: the first one).
    """

    mtu: Annotated[int, msgspec.Meta(ge=LEAST_MTU, le=1400)] = LEAST_MTU
    on: str | None = None
    direction: Direction = "both"

    summary: ClassVar[str] = "packets above an MTU are discarded, without an ICMP error"
    shown_by_trial: ClassVar[bool] = True
    undrawn: ClassVar[str] = "what is drawn is small, so that it would meet nothing"

    def misplaced(self, layout: Layout) -> Iterator[Problem]:
        if self.on is not None and self.on not in layout.host_names:
            yield unknown_host("on", self.on, layout)
        elif self.on is not None and not layout.host(self.on).forwards:
            yield Problem("on", self.on, "a host that forwards IP packets")
        elif self._router(layout) is None:
            yield Problem("kind", self.kind, "a fault of another kind: this topology has no router")

    def _router(self, layout: Layout) -> str | None:
        return self.on or next((host.name for host in layout.hosts if host.forwards), None)

    def _receivers(self) -> tuple[Side, ...]:
        return tuple(side for side in SIDES if self.direction in ("both", f"to-{side}"))

    def hosts(self, layout: Layout) -> frozenset[str]:
        router = self._router(layout)
        return frozenset() if router is None else frozenset({router})

    def touches(self, layout: Layout) -> frozenset[tuple[str, str]]:
        routers = (layout.host(name) for name in self.hosts(layout))
        return frozenset(
            routes_by(router, router.facing(side))
            for router in routers
            for side in self._receivers()
        )

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        return ()

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        family, name = lab.layout.family, self._router(lab.layout)
        assert name is not None
        router = lab.host(name)
        with ExitStack() as stack:
            dropped = _drop_error(family)
            rules: Rules = {"silenced": of_quoting(lab, dropped), OTHERS: [dropped]}
            counters = stack.enter_context(router.ruleset("output", rules))
            for side in self._receivers():
                stack.enter_context(
                    _narrow(router.namespace, family, lab.layout.address(side), self.mtu)
                )

            def evidence() -> Evidence:
                before = counters()
                for side in self._receivers():
                    _try(lab, side, self.mtu)
                packets, others = before["silenced"], before[OTHERS]
                tried = sum(counters().values()) - packets - others
                met = packets if lab.watched is not None else packets + tried
                found = besides(
                    (
                        f"{count(packets, 'packet')} of more than {self.mtu} bytes dropped "
                        "without a word"
                    ),
                    others,
                )
                return Evidence(
                    level="bit" if met else "in-place" if tried else "none",
                    found=(
                        f"{besides(found, others)}, then {count(tried, 'datagram')} of an "
                        "attempt of our own"
                    ),
                    others=others,
                )

            yield evidence


@contextmanager
def _narrow(namespace: Namespace, family: Family, destination: str, mtu: int) -> Iterator[None]:
    """A route of its own to the destination, the same way but with a smaller MTU."""
    from harness.lab import rtnetlink

    with namespace.entered():
        route = rtnetlink.narrow(family, destination, mtu)
    try:
        yield
    finally:
        with namespace.entered():
            rtnetlink.remove(route)


def _try(lab: Lab, receiver: Side, mtu: int) -> None:
    """Send a datagram that is too big from the other end; where it arrives nobody listens."""
    host, destination = (
        lab.host(other(receiver)),
        address_seen(lab.layout, other(receiver), receiver),
    )
    level, option = _MTU_DISCOVER[lab.layout.family]
    with host.socket(FAMILIES[lab.layout.family], socket.SOCK_DGRAM) as trial:
        trial.setsockopt(level, option, _PROBE)
        with contextlib.suppress(OSError):  # another fault may have cut the host off
            trial.sendto(bytes(mtu), (destination, _DISCARD_PORT))


def _drop_error(family: Family) -> list[dict[str, Any]]:
    matches = [("icmp", "type", "destination-unreachable"), ("icmp", "code", "frag-needed")]
    if family == "ipv6":
        matches = [("icmpv6", "type", "packet-too-big")]
    rule: list[dict[str, Any]] = [
        {
            "match": {
                "op": "==",
                "left": {"payload": {"protocol": protocol, "field": field}},
                "right": value,
            }
        }
        for protocol, field, value in matches
    ]
    return [*rule, {"counter": None}, {"drop": None}]
