"""NAT rebinding: the router drops its mapping and gives the connection another port toward the
server.

What the client sends arrives from a port that the server does not know, and is answered with RST.
What the server sends goes to a mapping that is no more. The new port is out of a range that no
client uses by itself. Evidence: the mapping that was there is gone; counters of flows that were
given another, and of packets to the old one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.faults.base import Evidence, Fault, besides
from harness.lab import nat_rules
from harness.lab.watched import OTHERS, counting
from harness.model.topology import Layout, Side
from harness.model.values import Problem, count
from harness.oracle.effects import Effect, Mechanism

if TYPE_CHECKING:
    from harness.lab.host import Lab

PORTS = (20000, 29999)
"""Below net.ipv4.ip_local_port_range, from which clients have theirs."""


class NatRebinding(Fault, frozen=True, kw_only=True, tag="nat-rebinding"):
    """At `at_s` every connection gets another port.

    `then`: what the server's packets to the old one meet.
    """

    then: Literal["drop", "reset"] = "reset"

    summary: ClassVar[str] = "the NAT gives every connection another port"
    lasting: ClassVar[bool] = True

    def misplaced(self, layout: Layout) -> Iterator[Problem]:
        if self.for_s is not None:
            yield Problem(
                "for_s", self.for_s, "no such key: a mapping that is dropped does not come back"
            )
        if not self.hosts(layout):
            yield Problem(
                "kind",
                self.kind,
                'a fault of this topology: only that of kind "nat" translates addresses',
            )

    def hosts(self, layout: Layout) -> frozenset[str]:
        return frozenset(host.name for host in layout.hosts if host.translates)

    def picks_up(self) -> bool:
        return True

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        drops = observer == "server" and self.then == "drop"
        mechanism: Mechanism = "lost" if drops else "peer-forgot"
        return (
            Effect(
                mechanism=mechanism, from_s=self.at_s, midway=observer == "server" and not drops
            ),
        )

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        from harness.faults.firewall import NO_SYN, TCP, state
        from harness.lab import conntrack

        (name,) = self.hosts(lab.layout)
        host, family = lab.host(name), lab.layout.family
        inbound = {
            "match": {
                "op": "==",
                "left": {"meta": {"key": "iifname"}},
                "right": host.spec.facing("server").name,
            }
        }
        late = {"drop": None} if self.then == "drop" else {"accept": None}
        to_old = [TCP, inbound, state("new"), NO_SYN, {"counter": None}, late]
        chooses = [
            TCP,
            nat_rules.toward_server(host.spec),
            {"counter": None},
            nat_rules.source(host.spec, family, PORTS),
        ]
        with (
            host.sysctls({"net.netfilter.nf_conntrack_tcp_loose": 1}),
            counting(lab, host, "translation", {"anew": [chooses]}) as chosen,
            counting(lab, host, "prerouting", {"stale": [to_old]}) as counters,
        ):
            with host.entered():
                before = {
                    flow.source_port: flow.answered_port
                    for flow in conntrack.flows(family, lab.watched)
                }
                conntrack.forget()

            def evidence() -> Evidence:
                with host.entered():
                    now = {flow.source_port: flow.answered_port for flow in conntrack.flows(family)}
                anew, stale = chosen(), counters()
                others = anew[OTHERS] + stale[OTHERS]
                kept = [port for port, mapped in before.items() if now.get(port) == mapped]
                found = (
                    f"{count(len(before), 'mapping')} dropped, {count(anew['anew'], 'flow')} "
                    "given a port from "
                    f"{PORTS[0]} on, {count(stale['stale'], 'packet')} to a port that leads nowhere"
                )
                level: Literal["bit", "none"] = "bit" if before and not kept else "none"
                return Evidence(level=level, found=besides(found, others), others=others)

            yield evidence
