"""Simpler versions of a scenario, each by one thing: what is tried on a scenario that the oracle
got wrong. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from harness.faults import Blackhole
from harness.model.topology import SIDES, Topology
from harness.scenario.schema import RETRIES, Endpoint, Keepalive, Scenario


def simpler(scenario: Scenario) -> Iterator[Scenario]:
    """Simpler scenarios, each by one thing, what makes most of a difference first.

    No fault in a plan is repeated.
    """
    yield from _fewer_faults(scenario)
    for side in SIDES:
        for end in _simpler_ends(scenario.endpoint(side)):
            yield msgspec.structs.replace(scenario, **{side: end})
    if scenario.topology != Topology():
        for topology in (
            Topology(),
            Topology(family=scenario.topology.family),
            Topology(kind=scenario.topology.kind),
        ):
            if topology != scenario.topology:
                yield msgspec.structs.replace(scenario, topology=topology)
    if scenario.expect.phase_ns:
        yield msgspec.structs.replace(
            scenario, expect=msgspec.structs.replace(scenario.expect, phase_ns=0)
        )
    yield from _rounder_faults(scenario)


def _fewer_faults(scenario: Scenario) -> Iterator[Scenario]:
    change = msgspec.structs.replace
    for index, fault in enumerate(scenario.faults):
        before, after = scenario.faults[:index], scenario.faults[index + 1 :]
        if before or after:
            yield change(scenario, faults=(*before, *after))
        if fault.for_s is not None:
            yield change(scenario, faults=(*before, change(fault, for_s=None), *after))
        if isinstance(fault, Blackhole) and fault.on is not None:
            yield change(scenario, faults=(*before, change(fault, on=None), *after))


def _rounder_faults(scenario: Scenario) -> Iterator[Scenario]:
    for index, fault in enumerate(scenario.faults):
        for key in ("at_s", "for_s"):
            value = getattr(fault, key)
            for rounded in () if value is None else (float(round(value)), round(value, 1)):
                if rounded != value and not (rounded == 0 and key != "at_s"):
                    changed = msgspec.structs.replace(fault, **{key: rounded})
                    faults = (*scenario.faults[:index], changed, *scenario.faults[index + 1 :])
                    yield msgspec.structs.replace(scenario, faults=faults)


def _simpler_ends(end: Endpoint) -> Iterator[Endpoint]:
    change = msgspec.structs.replace
    simplest = {
        "user_timeout_s": 0.0,
        "keepalive": False,
        "settings_via": "socket",
        "retries2": RETRIES,
        "write_bytes": 12,
    }
    for key, least in (*simplest.items(), ("shuts_at_s", None)):
        if getattr(end, key) != least:
            yield change(end, **{key: least})
    for index in range(len(end.writes_at_s)):
        yield change(end, writes_at_s=end.writes_at_s[:index] + end.writes_at_s[index + 1 :])
    for digits in (0, 1):
        rounded = tuple(sorted({round(at_s, digits) for at_s in end.writes_at_s}))
        if rounded != end.writes_at_s:
            yield change(end, writes_at_s=rounded)
        if round(end.user_timeout_s, digits) not in (0.0, end.user_timeout_s):
            yield change(end, user_timeout_s=round(end.user_timeout_s, digits))
        if end.shuts_at_s is not None and round(end.shuts_at_s, digits) != end.shuts_at_s:
            yield change(end, shuts_at_s=round(end.shuts_at_s, digits))
    if isinstance(end.keepalive, Keepalive):
        for key in ("count", "interval_s", "idle_s"):
            value = getattr(end.keepalive, key)
            if value > 1:
                yield change(end, keepalive=change(end.keepalive, **{key: value // 2}))
