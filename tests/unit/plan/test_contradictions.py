"""What a scenario may not put together: faults that undo each other, and what comes when nobody
watches.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from harness.errors import ScenarioError
from harness.faults import (
    AddressRemoved,
    AnyFault,
    Blackhole,
    CarrierLoss,
    Delay,
    FirewallFlush,
    FirewallIdle,
    HostSuspend,
    LinkDown,
    Loss,
    NatRebinding,
    PmtuBlackhole,
    ProcessFreeze,
    ProcessKill,
    Route,
)
from harness.model.programs import Command
from harness.model.topology import Kind, Topology
from harness.scenario.loader import checked
from harness.scenario.schema import Endpoint, Expect, Scenario


def refused(kind: Kind, *faults: AnyFault, **changes: Any) -> str:
    """The complaint about a scenario, or nothing."""
    scenario = Scenario(name="x", topology=Topology(kind=kind), faults=faults)
    try:
        checked(msgspec.structs.replace(scenario, **changes), "x")
    except ScenarioError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("kind", "one", "other", "thing"),
    [
        (
            "direct",
            LinkDown(on="server"),
            CarrierLoss(on="client", at_s=1, for_s=1),
            "server's eth0",
        ),
        ("routed", LinkDown(on="client"), AddressRemoved(on="client", at_s=1), "client's eth0"),
        (
            "routed",
            LinkDown(on="client"),
            Route(on="client", at_s=1, becomes="lost"),
            "client's routes",
        ),
        (
            "routed",
            PmtuBlackhole(),
            Route(on="router", to="server", at_s=1, becomes="blackhole"),
            "router's routes",
        ),
        (
            "routed",
            ProcessFreeze(on="server"),
            HostSuspend(on="server", at_s=1),
            "server's program",
        ),
        ("routed", Loss(percent=50), Delay(delay_ms=5, at_s=1), "router's queue"),
        ("routed", Blackhole(), Blackhole(at_s=1), "router's arrivals"),
    ],
)
def test_two_faults_cannot_change_one_thing_at_once(
    kind: Kind, one: AnyFault, other: AnyFault, thing: str
) -> None:
    """Healing one would heal the other; one after the other they are welcome."""
    for pair in ((one, other), (other, one)):
        assert thing in refused(kind, *pair)
    assert refused(kind, msgspec.structs.replace(one, for_s=0.5), other) == ""


def test_what_was_killed_is_killed_once() -> None:
    """Until it is started again: a second kill would find nothing to kill, and the first would undo
    it.
    """
    again, for_good = ProcessKill(at_s=1, for_s=10), ProcessKill(at_s=5)
    command = Endpoint(command=Command(argv=("it",)))
    for pair in ((again, for_good), (for_good, again)):
        assert "both act on server's process-kill" in refused("routed", *pair, server=command)
    assert refused("routed", again, ProcessKill(at_s=12), server=command) == ""


@pytest.mark.parametrize(
    ("kind", "faults"),
    [
        (
            "routed",
            (
                LinkDown(on="router", toward="client"),
                LinkDown(on="router", toward="server", at_s=1),
            ),
        ),
        ("routed", (Blackhole(direction="to-client"), Blackhole(direction="to-server", at_s=1))),
        ("nat", (FirewallIdle(timeout_s=5, pickup="loose", then=None), NatRebinding(at_s=1))),
    ],
)
def test_what_does_not_meet_may_stand_side_by_side(
    kind: Kind, faults: tuple[AnyFault, ...]
) -> None:
    """Two interfaces, two directions, one setting."""
    assert refused(kind, *faults) == ""


def test_whether_flows_are_taken_up_again_is_one_setting() -> None:
    """Of a host: nf_conntrack_tcp_loose."""
    idle = FirewallIdle(timeout_s=5, then="drop")
    assert "the same pickup as that of fault 0" in refused("nat", idle, NatRebinding(at_s=1))
    assert "the same pickup as that of fault 0" in refused(
        "nat", idle, FirewallFlush(pickup="loose", at_s=1)
    )


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("faults[0].at_s", {"faults": (Blackhole(at_s=50),)}),
        ("client.writes_at_s", {"client": Endpoint(writes_at_s=(1.0, 500.0))}),
        ("server.shuts_at_s", {"server": Endpoint(shuts_at_s=900.0)}),
    ],
)
def test_nothing_is_planned_for_when_the_watch_is_over(key: str, changes: dict[str, Any]) -> None:
    """Such a run could never be judged."""
    assert key in refused("routed", expect=Expect(outcome="never", bound_s=5), **changes)


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("expect.phase_ns", {"expect": Expect(phase_ns=5)}),
        ("client.write_bytes", {"client": Endpoint(write_bytes=500)}),
        ("server.settings_via", {"server": Endpoint(settings_via="sysctl")}),
    ],
)
def test_no_key_is_ignored(key: str, changes: dict[str, Any]) -> None:
    """What has no effect is refused."""
    assert key in refused("routed", Blackhole(at_s=1), **changes)
