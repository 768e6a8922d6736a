"""The shipped scenarios: each is a claim that the oracle shares, on every kernel and clock, or that
says why not.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from harness.faults import FAULTS, Fault, FirewallIdle, IcmpReject
from harness.faults.icmp import Code
from harness.model.firewall_presets import PRESETS
from harness.model.machine import MachineFacts
from harness.model.topology import SIDES, Kind, LabKind
from harness.plan.plan import Plan
from harness.plan.planner import make
from harness.scenario import catalogue, loader
from harness.scenario.schema import Scenario
from harness.system.kernel_clock import Clock
from tests.running import EXHAUSTIVE

pytestmark = pytest.mark.slow

HZS = (100, 250, 300, 1000)
SHORT_OF_A_SECOND_NS = 100
"""A jiffy of HZ=300 is 3333333 ns to the kernel, so that 300 of them are 100 ns short of a second.

Elsewhere a jiffy is a whole number of nanoseconds.
"""
KIND_OF = {
    "detected": "detected",
    "noticed": "noticed",
    "eof": "eof",
    "survives": "quiet",
    "never": "quiet",
}
TOPICS = {
    "both-ends",
    "containers",
    "defaults",
    "firewall",
    "heartbeat",
    "host",
    "icmp",
    "link",
    "outcomes",
    "proxied",
    "published",
    "settings",
    "survival",
    "transport",
}
LONGEST_SUMMARY = 120
LONG_S = 60.0
README = Path(__file__).parents[3] / "README.md"


@functools.cache
def shipped() -> tuple[Scenario, ...]:
    """All of it."""
    return tuple(catalogue.find([], containers=True, guests=True))


NAMES = [scenario.name for scenario in shipped()]


def comments(name: str) -> list[str]:
    """The lines of comment in its file."""
    lines = (loader.catalogue() / f"{name}.scenario.toml").read_text().splitlines()
    return [line for line in lines if line.startswith("# ")]


@functools.cache
def planned(name: str, hz: int, clock: Clock) -> Plan:
    """The plan of a scenario on a machine."""
    scenario = next(scenario for scenario in shipped() if scenario.name == name)
    lab: LabKind = "docker" if scenario.of_containers else "netns"
    clock = "real" if scenario.of_containers else "virtual" if scenario.of_guests else clock
    return make(
        scenario,
        MachineFacts(kernel="6.18.0", hz=hz, hz_source="given", cpus=2, clock=clock, lab=lab),
    )


def is_sweep(scenario: Scenario) -> bool:
    """Whether the oracle takes seconds for it at some HZ: data is given up after minutes of real
    time.
    """
    late_s = max(
        (at_s for side in SIDES for at_s in scenario.endpoint(side).writes_at_s), default=0.0
    )
    return late_s > LONG_S or (
        bool(late_s) and not any(scenario.endpoint(side).user_timeout_s for side in SIDES)
    )


def cases() -> Iterator[Any]:
    """Every scenario on the kernel of guests.

    Those that take the oracle less than seconds also on a distribution's.

    All other kernels' ticks are for an exhaustive run.
    """
    for scenario in shipped():
        sweep = is_sweep(scenario)
        yield pytest.param(scenario.name, 1000, "virtual", marks=pytest.mark.slow if sweep else ())
        if not sweep:
            yield pytest.param(scenario.name, 250, "real", marks=pytest.mark.slow)
            others = [hz for hz in HZS if hz != 1000] if EXHAUSTIVE else []
            yield from (
                pytest.param(scenario.name, hz, "virtual", marks=pytest.mark.slow) for hz in others
            )


@pytest.mark.parametrize(("name", "hz", "clock"), list(cases()))
def test_the_oracle_shares_the_claim(name: str, hz: int, clock: Clock) -> None:
    """Exactly one outcome is foreseen, it is the one claimed, and its window lies within the
    claimed one.

    Where the oracle has no model the file says why, and when and with what by itself. So it is for
    each end that is judged.
    """
    for plan in planned(name, hz, clock).judged:
        check_claim(name, hz, plan)


def check_claim(name: str, hz: int, plan: Plan) -> None:
    """The same for one end."""
    expect = plan.scenario.expect
    if plan.prediction is None:
        assert comments(name), plan.unpredictable
        assert (expect.window_s is None) != (expect.bound_s is None)
        return
    (outcome,) = plan.prediction.outcomes
    assert plan.expected == (outcome,)
    assert plan.notes == ()
    assert outcome.kind == KIND_OF[expect.outcome]
    assert outcome.errno == expect.errno
    if expect.window_s is None:
        return
    assert outcome.window_ns is not None
    lo, hi = outcome.window_ns
    if expect.origin == "fault":
        onset_ns = round(plan.scenario.faults[0].at_s * 1e9)
        lo, hi = lo - onset_ns, hi - onset_ns
    short_ns = math.ceil(expect.window_s[0]) * SHORT_OF_A_SECOND_NS if hz == 300 else 0
    assert round(expect.window_s[0] * 1e9) <= lo + short_ns
    assert hi <= round(expect.window_s[1] * 1e9)


@pytest.mark.slow
def test_the_readme_counts_right() -> None:
    """How many scenarios there are, and how many of them the oracle has no model of."""
    said = re.search(
        r"holds (\d+) scenarios, all but (\d+) of", " ".join(README.read_text().split())
    )
    assert said is not None
    unpredicted = sum(
        any(end.prediction is None for end in planned(name, 1000, "virtual").judged)
        for name in NAMES
    )
    assert [int(number) for number in said.groups()] == [len(NAMES), unpredicted]


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_is_complete(name: str) -> None:
    """A summary of one short line, an outcome by name, a bound for what is quiet, and an errno for
    what is detected.
    """
    scenario = next(scenario for scenario in shipped() if scenario.name == name)
    assert scenario.summary
    assert "\n" not in scenario.summary
    assert not scenario.summary.endswith(".")
    assert len(scenario.summary) <= LONGEST_SUMMARY
    for side in scenario.judged:
        expect = scenario.seen_by(side).expect
        assert expect.outcome != "as-predicted"
        assert (expect.bound_s is not None) == (expect.outcome in ("survives", "never"))
        assert (expect.errno is not None) == (expect.outcome == "detected")


def test_names_are_unique_and_in_folders() -> None:
    """A scenario is found by its name alone, and each stands under a topic."""
    assert len(set(NAMES)) == len(NAMES)
    assert {name.split("/", maxsplit=1)[0] for name in NAMES} >= TOPICS
    assert all("/" in name for name in NAMES)
    assert len({scenario.summary for scenario in shipped()}) == len(NAMES)


def test_every_fault_is_in_the_catalogue() -> None:
    """Whoever looks for an example of a fault finds one."""
    kinds = {fault.kind for scenario in shipped() for fault in scenario.faults}
    assert kinds == set(FAULTS)


def test_the_tables_of_the_documentation_have_every_fault() -> None:
    """With each of its keys, and no fault that is not there."""
    text = (loader.catalogue() / "README.md").read_text()
    rows: dict[str, str] = {}
    for table in re.findall(r"(?m)^\| fault \| keys.*\n\|[-|]+\n((?:\|.*\n)+)", text):
        for _, kinds, keys, *_ in (row.split("|") for row in table.splitlines()):
            rows |= dict.fromkeys(re.findall(r"`([a-z-]+)`", kinds), keys)
    assert set(rows) == set(FAULTS)
    elsewhere = {
        "stream",
        "from_start",
        "network",
    }  # said of all toxics; and for `harness inject` alone
    elsewhere |= {field.name for field in msgspec.structs.fields(Fault)}
    for kind, fault in FAULTS.items():
        own = {field.name for field in msgspec.structs.fields(fault)} - elsewhere
        assert own == set(re.findall(r"`(\w+)`", rows[kind])), kind


def test_every_fault_says_what_happens() -> None:
    """In one line, for `harness list --faults`."""
    assert all(fault.summary and "\n" not in fault.summary for fault in FAULTS.values())


def test_every_preset_and_code_is_in_the_catalogue() -> None:
    """Each middlebox that is known by name, and each ICMP code of both families, idle and in
    flight.
    """
    faults = [fault for scenario in shipped() for fault in scenario.faults]
    assert {fault.preset for fault in faults if isinstance(fault, FirewallIdle)} == {None, *PRESETS}
    refused = {
        (scenario.topology.family, fault.code, bool(scenario.client.writes_at_s))
        for scenario in shipped()
        for fault in scenario.faults
        if isinstance(fault, IcmpReject)
    }
    assert {code for _, code, _ in refused} == set(get_args(Code))
    assert {(family, code, not writes) for family, code, writes in refused} == refused


def test_the_demo_is_short() -> None:
    """All of `outcomes` is watched for 10 s at most, at any HZ."""
    outcomes = [name for name in NAMES if name.startswith("outcomes/")]
    assert len(outcomes) >= 8
    longest_ns = max(planned(name, hz, "real").watch_ns for name in outcomes for hz in HZS)
    assert longest_ns <= 10_000_000_000


def test_every_family_topology_and_side_is_in_the_catalogue() -> None:
    """IPv4 and IPv6, every topology, both observers, settings by socket and by sysctl."""
    assert {s.topology.family for s in shipped()} == {"ipv4", "ipv6"}
    assert {s.topology.kind for s in shipped()} == set(get_args(Kind))
    assert {s.judged for s in shipped()} == {("client",), ("server",), ("client", "server")}
    assert {s.client.settings_via for s in shipped()} == {"socket", "sysctl"}
    claims = {s.seen_by(side).expect.outcome for s in shipped() for side in s.judged}
    assert claims == set(KIND_OF)


def test_every_heartbeat_is_in_the_catalogue() -> None:
    """Each design, watched from its side, under each kind of silence, and each that ends by
    itself.
    """
    names = [name.removeprefix("heartbeat/") for name in NAMES if name.startswith("heartbeat/")]
    sides = [f"{design}-{side}" for design in ("simple", "separate", "urgent") for side in SIDES]
    for design in (*sides, "idle-timer-client", "idle-state-client", "reaper-server"):
        for fault in ("blackhole", "rebooted", "killed", "frozen", "not-reading", "outage"):
            assert f"{design}-{fault}" in names


def test_each_topic_has_a_line_about_it() -> None:
    """What `harness list` prints above its scenarios."""
    abouts = loader.abouts()
    assert {name.rpartition("/")[0] for name in NAMES} == set(abouts)
    assert all(about and "\n" not in about for about in abouts.values())
