"""What plans expect of each fault as evidence: told by asking the oracle with the fault and without
it.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from harness.faults import (
    AnyFault,
    Blackhole,
    FirewallIdle,
    LinkDown,
    PmtuBlackhole,
    ProcessKill,
    SynDrop,
    ToxicTimeout,
)
from harness.model.programs import Command, Detects
from harness.model.topology import Topology
from harness.plan.plan import Ending, Expectation, Plan
from harness.plan.planner import make
from harness.scenario.schema import Endpoint, Expect, Scenario
from harness.system.kernel_clock import Clock
from tests.unit.timelines import ALIVE, MACHINE, planned

COMMAND = Endpoint(command=Command(argv=("client",), detects=Detects(prints="lost")))


def demands(plan: Plan) -> list[str]:
    """Of each fault."""
    return [each.demand for each in plan.faults]


def commanded(
    *faults: Any, topology: Topology | None = None, known_failure: str = "", **expect: Any
) -> Plan:
    """A plan for a command, of which the oracle has no model."""
    claim = Expect(**{"outcome": "noticed", "window_s": (1.0, 2.0), **expect})
    scenario = Scenario(
        name="by/hand", client=COMMAND, faults=faults, expect=claim, known_failure=known_failure
    )
    return make(msgspec.structs.replace(scenario, topology=topology or Topology()), MACHINE)


@pytest.mark.parametrize("clock", ["real", "virtual"])
def test_keepalive_shorter_than_the_firewall(clock: Clock) -> None:
    """The textbook setting: the firewall never acts, and the peer's death is what is detected."""
    machine = msgspec.structs.replace(MACHINE, clock=clock)
    plan = planned(FirewallIdle(timeout_s=5), LinkDown(on="server", at_s=9), machine=machine)
    assert demands(plan) == ["must-stand", "must-act"]
    slow = planned(FirewallIdle(timeout_s=1), LinkDown(on="server", at_s=9), machine=machine)
    assert demands(slow) == ["must-act", "must-act"]


def test_what_is_injected_must_act() -> None:
    """Also where nothing is to be detected: a fault that met nothing proves nothing."""
    assert demands(
        planned(LinkDown(on="server", at_s=0.5, for_s=3.1), outcome="survives", bound_s=8)
    ) == ["must-act"]
    assert demands(planned(ProcessKill(at_s=1), outcome="eof")) == ["must-act"]


@pytest.mark.parametrize("fault", [PmtuBlackhole(at_s=0.5), SynDrop(at_s=0.5)])
def test_a_trial_is_enough_where_the_fault_changes_nothing(fault: AnyFault) -> None:
    """For an idle connection, by the oracle.

    A program may do anything, so that its own segments must have met it.
    """
    assert demands(planned(fault, outcome="survives", bound_s=8)) == ["must-stand"]
    assert demands(commanded(fault)) == ["must-act"]


def test_a_firewall_that_is_survived() -> None:
    """It stands where keepalive is short; where it picks flows up again it may do anything."""
    for firewall in (
        FirewallIdle(timeout_s=5, then="reset"),
        FirewallIdle(timeout_s=1, pickup="loose"),
    ):
        assert demands(planned(firewall, outcome="survives", bound_s=8)) == ["must-stand"]


def test_the_shorter_of_two_firewalls_decides() -> None:
    """The other one may never see anything."""
    short, long = (
        FirewallIdle(timeout_s=1, on="firewall-a"),
        FirewallIdle(timeout_s=9, on="firewall-b"),
    )
    assert demands(planned(short, long, kind="firewalls", errno="ETIMEDOUT")) == [
        "must-act",
        "must-stand",
    ]


def test_two_firewalls_that_do_the_same() -> None:
    """Without one the other does it: one of them must act."""
    alike = FirewallIdle(timeout_s=1, on="firewall-a"), FirewallIdle(timeout_s=1, on="firewall-b")
    plan = planned(*alike, kind="firewalls", errno="ETIMEDOUT")
    assert [(each.demand, each.instead) for each in plan.faults] == [
        ("must-act", (1,)),
        ("must-act", (0,)),
    ]


