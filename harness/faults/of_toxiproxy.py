"""What all faults of a toxiproxy-server share: where they fit, and the segments that they meet.

Counted on the proxy's host: segments with data (PSH) that came to it, ends (FIN, RST) that came,
and those that left on the other side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec

from harness.errors import FaultError
from harness.faults.base import Fault
from harness.lab.watched import counting
from harness.model.topology import Layout, Side, other
from harness.model.values import Problem

if TYPE_CHECKING:
    from harness.lab.host import Host, Lab

_FIN, _RST, _PSH = 0x01, 0x04, 0x08


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Segments since the toxic was put in, on the proxy's host: with data in and out, with an end
    in and out.
    """

    data: int
    passed: int
    ends: int
    closed: int


class OfToxiproxy(Fault, frozen=True, kw_only=True):
    """A fault that the proxy itself is told to be."""

    undrawn: ClassVar[str] = (
        "it is a proxy's, of which the oracle has no model but where nothing passes"
    )

    def misplaced(self, layout: Layout) -> Iterator[Problem]:
        if layout.proxied_by == "command":
            expected = (
                "another fault: only a toxiproxy-server carries this one out, and "
                "[proxy.command] is the proxy"
            )
            yield Problem("kind", self.kind, expected)
        elif layout.proxied_by != "toxiproxy":
            yield Problem(
                "kind",
                self.kind,
                'a topology with a toxiproxy: kind = "proxied", proxy = "toxiproxy"',
            )

    def hosts(self, layout: Layout) -> frozenset[str]:
        return frozenset() if layout.proxy is None else frozenset({layout.proxy})

    def proxy_must(self, layout: Layout) -> Literal["exist", "answer"] | None:
        return "answer"


def proxy_host(lab: Lab) -> Host:
    """The host of the toxiproxy-server. Raises FaultError where there is none."""
    if lab.layout.proxied_by != "toxiproxy" or lab.layout.proxy is None:
        raise FaultError('expected a lab with a toxiproxy (kind = "proxied"), found one without')
    return lab.host(lab.layout.proxy)


def counted(lab: Lab, sink: Side, stack: ExitStack) -> Callable[[], Seen]:
    """Count from now on what comes to the proxy's host on its way to a side, and what it sends
    there.
    """
    host = proxy_host(lab)
    data, end = _with(_PSH), _with(_FIN | _RST)
    arrivals = host.spec.facing(other(sink)).name
    leaves = {
        "match": {
            "op": "==",
            "left": {"meta": {"key": "oifname"}},
            "right": host.spec.facing(sink).name,
        }
    }
    coming = {"data": [data], "end": [end]}
    came = stack.enter_context(counting(lab, host, f"ingress:{arrivals}", coming))
    leaving = {"data": [[leaves, *data]], "end": [[leaves, *end]]}
    left = stack.enter_context(counting(lab, host, "output", leaving))

    def read() -> Seen:
        before, after = came(), left()
        return Seen(
            data=before["data"], ends=before["end"], passed=after["data"], closed=after["end"]
        )

    return read


def _with(mask: int) -> list[dict[str, Any]]:
    """TCP segments with one of some flags, counted."""
    field = {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, mask]}
    return [{"match": {"op": "!=", "left": field, "right": 0}}, {"counter": None}]
