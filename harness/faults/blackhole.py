"""Blackhole: IP packets vanish without a word, one way or both.

They are dropped on arrival, at the ingress hook of a device in the middle, or of the receiver where
the endpoints are wired directly; a drop in the sender's own output path would be an error code to
TCP, not a loss. ARP and IPv6 neighbour discovery pass, so neighbours stay known. Evidence: the
packet counter of the dropping rule for the watched connection. Multicast is not counted at all:
hosts announce their IPv6 groups at times of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import msgspec

from harness.faults.base import Evidence, Fault, besides, unknown_host
from harness.lab.watched import OTHERS, counting
from harness.model.topology import SIDES, Layout, Side, other
from harness.model.values import Problem, count
from harness.oracle.effects import Effect

if TYPE_CHECKING:
    from harness.lab.host import Lab
    from harness.lab.nftables import Rules

Direction = Literal["both", "to-server", "to-client"]


class Blackhole(Fault, frozen=True, kw_only=True, tag="blackhole"):
    """`on`: where packets are dropped (default: the first in between, else the receivers).

    `direction`: which way.

    `port`: only TCP segments from or to this port, such as 7000, the built-in server's.
    """

    on: str | None = None
    direction: Direction = "both"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None

    summary: ClassVar[str] = "IP packets are discarded in the middle, or at the receiver"
    also_called: ClassVar[tuple[str, ...]] = ("partition",)
    on_one_container: ClassVar[bool] = True

    def _receivers(self) -> tuple[Side, ...]:
        if self.direction == "both":
            return SIDES
        return ("server",) if self.direction == "to-server" else ("client",)

    def misplaced(self, layout: Layout) -> Iterator[Problem]:
        if self.on is None:
            return
        if self.on not in layout.host_names:
            yield unknown_host("on", self.on, layout)
        elif self.on in SIDES and self._receivers() != (self.on,):
            yield Problem(
                "on",
                self.on,
                (
                    f'direction = "to-{self.on}" there: packets are dropped where they arrive, '
                    "not where sent"
                ),
            )

    def places(self, layout: Layout) -> tuple[tuple[str, str], ...]:
        """(host, device) pairs whose ingress drops."""
        where = self.on or next(iter(layout.middle), None)
        places = []
        for receiver in self._receivers():
            if where is None or where in SIDES:
                host = layout.host(receiver)
                places.append((host.name, host.interfaces[0].name))
            else:
                places.append((where, layout.host(where).facing(other(receiver)).name))
        return tuple(places)

    def hosts(self, layout: Layout) -> frozenset[str]:
        return frozenset(host for host, _ in self.places(layout))

    def touches(self, layout: Layout) -> frozenset[tuple[str, str]]:
        """What one has dropped another never sees."""
        return frozenset((host, f"arrivals on {device}") for host, device in self.places(layout))

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        forward = self.direction in ("both", f"to-{other(observer)}")
        return (
            Effect(
                mechanism="lost" if forward else "answers-lost",
                from_s=self.at_s,
                until_s=self.until_s,
            ),
        )

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        rules = [_drop(lab.layout.family)] if self.port is None else _drop_port(self.port)
        if lab.layout.family == "ipv6" and self.port is None:
            rules = [_PASS_NEIGHBOUR_DISCOVERY, _DROP_MULTICAST, *rules]
        with on_arrival(lab, self.places(lab.layout), {"drop": rules}) as counted:

            def evidence() -> Evidence:
                counts = counted()
                packets, others = counts["drop"], counts[OTHERS]
                level: Literal["bit", "in-place"] = "bit" if packets else "in-place"
                return Evidence(
                    level=level,
                    found=besides(f"{count(packets, 'packet')} dropped", others),
                    others=others,
                )

            yield evidence


@contextmanager
def on_arrival(
    lab: Lab, places: Iterable[tuple[str, str]], rules: Rules
) -> Iterator[Callable[[], dict[str, int]]]:
    """Rules for what arrives at (host, device) pairs.

    Yields a reader of their counters, all places together, by label, with `OTHERS` for all that is
    not of the watched connection.

    In force, and gone, on all of a host's devices at once.
    """
    devices: dict[str, list[str]] = {}
    for host, device in places:
        devices.setdefault(host, []).append(device)
    with ExitStack() as stack:
        readers = [
            stack.enter_context(counting(lab, lab.host(host), f"ingress:{','.join(names)}", rules))
            for host, names in devices.items()
        ]

        def counted() -> dict[str, int]:
            counts = [reader() for reader in readers]
            return {label: sum(each[label] for each in counts) for label in (*rules, OTHERS)}

        yield counted


def _drop(family: str) -> list[dict[str, object]]:
    protocol = "ip" if family == "ipv4" else "ip6"
    match = {"op": "==", "left": {"meta": {"key": "protocol"}}, "right": protocol}
    return [{"match": match}, {"counter": None}, {"drop": None}]


def _drop_port(port: int) -> list[list[dict[str, object]]]:
    matches = (
        {"op": "==", "left": {"payload": {"protocol": "tcp", "field": field}}, "right": port}
        for field in ("sport", "dport")
    )
    return [[{"match": match}, {"counter": None}, {"drop": None}] for match in matches]


_PASS_NEIGHBOUR_DISCOVERY: list[dict[str, object]] = [
    {
        "match": {
            "op": "==",
            "left": {"payload": {"protocol": "icmpv6", "field": "type"}},
            "right": {"set": ["nd-neighbor-solicit", "nd-neighbor-advert"]},
        }
    },
    {"accept": None},
]
_DROP_MULTICAST: list[dict[str, object]] = [
    {
        "match": {
            "op": "==",
            "left": {"payload": {"protocol": "ip6", "field": "daddr"}},
            "right": {"prefix": {"addr": "ff00::", "len": 8}},
        }
    },
    {"drop": None},
]
