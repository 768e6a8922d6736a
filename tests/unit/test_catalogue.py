"""The shipped scenarios: each is a claim that the oracle shares, on every kernel and clock."""

from __future__ import annotations

import functools
import math
from typing import get_args

import pytest

from harness import loader
from harness.faults import AnyFault
from harness.lab.topology import Kind
from harness.plan import Clock, MachineFacts, Plan, make
from harness.scenario import Scenario

HZS = (100, 250, 300, 1000)
SHORT_OF_A_SECOND_NS = 100
"""A jiffy of HZ=300 is 3333333 ns to the kernel, so that 300 of them are 100 ns short of a second; elsewhere a jiffy is
a whole number of nanoseconds."""
KIND_OF = {"detected": "detected", "eof": "eof", "survives": "quiet", "never": "quiet"}


@functools.cache
def catalogue() -> tuple[Scenario, ...]:
    """All of it."""
    return tuple(loader.find([]))


NAMES = [scenario.name for scenario in catalogue()]


def planned(name: str, hz: int, clock: Clock) -> Plan:
    """The plan of a scenario on a machine."""
    scenario = next(scenario for scenario in catalogue() if scenario.name == name)
    return make(scenario, MachineFacts(kernel="6.18.0", hz=hz, hz_source="given", cpus=2, clock=clock))


@pytest.mark.parametrize("clock", ["real", "virtual"])
@pytest.mark.parametrize("hz", HZS)
@pytest.mark.parametrize("name", NAMES)
def test_the_oracle_shares_the_claim(name: str, hz: int, clock: Clock) -> None:
    """Exactly one outcome is foreseen, it is the one claimed, and its window lies within the claimed one."""
    plan = planned(name, hz, clock)
    expect = plan.scenario.expect
    assert plan.prediction is not None, plan.unpredictable
    (outcome,) = plan.prediction.outcomes
    assert plan.expected == (outcome,)
    assert plan.notes == ()
    assert outcome.kind == KIND_OF[expect.outcome]
    assert outcome.errno == expect.errno
    if expect.window_s is None:
        assert expect.bound_s is not None
        return
    assert outcome.window_ns is not None
    lo, hi = outcome.window_ns
    if expect.origin == "fault":
        onset_ns = round(plan.scenario.faults[0].at_s * 1e9)
        lo, hi = lo - onset_ns, hi - onset_ns
    short_ns = math.ceil(expect.window_s[0]) * SHORT_OF_A_SECOND_NS if hz == 300 else 0
    assert round(expect.window_s[0] * 1e9) <= lo + short_ns
    assert hi <= round(expect.window_s[1] * 1e9)


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_is_complete(name: str) -> None:
    """A summary of one line, an outcome by name, a window or a bound, and an errno for what is detected."""
    scenario = next(scenario for scenario in catalogue() if scenario.name == name)
    expect = scenario.expect
    assert scenario.summary
    assert "\n" not in scenario.summary
    assert not scenario.summary.endswith(".")
    assert expect.outcome != "as-predicted"
    assert (expect.window_s is None) != (expect.bound_s is None)
    assert (expect.errno is not None) == (expect.outcome == "detected")


def test_names_are_unique_and_in_folders() -> None:
    """A scenario is found by its name alone, and each stands under a topic."""
    assert len(set(NAMES)) == len(NAMES)
    assert all("/" in name for name in NAMES)
    assert len({scenario.summary for scenario in catalogue()}) == len(NAMES)


def test_every_fault_is_in_the_catalogue() -> None:
    """Whoever looks for an example of a fault finds one."""
    kinds = {fault.kind for scenario in catalogue() for fault in scenario.faults}
    assert kinds == {str(fault.__struct_config__.tag) for fault in AnyFault.__args__}


def test_the_demo_is_short() -> None:
    """All of `outcomes` is watched for 10 s at most, at any HZ."""
    outcomes = [name for name in NAMES if name.startswith("outcomes/")]
    assert len(outcomes) >= 8
    longest_ns = max(planned(name, hz, "real").watch_ns for name in outcomes for hz in HZS)
    assert longest_ns <= 10_000_000_000


def test_every_family_topology_and_side_is_in_the_catalogue() -> None:
    """IPv4 and IPv6, every topology, both observers, settings by socket and by sysctl."""
    assert {s.topology.family for s in catalogue()} == {"ipv4", "ipv6"}
    assert {s.topology.kind for s in catalogue()} == set(get_args(Kind))
    assert {s.expect.side for s in catalogue()} == {"client", "server"}
    assert {s.client.settings_via for s in catalogue()} == {"socket", "sysctl"}
    assert {s.expect.outcome for s in catalogue()} == {"detected", "eof", "survives", "never"}
