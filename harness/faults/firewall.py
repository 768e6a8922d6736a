"""Stateful firewalls: one drops the state of idle flows, the other all state at once, as after its
reboot.

Both are nf_conntrack. An entry's age is judged per packet, exact to the jiffy; a packet that comes
at or after the timeout finds no state and, where mid-stream pickup is off
(nf_conntrack_tcp_loose=0), is invalid: dropped, or answered with RST as many load balancers and NAT
gateways do. Packets are judged before their way is chosen, so that the answer is the same for those
to an address for which a NAT has no mapping any more. Evidence: counters of packets that met live
state, dropped state, or made it anew.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import msgspec

from harness.errors import MISSING
from harness.faults.base import Evidence, Fault, besides, unknown_host
from harness.lab.watched import OTHERS, counting
from harness.model.firewall_presets import PRESETS, Pickup, PresetName, Then
from harness.model.topology import HostSpec, Layout, Side
from harness.model.values import Problem, count
from harness.oracle.effects import Effect, Mechanism
from harness.programs import middlebox_resetter

if TYPE_CHECKING:
    from harness.lab.host import Host, Lab
    from harness.lab.nftables import Rules
    from harness.lab.process import Program

READY_TIMEOUT_S = 10.0
LATER_S = 1
"""So much later than its resetter a firewall itself drops state: what comes first must not depend
on the phase of a jiffy.
"""


class FirewallIdle(Fault, frozen=True, kw_only=True, tag="firewall-idle"):
    """Drops the state of a flow after `timeout_s` whole seconds without a packet.

    `then`: what a later packet meets; with "reset-both" both ends get RST at the timeout itself.
    `pickup`: whose packet makes the flow known again. `preset`: a middlebox that is known by name;
    keys that are given come before its own.
    """

    timeout_s: Annotated[int, msgspec.Meta(ge=1, le=2_147_482)] | None = None
    then: Then | None = None
    pickup: Pickup | None = None
    preset: PresetName | None = None
    on: str = "router"

    summary: ClassVar[str] = "a firewall drops the state of idle flows"

    @property
    def standing(self) -> bool:
        return True

    @property
    def limit_s(self) -> int:
        """The idle timeout in force, in seconds."""
        limit = self.timeout_s or (PRESETS[self.preset].timeout_s if self.preset else None)
        assert limit is not None
        return limit

    @property
    def how(self) -> Pickup:
        """The pickup in force."""
        return self.pickup or (PRESETS[self.preset].pickup if self.preset else "strict")

    @property
    def late(self) -> Then:
        """What a late packet meets."""
        return self.then or (PRESETS[self.preset].then if self.preset else None) or "drop"

    def misplaced(self, layout: Layout) -> Iterator[Problem]:
        yield from self._check_standing()
        if self.on not in layout.host_names:
            yield unknown_host("on", self.on, layout)
        elif not layout.host(self.on).forwards:
            yield Problem(
                "on", self.on, 'a host that forwards IP packets (the router of topology "routed")'
            )
        if self.timeout_s is None and self.preset is None:
            yield Problem("timeout_s", MISSING, f"seconds, or a preset ({', '.join(PRESETS)})")
        elif self.how == "loose" and self.then is not None:
            yield Problem(
                "then",
                self.then,
                'no such key with pickup = "loose": a late packet is nothing special',
            )
        elif self.how == "outbound" and self.late == "reset-both":
            yield Problem("then", self.late, 'drop or reset, with pickup = "outbound"')
        elif (
            self.how != "loose"
            and self.then is None
            and self.preset
            and PRESETS[self.preset].then is None
        ):
            yield Problem(
                "then",
                MISSING,
                f"drop, reset or reset-both: for {self.preset} it is not documented",
            )

    def hosts(self, layout: Layout) -> frozenset[str]:
        return frozenset({self.on})

    def picks_up(self) -> bool:
        return self.how != "strict"

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        then: Then = self.late
        if self.how == "loose" or (self.how == "outbound" and observer == "client"):
            if observer == "client" or not layout.host(self.on).translates:
                return ()
            # By the router itself: the packet is to its own address, and no mapping leads further.
            then = "reset"
        return (Effect(mechanism="expires", timeout_s=float(self.limit_s), then=then),)

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        host = lab.host(self.on)
        both = self.late == "reset-both" and self.how == "strict"
        settings = {
            "net.netfilter.nf_conntrack_tcp_loose": int(self.picks_up()),
            "net.netfilter.nf_conntrack_tcp_timeout_established": self.limit_s + LATER_S * both,
        }
        with ExitStack() as stack:
            stack.enter_context(host.sysctls(settings))
            rules = _rules(host.spec, self.late, self.how)
            counters = stack.enter_context(counting(lab, host, "prerouting", rules))
            program = stack.enter_context(_resetting(host, self.limit_s)) if both else None
            reset: list[list[int]] = []

            def evidence() -> Evidence:
                if program is not None:
                    reset.extend(json.loads(line)["ports"] for line in program.lines())
                return _evidence(
                    counters(),
                    sum(lab.watched is None or lab.watched.is_at(ports) for ports in reset),
                )

            yield evidence


class FirewallFlush(Fault, frozen=True, kw_only=True, tag="firewall-flush"):
    """Drops the state of every flow at `at_s`, as in a firewall's reboot.

    `then` and `pickup` as of `firewall-idle`.

    Its host must have tracked the connection until then. Evidence: entries that were there and are
    gone, and counters.
    """

    then: Literal["drop", "reset"] | None = None
    pickup: Literal["strict", "loose"] = "strict"
    on: str = "router"

    summary: ClassVar[str] = "a firewall drops the state of all flows at once, as after its reboot"
    lasting: ClassVar[bool] = True

    def misplaced(self, layout: Layout) -> Iterator[Problem]:
        if self.for_s is not None:
            yield Problem(
                "for_s", self.for_s, "no such key: state that is dropped does not come back"
            )
        if self.on not in layout.host_names:
            yield unknown_host("on", self.on, layout)
        elif not layout.host(self.on).tracks:
            expected = (
                'a host that tracks connections from the start (the router of topology "nat", '
                'those of "firewalls")'
            )
            yield Problem("on", self.on, expected)
        if self.pickup == "loose" and self.then is not None:
            yield Problem(
                "then",
                self.then,
                'no such key with pickup = "loose": a late packet is nothing special',
            )

    def hosts(self, layout: Layout) -> frozenset[str]:
        return frozenset({self.on})

    def picks_up(self) -> bool:
        return self.pickup == "loose"

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        if self.pickup == "strict":
            mechanism: Mechanism = "peer-forgot" if self.then == "reset" else "lost"
            return (Effect(mechanism=mechanism, from_s=self.at_s, midway=self.then == "reset"),)
        if observer == "server" and layout.host(self.on).translates:
            return (Effect(mechanism="peer-forgot", from_s=self.at_s, midway=True),)
        return ()

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        from harness.lab import conntrack

        host, family = lab.host(self.on), lab.layout.family
        settings = {"net.netfilter.nf_conntrack_tcp_loose": int(self.picks_up())}
        rules = _rules(host.spec, self.then or "drop", self.pickup)
        with host.sysctls(settings), counting(lab, host, "prerouting", rules) as counters:
            with host.entered():
                known = conntrack.flows(family, lab.watched)
                conntrack.forget()
                left = set(conntrack.flows(family)) & set(known)

            def evidence() -> Evidence:
                proof = _evidence(counters(), 0)
                return Evidence(
                    level="bit" if known and not left else "none",
                    found=f"{count(len(known), 'flow')} dropped, {len(left)} left; {proof.found}",
                    others=proof.others,
                )

            yield evidence


def _rules(spec: HostSpec, then: Then, pickup: Pickup) -> Rules:
    """What is done, by label, with packets of connections that are known and of those that are
    not.
    """
    late: dict[str, Any] = {"drop": None} if then == "drop" else {"reject": {"type": "tcp reset"}}
    from_server = {
        "match": {
            "op": "==",
            "left": {"meta": {"key": "iifname"}},
            "right": spec.facing("server").name,
        }
    }
    midstream = [TCP, state("new"), NO_SYN]
    return {
        "forgotten": [
            [TCP, state("invalid"), {"counter": None}, late],
            *([[*midstream, from_server, {"counter": None}, late]] if pickup == "outbound" else []),
        ],
        "anew": [[*midstream, {"counter": None}, {"accept": None}]],
        "tracked": [[TCP, state("established"), {"counter": None}, {"accept": None}]],
    }


def state(name: str) -> dict[str, Any]:
    """The condition that connection tracking calls a packet so: new, established or invalid."""
    return {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": name}}


TCP = {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}}
NO_SYN = {
    "match": {
        "op": "==",
        "left": {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, "syn"]},
        "right": 0,
    }
}


def _evidence(counted: dict[str, int], reset: int) -> Evidence:
    forgotten, anew, tracked = counted["forgotten"], counted["anew"], counted["tracked"]
    words = [
        f"{count(tracked, 'packet')} of tracked flows",
        f"{count(forgotten, 'packet')} met expired state",
    ]
    if anew:
        words.append(f"{count(anew, 'packet')} made a flow known anew")
    if reset:
        words.append(f"{count(reset, 'flow')} reset at both ends")
    level: Literal["bit", "in-place", "none"] = (
        "bit" if forgotten or anew or reset else "in-place" if tracked else "none"
    )
    others = counted[OTHERS]
    return Evidence(level=level, found=besides(", ".join(words), others), others=others)


@contextmanager
def _resetting(host: Host, timeout_s: int) -> Iterator[Program]:
    """A resetter at work on the host. Raises SubjectError where it does not start."""
    script = Path(middlebox_resetter.__file__)
    argv = [
        sys.executable,
        "-I",
        "-S",
        str(script),
        str(script.parents[2]),
        json.dumps({"timeout_s": timeout_s}),
    ]
    with host.running("resetter", argv) as program:
        program.read_line(READY_TIMEOUT_S)
        yield program
