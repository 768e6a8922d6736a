"""A close that crosses a request: the FIN of a side is held back until the other side sends data.

That is what happens when a server closes an idle connection while a request is on its way: the FIN
comes to the client just after it has sent, and RST behind it, with which the server's kernel
answers data to a connection that its program has closed (RFC 9293 section 3.6.1). Without the fault
it takes chance to meet that moment.

The next hop drops the FINs and RSTs of the side that closes, and a program on its host
(harness/programs/fin_holder.py) sends them again when their time has come. Evidence: what it says
of FINs that data has crossed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from harness.errors import FaultError, SubjectError
from harness.faults.base import Evidence, Fault, besides
from harness.faults.blackhole import on_arrival
from harness.lab.watched import OTHERS
from harness.model.topology import Layout, Side
from harness.model.values import Problem, count
from harness.oracle.effects import Effect
from harness.programs import fin_holder

if TYPE_CHECKING:
    from harness.lab.host import Host, Lab
    from harness.lab.process import Program

READY_TIMEOUT_S = 10.0
_SENDER = 0x81
"""The last octet of the MAC address that is sent from; those of a lab count from 0."""
_FIN, _RST = 0x01, 0x04
_IPV6_HEAD = 40


class CloseCrossesRequest(Fault, frozen=True, kw_only=True, tag="close-crosses-request"):
    """`on`: the side that closes. Its own timeout, or another fault, has to make it close."""

    on: Side = "server"

    summary: ClassVar[str] = "a side's FIN is held back until data of the other side crosses it"
    also_called: ClassVar[tuple[str, ...]] = (
        *("close-crossing", "crossing-close", "fin-held", "fin-delayed", "keepalive-race"),
        *("keep-alive-race", "idle-close", "server-closes", "stale-connection"),
    )
    takes_s: ClassVar[float] = 2.0
    undrawn: ClassVar[str] = "the oracle has no model of a FIN that comes when data is sent"

    def misplaced(self, layout: Layout) -> Iterator[Problem]:
        if not layout.is_whole:
            yield Problem(
                "kind", self.kind, "a topology without a proxy, which takes requests itself"
            )

    def hosts(self, layout: Layout) -> frozenset[str]:
        return frozenset({self.on, layout.host(self.on).interfaces[0].toward})

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        unknown = "a FIN comes when data has crossed it"
        return (
            Effect(mechanism="impaired", from_s=self.at_s, until_s=self.until_s, unknown=unknown),
        )

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        own = lab.layout.host(self.on).interfaces[0]
        far = lab.layout.host(own.toward)
        mac = f"{own.mac[:-2]}{_SENDER:02x}"
        arrivals = far.interface_toward(self.on) or far.interfaces[0]
        rules = {"held": _rule(lab.layout.family, mac)}
        crossed: list[list[int]] = []
        with (
            _holding(lab.host(self.on), own.name, mac) as holder,
            on_arrival(lab, [(far.name, arrivals.name)], rules) as counted,
        ):

            def evidence() -> Evidence:
                crossed.extend(json.loads(line)["ports"] for line in holder.lines())
                return _evidence(lab, holder, counted(), crossed)

            try:
                yield evidence
            finally:
                _release(holder)


def _rule(family: str, mac: str) -> list[list[dict[str, Any]]]:
    """The rule that drops small FINs and RSTs, but not those from a MAC address."""
    flags = {"&": [_field("tcp", "flags"), _FIN | _RST]}
    # The length of IPv6 does not count its own header.
    length = _field("ip", "length") if family == "ipv4" else _field("ip6", "length")
    most = fin_holder.MOST_OCTETS - (0 if family == "ipv4" else _IPV6_HEAD)
    matches = (
        ("!=", flags, 0),
        ("!=", _field("ether", "saddr"), mac),
        ("<=", length, most),
    )
    conditions = [
        {"match": {"op": op, "left": left, "right": right}} for op, left, right in matches
    ]
    return [[*conditions, {"counter": None}, {"drop": None}]]


def _field(protocol: str, field: str) -> dict[str, Any]:
    return {"payload": {"protocol": protocol, "field": field}}


def _evidence(
    lab: Lab, holder: Program, counts: dict[str, int], crossed: list[list[int]]
) -> Evidence:
    others = counts[OTHERS]
    ours = [ports for ports in crossed if lab.watched is None or lab.watched.is_at(ports)]
    if holder.poll() is not None:
        return Evidence(level="none", found=f"{holder.name} has ended", others=others)
    found = f"{count(len(ours), 'FIN')} crossed by data"
    if counts["held"] and not ours:
        found = "a FIN was held back, and no data has crossed it"
    return Evidence(
        level="bit" if ours else "in-place", found=besides(found, others), others=others
    )


@contextmanager
def _holding(host: Host, device: str, mac: str) -> Iterator[Program]:
    """A program at work on the host that holds FINs back. Raises SubjectError."""
    script = Path(fin_holder.__file__)
    argv = [
        *(sys.executable, "-I", "-S", str(script), str(script.parents[2])),
        json.dumps({"device": device, "mac": mac}),
    ]
    with host.running("FIN holder", argv) as program:
        program.read_line(READY_TIMEOUT_S)
        yield program


def _release(holder: Program) -> None:
    """Have it let go of what it holds. Raises FaultError; not where it has ended."""
    try:
        holder.write(f"{fin_holder.RELEASE}\n".encode())
        while holder.read_line(READY_TIMEOUT_S) != fin_holder.RELEASED.encode():
            pass  # of FINs that data has crossed since
    except BrokenPipeError:
        return
    except SubjectError as error:
        if holder.poll() is None:
            raise FaultError(f"expected the FIN holder to let go, found {error}") from error