def test_where_the_phase_decides() -> None:
    """The firewall must have acted where it is detected, and only there."""
    client = msgspec.structs.replace(ALIVE, keepalive=True, user_timeout_s=0)
    plan = planned(
        FirewallIdle(timeout_s=7_330, then="reset"), client=client, outcome="as-predicted"
    )
    kinds = {outcome.kind for outcome in plan.expected}
    assert kinds == {"detected", "quiet"}
    (found,) = plan.faults
    assert (found.demand, found.decides) == ("may-act", (Ending("detected", "ECONNRESET"),))


@pytest.mark.parametrize(
    ("expect", "others", "demand"),
    [
        ({}, (), "must-act"),
        ({}, (Blackhole(at_s=0.5),), "must-act"),
        ({"origin": "fault"}, (Blackhole(at_s=0.5),), "may-act"),
        ({"outcome": "never", "window_s": None, "bound_s": 9}, (), "must-stand"),
    ],
    ids=["alone", "with another", "another is the origin", "nothing to be detected"],
)
def test_where_the_oracle_cannot_tell(
    expect: dict[str, Any], others: tuple[Any, ...], demand: str
) -> None:
    """A standing fault counts as the cause of what is detected, unless the claim counts from
    another one.
    """
    found = commanded(FirewallIdle(timeout_s=350), *others, **expect).faults[0]
    assert (found.demand, found.decides) == (demand, ())


def test_where_the_oracle_cannot_tell_one_of_a_kind_is_enough() -> None:
    """As there is no telling which of two firewalls dropped its state."""
    both = FirewallIdle(timeout_s=5, on="firewall-a"), FirewallIdle(timeout_s=5, on="firewall-b")
    plan = commanded(*both, topology=Topology(kind="firewalls"))
    assert [each.instead for each in plan.faults] == [(1,), (0,)]


def test_a_claim_that_is_known_not_to_hold() -> None:
    """Silence refutes it, which a firewall need not have caused; what is detected it must have."""
    (found,) = commanded(FirewallIdle(timeout_s=350), known_failure="never").faults
    assert (found.demand, found.decides) == ("may-act", (Ending("noticed", None),))


def test_a_toxic_from_the_start_is_no_firewall() -> None:
    """An idle client of a proxy that lives detects nothing, whatever the proxy does with data."""
    toxic = ToxicTimeout(from_start=True, timeout_ms=0)
    assert demands(planned(toxic, kind="proxied", outcome="never", bound_s=8)) == ["must-stand"]


def test_times_and_limits_come_from_the_fault() -> None:
    """What the judge must know of it, so that a saved run is judged without the fault's code."""
    quick, slow = (
        planned(Blackhole(at_s=0.5, for_s=2), outcome="survives", bound_s=9).faults[0],
        0.1,
    )
    assert (quick.kind, quick.at_ns, quick.until_ns, quick.late_ns) == (
        "blackhole",
        5 * 10**8,
        25 * 10**8,
        5 * 10**7,
    )
    assert not quick.hides_probes
    local = planned(LinkDown(on="client", at_s=0.5)).faults[0]
    assert local.hides_probes
    assert local.late_ns >= quick.late_ns
    assert planned(FirewallIdle(timeout_s=1), errno="ETIMEDOUT").faults[0].standing
    toxic = ToxicTimeout(at_s=slow, timeout_ms=2000)
    assert planned(toxic, kind="proxied", outcome="eof").faults[0].starts_timer


def test_an_expectation_is_saved_whole() -> None:
    """Encoded and decoded it is the same."""
    for plan in (
        planned(FirewallIdle(timeout_s=1), errno="ETIMEDOUT"),
        commanded(FirewallIdle(timeout_s=350)),
    ):
        encoded = msgspec.json.encode(plan.faults)
        assert msgspec.json.decode(encoded, type=tuple[Expectation, ...]) == plan.faults
