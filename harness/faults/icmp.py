"""ICMP errors: a router or the peer's own host refuses TCP segments and says so, as `nft … reject
with icmp` does.

An idle IPv4 or IPv6 connection hears nothing of it: the error quotes a keepalive probe, whose
sequence number lies before the window, and is ignored (net/ipv4/tcp_ipv4.c:tcp_v4_err). Data that
is refused leaves the errno as soft error, and two of the codes take the back-off of its
retransmission timer back (RFC 6069). Evidence: the counter of the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec

from harness.faults.base import Evidence, Fault, besides, unknown_host
from harness.lab.watched import OTHERS, counting
from harness.model.topology import SIDES, Family, Layout, Side, other
from harness.model.values import Problem, count
from harness.oracle.effects import Effect

if TYPE_CHECKING:
    from harness.lab.host import Lab

Direction = Literal["both", "to-server", "to-client"]
Code = Literal[
    "net-unreachable",
    "host-unreachable",
    "prot-unreachable",
    "port-unreachable",
    "net-prohibited",
    "host-prohibited",
    "admin-prohibited",
    "no-route",
    "addr-unreachable",
    "policy-fail",
    "reject-route",
]
_ANSWERS: dict[Family, dict[Code, tuple[str, bool]]] = {
    "ipv4": {
        "net-unreachable": ("ENETUNREACH", True),
        "host-unreachable": ("EHOSTUNREACH", True),
        "prot-unreachable": ("ENOPROTOOPT", False),
        "port-unreachable": ("ECONNREFUSED", False),
        "net-prohibited": ("ENETUNREACH", False),
        "host-prohibited": ("EHOSTUNREACH", False),
        "admin-prohibited": ("EHOSTUNREACH", False),
    },
    "ipv6": {
        "no-route": ("ENETUNREACH", True),
        "admin-prohibited": ("EACCES", False),
        "addr-unreachable": ("EHOSTUNREACH", False),
        "port-unreachable": ("ECONNREFUSED", False),
        "policy-fail": ("EACCES", False),
        "reject-route": ("EACCES", False),
    },
}
"""The errno (icmp.c:icmp_err_convert, ipv6/icmp.c:tab_unreach), and whether tcp_ld_RTO_revert is
called.
"""
_OF_ROUTERS: dict[Family, dict[str, Code]] = {
    "ipv4": {
        "unrouted": "net-unreachable",
        "unreachable": "host-unreachable",
        "prohibit": "admin-prohibited",
    },
    "ipv6": {"unrouted": "no-route", "unreachable": "no-route", "prohibit": "admin-prohibited"},
}
"""What a router says of a destination (ipv4/route.c:ip_error, ipv6/route.c:ip6_pkt_discard,
ip6_pkt_prohibit).
"""


_EVERY_S: dict[Family, float] = {"ipv4": 1.0, "ipv6": 0.1}
"""How often a host sends them to one other: net.ipv4.icmp_ratelimit and net.ipv6.icmp.ratelimit
(100 ms by now; older kernels have 1 s, and less to one in a wide prefix).
"""


def unrouted(
    family: Family, route: Literal["unrouted", "unreachable", "prohibit"], effect: Effect
) -> Effect:
    """The effect with what a router's answer leaves with data on such a route."""
    answered = _answered(effect, family, _OF_ROUTERS[family][route])
    return msgspec.structs.replace(answered, charged_twice=family == "ipv4")


def _answered(effect: Effect, family: Family, code: Code) -> Effect:
    errno, reverts = _ANSWERS[family][code]
    return msgspec.structs.replace(
        effect, reported=errno, reverts=reverts, reports_every_s=_EVERY_S[family]
    )


class IcmpReject(Fault, frozen=True, kw_only=True, tag="icmp-reject"):
    """`code`: what is answered.

    `on`: by whom (default: the first router, else the receivers); `direction`: to what.
    """

    code: Code
    on: str | None = None
    direction: Direction = "both"

    summary: ClassVar[str] = "packets are answered with an ICMP error"

    def _receivers(self) -> tuple[Side, ...]:
        if self.direction == "both":
            return SIDES
        return ("server",) if self.direction == "to-server" else ("client",)

    def misplaced(self, layout: Layout) -> Iterator[Problem]:
        if self.code not in _ANSWERS[layout.family]:
            known = ", ".join(_ANSWERS[layout.family])
            yield Problem("code", self.code, f"one that {layout.family} has ({known})")
        if self.on is None:
            return
        if self.on not in layout.host_names:
            yield unknown_host("on", self.on, layout)
        elif self.on in SIDES:
            if self._receivers() != (self.on,):
                yield Problem(
                    "on", self.on, f'direction = "to-{self.on}" there: it refuses what it receives'
                )
        elif not layout.host(self.on).forwards:
            yield Problem("on", self.on, "a host with an IP address of its own, to answer from")

    def _places(self, layout: Layout) -> dict[str, tuple[Side, ...]]:
        """The hosts that answer, each with the sides whose incoming segments it refuses."""
        router = next((host.name for host in layout.hosts if host.forwards), None)
        where = self.on or router
        if where is None or where in SIDES:
            return {side: (side,) for side in self._receivers()}
        return {where: self._receivers()}

    def hosts(self, layout: Layout) -> frozenset[str]:
        return frozenset(self._places(layout))

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        if other(observer) not in self._receivers():
            return (Effect(mechanism="answers-lost", from_s=self.at_s, until_s=self.until_s),)
        lost = Effect(mechanism="lost", from_s=self.at_s, until_s=self.until_s)
        return (_answered(lost, layout.family, self.code),)

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        layout = lab.layout
        with ExitStack() as stack:
            counters = []
            for name, receivers in self._places(layout).items():
                hook = "forward" if layout.host(name).forwards else "input"
                rules = {
                    "rejected": [_reject(layout, receiver, self.code) for receiver in receivers]
                }
                counters.append(stack.enter_context(counting(lab, lab.host(name), hook, rules)))

            def evidence() -> Evidence:
                counts = [counter() for counter in counters]
                packets, others = (
                    sum(each[label] for each in counts) for label in ("rejected", OTHERS)
                )
                level: Literal["bit", "in-place"] = "bit" if packets else "in-place"
                found = f"{count(packets, 'segment')} answered with ICMP {self.code}"
                return Evidence(level=level, found=besides(found, others), others=others)

            yield evidence


def _reject(layout: Layout, receiver: Side, code: Code) -> list[dict[str, Any]]:
    protocol, reply = ("ip", "icmp") if layout.family == "ipv4" else ("ip6", "icmpv6")
    destination = {"payload": {"protocol": protocol, "field": "daddr"}}
    return [
        {"match": {"op": "==", "left": destination, "right": layout.address(receiver)}},
        {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}},
        {"counter": None},
        {"reject": {"type": reply, "expr": code}},
    ]
