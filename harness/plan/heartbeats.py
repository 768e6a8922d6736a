"""What a scenario with heartbeats asks the oracle, told from the scenario itself."""

from __future__ import annotations

import msgspec

from harness.faults import AnyFault, Blackhole
from harness.model.programs import IdleState, Separate
from harness.model.topology import SIDES, Side, layout
from harness.oracle import established, heartbeat, heartbeat_rules
from harness.oracle.effects import Effect, Unpredictable
from harness.oracle.established_query import Question
from harness.oracle.network_path import CUTS
from harness.oracle.prediction import Machine, Prediction, Settings
from harness.plan.fault_effects import effects_on
from harness.scenario.schema import Scenario

MOST_OCTETS = 1000
"""What fits into one segment whatever the options, with the frame around it."""
SPARE_NS = 5_000_000_000
"""So much longer than a design documents a run is watched for: fault, machine and reconnection have
their delays.
"""


def longest_ns(scenario: Scenario) -> int:
    """How long the observed side's heartbeat takes at most, after all that changes.

    0 without heartbeats.
    """
    client, server = scenario.client.heartbeat, scenario.server.heartbeat
    if client is None or server is None:
        return 0
    return heartbeat_rules.longest_ns(client, server, scenario.expect.side) + SPARE_NS


def predict(
    scenario: Scenario, settings: dict[Side, Settings], machine: Machine, horizon_ns: int
) -> Prediction:
    """What the observed side sees. Raises Unpredictable."""
    client, server, side = (
        scenario.client.heartbeat,
        scenario.server.heartbeat,
        scenario.expect.side,
    )
    assert client is not None
    assert server is not None
    writes_ns = {
        each: tuple(round(at_s * 1e9) for at_s in scenario.endpoint(each).writes_at_s)
        for each in SIDES
    }
    if any(writes_ns[each] and scenario.endpoint(each).write_bytes > MOST_OCTETS for each in SIDES):
        raise Unpredictable(
            "more is written than fits into one segment, and heartbeats wait behind it"
        )
    met = _as_heartbeats_meet_it(scenario)
    effects = {each: effects_on(met, each) for each in SIDES}
    if settings[side].keepalive and not any(writes_ns.values()):
        first = _keepalive_first(scenario, settings[side], machine, effects[side], horizon_ns)
        if first is not None:
            return first
    pair = heartbeat.Pair(
        client=client,
        server=server,
        side=side,
        connects_back=not any(host.translates for host in layout(scenario.topology).hosts),
        reconnects=_finds_another(scenario),
    )
    return heartbeat.predict(
        pair, machine, effects, horizon_ns, writes_ns=writes_ns, settings=settings
    )


def _as_heartbeats_meet_it(scenario: Scenario) -> Scenario:
    """Without what concerns the data connection alone, where the heartbeats have one of their
    own.
    """
    aimed = [
        fault
        for fault in scenario.faults
        if isinstance(fault, Blackhole) and fault.port is not None
    ]
    if not aimed:
        return scenario
    if not isinstance(scenario.client.heartbeat, Separate):
        raise Unpredictable("the blackhole is for one port alone")
    if any(scenario.endpoint(each).writes_at_s for each in SIDES):
        raise Unpredictable("data waits on a connection that the heartbeats say nothing of")
    rest: tuple[AnyFault, ...] = tuple(fault for fault in scenario.faults if fault not in aimed)
    return msgspec.structs.replace(scenario, faults=rest)


def _keepalive_first(
    scenario: Scenario,
    settings: Settings,
    machine: Machine,
    effects: tuple[Effect, ...],
    horizon_ns: int,
) -> Prediction | None:
    """Keepalive's verdict on a connection that is idle until then, where it comes before the first
    heartbeat.
    """
    assert scenario.client.heartbeat is not None
    first_ns = heartbeat.first_beat_ns(scenario.client.heartbeat) - heartbeat.begun_ns(machine)
    cut = any(effect.mechanism in CUTS for effect in effects)
    if (
        not cut
        or (settings.idle_s + settings.interval_s * settings.count) * 1_000_000_000 >= first_ns
    ):
        return None
    alone = established.predict(Question(settings, machine, effects, horizon_ns))
    ends = [outcome.window_ns for outcome in alone.outcomes]
    return alone if all(window is not None and window[1] < first_ns for window in ends) else None


def _finds_another(scenario: Scenario) -> bool:
    """Whether the client has another server to go to, which nothing keeps it from: all that happens
    is at the first.
    """
    client = scenario.client.heartbeat
    if not isinstance(client, IdleState) or not client.servers:
        return False
    place = client.servers.index("server") + 1 if "server" in client.servers else 0
    where = layout(scenario.topology)
    at_server = all(fault.hosts(where) <= {"server"} for fault in scenario.faults)
    return at_server and client.servers[place % len(client.servers)] != "server"
