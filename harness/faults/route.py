"""Route faults: a host loses its route to an endpoint, or has one that refuses what is sent there.

On the sender's own host IPv6 tells TCP why it cannot send, IPv4 does not as long as the connection
is idle (net/ipv6/inet6_connection_sock.c:inet6_csk_xmit, net/ipv4/ip_output.c:ip_queue_xmit). A
router drops, and says so but for a blackhole (RFC 1812 section 5.2.7.1, RFC 4443 section 3.1).
Evidence: the kernel's own answer to `ip route get`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.errors import MISSING
from harness.faults.base import Evidence, Fault, routes_by, unknown_host
from harness.faults.icmp import unrouted
from harness.model.topology import SIDES, Layout, Side
from harness.model.values import Problem
from harness.oracle.effects import Effect

if TYPE_CHECKING:
    from harness.lab.host import Lab

Becomes = Literal["lost", "blackhole", "unreachable", "prohibit"]
_IPV6_ERRNO: dict[Becomes, str] = {
    "lost": "ENETUNREACH",
    "blackhole": "EINVAL",
    "unreachable": "EHOSTUNREACH",
    "prohibit": "EACCES",
}
"""net/ipv6/route.c:fib6_prop."""


class Route(Fault, frozen=True, kw_only=True, tag="route"):
    """`on`: the host whose route changes.

    `to`: toward which end (an end's own route: to the other one).

    `becomes`: the type of the route to that address alone that takes its place, as in ip-route(8);
    "lost" is "throw", which makes the kernel go on as if there were none.
    """

    on: str
    becomes: Becomes
    to: Side | None = None

    summary: ClassVar[str] = "a route is removed, or refuses packets, on a router or a host"

    def misplaced(self, layout: Layout) -> Iterator[Problem]:
        if self.on not in layout.host_names:
            yield unknown_host("on", self.on, layout)
        elif layout.host(self.on).bridges:
            yield Problem("on", self.on, "a host with routes: a switch has none")
        elif self.on in SIDES and self.to == self.on:
            yield Problem("to", self.to, "the other end, or no such key")
        elif self.on not in SIDES and self.to is None:
            yield Problem("to", MISSING, "the end to which the route leads (client, server)")

    def _to(self) -> Side:
        return self.to or ("server" if self.on == "client" else "client")

    def hosts(self, layout: Layout) -> frozenset[str]:
        return frozenset({self.on})

    def touches(self, layout: Layout) -> frozenset[tuple[str, str]]:
        host = layout.host(self.on)
        return frozenset({routes_by(host, host.facing(self._to()))})

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        if self.on == observer:
            errno = _IPV6_ERRNO[self.becomes] if layout.family == "ipv6" else None
            return (
                Effect(
                    mechanism="lost-locally", from_s=self.at_s, until_s=self.until_s, errno=errno
                ),
            )
        if self._to() == observer:
            return (Effect(mechanism="answers-lost", from_s=self.at_s, until_s=self.until_s),)
        lost = Effect(mechanism="lost", from_s=self.at_s, until_s=self.until_s)
        if self.becomes == "blackhole":
            return (lost,)
        return (
            unrouted(layout.family, "unrouted" if self.becomes == "lost" else self.becomes, lost),
        )

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        from harness.lab import rtnetlink

        namespace, family = lab.host(self.on).namespace, lab.layout.family
        destination = address_seen(lab.layout, self.on, self._to())
        with namespace.entered():
            route = rtnetlink.refuse(family, destination, self.becomes)

        def evidence() -> Evidence:
            with namespace.entered():
                found = rtnetlink.route_state(family, destination)
            return Evidence(
                level="bit" if found == self.becomes else "none",
                found=f"{self.on}'s route to {destination} is {found}",
            )

        try:
            yield evidence
        finally:
            with namespace.entered():
                rtnetlink.remove(route)


def address_seen(layout: Layout, host: str, side: Side) -> str:
    """The address that stands for `side` in packets that `host` routes to it.

    Beyond a host that translates addresses that is the translator's own, not the client's; beyond a
    proxy that host's.
    """
    names = layout.host_names
    if layout.proxy not in (None, host) and host != side:
        address = (
            layout.host(layout.proxy).facing("server" if host == "server" else "client").address
        )
        assert address is not None
        return address
    for index, spec in enumerate(layout.hosts):
        if side == "client" and spec.translates and names.index(host) > index:
            interface = spec.interface_toward(names[index + 1])
            assert interface is not None
            assert interface.address is not None
            return interface.address
    return layout.address(side)
