"""What a scenario's faults, taken together, mean to the connection as one side sees it."""

from __future__ import annotations

from harness.faults import AnyFault
from harness.model.topology import Side, layout
from harness.oracle.effects import Effect
from harness.scenario.schema import Scenario

ESTABLISHED_S = 432_000.0
"""nf_conntrack_tcp_timeout_established."""


def effects_on(scenario: Scenario, side: Side) -> tuple[Effect, ...]:
    """What the faults mean to a side, those of middleboxes in the order in which its segments meet
    them.

    A NAT is a middlebox by itself, with the time that Linux gives an established flow; for what the
    server sends after that it has no mapping, and answers with RST.
    """
    where = layout(scenario.topology)
    order = list(where.host_names) if side == "client" else list(reversed(where.host_names))

    def place(fault: AnyFault) -> int:
        return min((order.index(host) for host in fault.hosts(where) if host in order), default=0)

    standing = sorted((fault for fault in scenario.faults if fault.standing), key=place)
    timed = [fault for fault in scenario.faults if not fault.standing]
    effects = [effect for fault in (*standing, *timed) for effect in fault.effects(where, side)]
    translated = any(host.translates for host in where.hosts) and side == "server"
    if translated and not any(effect.mechanism == "expires" for effect in effects):
        effects.append(Effect(mechanism="expires", timeout_s=ESTABLISHED_S, then="reset"))
    return tuple(effects)
