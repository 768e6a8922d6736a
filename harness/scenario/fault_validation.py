"""Contradictions between the faults of a scenario, and with the programs on their hosts. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from harness.faults import AnyFault, HostSuspend, NetworkDisconnect, ProcessFreeze
from harness.faults.host import NewHost
from harness.model.topology import Layout, layout
from harness.model.values import Problem
from harness.scenario.schema import Scenario


def host_problems(scenario: Scenario) -> Iterator[Problem]:
    """Endpoints that do not fit the faults of their hosts."""
    for fault in scenario.faults:
        if isinstance(fault, HostSuspend):
            end = scenario.endpoint(fault.on)
            if end.keepalive_settings is not None:
                expected = (
                    f"false: in a lab the keepalive timers of {fault.on} go on while its host is "
                    "suspended"
                )
                yield Problem(f"{fault.on}.keepalive", end.keepalive, expected)
            if end.writes_at_s:
                yield Problem(
                    f"{fault.on}.writes_at_s",
                    list(end.writes_at_s),
                    "no writes on a host that is suspended",
                )


def program_problems(scenario: Scenario) -> Iterator[Problem]:
    """Faults of programs that are not there, or do not run when they are to write."""
    bare = [
        fault
        for fault in scenario.faults
        if isinstance(fault, NewHost) and not fault.starts_program
    ]
    renewed: dict[str, float] = {fault.on: fault.at_s for fault in bare}
    where = layout(scenario.topology)
    for index, fault in enumerate(scenario.faults):
        yield from _restart_problems(scenario, index, fault)
        if (
            fault.proxy_must(where)
            and where.proxy is not None
            and fault.at_s >= renewed.get(where.proxy, fault.at_s + 1)
        ):
            expected = (
                f"a time before {renewed[where.proxy]:g}, when the proxy's host comes back "
                "without a proxy"
            )
            yield Problem(f"faults[{index}].at_s", fault.at_s, expected)
        for side in fault.processes():
            if fault.at_s >= renewed.get(side, fault.at_s + 1):
                expected = (
                    f"a time before {renewed[side]:g}, when the {side} becomes a host that runs "
                    "no program"
                )
                yield Problem(f"faults[{index}].at_s", fault.at_s, expected)
            if isinstance(fault, ProcessFreeze):
                ends_s = fault.until_s or float("inf")
                if any(fault.at_s <= at_s < ends_s for at_s in scenario.endpoint(side).writes_at_s):
                    writes = list(scenario.endpoint(side).writes_at_s)
                    yield Problem(
                        f"{side}.writes_at_s", writes, "no moment at which the program stands still"
                    )


def _restart_problems(scenario: Scenario, index: int, fault: AnyFault) -> Iterator[Problem]:
    """Only a command can be started again: the built-in programs have one connection, which ends
    with them.
    """
    on = fault.starts
    relayed = on == "proxy" and scenario.topology.proxied_by == "relay"
    if on is None or relayed or scenario.command_on(on) is not None:
        return
    key, value = ("for_s", fault.for_s) if fault.for_s is not None else ("starts_program", True)
    expected = f"no such key without [{on}.command]: the built-in {on} is not started again"
    yield Problem(f"faults[{index}].{key}", value, expected)


def _at_once(one: AnyFault, other: AnyFault) -> bool:
    """Whether there is a moment at which both are on."""
    ends = [float("inf") if fault.until_s is None else fault.until_s for fault in (one, other)]
    return one.at_s < ends[1] and other.at_s < ends[0]


def contradictions(scenario: Scenario, where: Layout) -> Iterator[Problem]:
    """Faults that undo each other, or the host from which they are observed."""
    claims = scenario.expect.outcome != "any"
    outages = [
        _Outage(index, outage, fault.hosts(where))
        for index, fault in enumerate(scenario.faults)
        for outage in fault.outages()
    ]
    for index, fault, hosts in outages:
        if isinstance(fault, NewHost) and fault.on == scenario.expect.side and claims:
            expected = "the other side: the observed side cannot be replaced by a new host"
            yield Problem(f"faults[{index}].on", fault.on, expected)
        for other_index, earlier, other_hosts in outages:
            renewed = isinstance(earlier, NewHost) and earlier.at_s <= fault.at_s
            if renewed and isinstance(fault, NetworkDisconnect) and fault.on in other_hosts:
                expected = (
                    f"a time before {earlier.at_s:g}, when a host takes its place that is on no "
                    "docker network"
                )
                yield Problem(f"faults[{index}].at_s", fault.at_s, expected)
            if other_index != index and hosts & other_hosts:
                yield from _conflicts(where, (other_index, earlier), (index, fault))


class _Outage(NamedTuple):
    """One onset of the fault with this number, and the hosts that it acts on."""

    number: int
    fault: AnyFault
    hosts: frozenset[str]


def _conflicts(
    where: Layout, one: tuple[int, AnyFault], two: tuple[int, AnyFault]
) -> Iterator[Problem]:
    """Conflicts of the second of two faults on one host with the first."""
    (other_index, earlier), (index, fault) = one, two
    overlap = earlier.at_s <= fault.at_s and (
        earlier.until_s is None or fault.at_s < earlier.until_s
    )
    if isinstance(fault, NewHost) and overlap and not isinstance(earlier, NewHost):
        expected = (
            f"a time at which fault {other_index} ({earlier.kind}) does not act on the same host"
        )
        yield Problem(f"faults[{index}].at_s", fault.at_s, expected)
    elif other_index < index:
        pick_ups = {earlier.picks_up(), fault.picks_up()} - {None}
        if len(pick_ups) > 1:
            expected = (
                f"the same pickup as that of fault {other_index} ({earlier.kind}), which acts on "
                "that host, too"
            )
            yield Problem(f"faults[{index}].kind", fault.kind, expected)
        if _at_once(earlier, fault) and {earlier.proxy_must(where), fault.proxy_must(where)} == {
            "exist",
            "answer",
        }:
            expected = (
                f"a time at which fault {other_index} ({earlier.kind}) is over: the proxy must "
                "answer to heal one"
            )
            yield Problem(f"faults[{index}].at_s", fault.at_s, expected)
        if _at_once(earlier, fault) and (
            common := sorted(fault.touches(where) & earlier.touches(where))
        ):
            host, thing = common[0]
            expected = (
                f"a time at which fault {other_index} ({earlier.kind}) is over: both act on "
                f"{host}'s {thing}"
            )
            yield Problem(f"faults[{index}].at_s", fault.at_s, expected)
