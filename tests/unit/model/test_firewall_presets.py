"""Presets: middleboxes known by name, and what a scenario may change of them."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from harness.errors import ScenarioError
from harness.faults import FirewallFlush, FirewallIdle, NatRebinding
from harness.model.firewall_presets import PRESETS, PresetName, Then
from harness.model.topology import SIDES, Kind, Topology, layout
from harness.oracle.effects import Effect
from harness.scenario.loader import from_mapping

ROUTED = layout(Topology(kind="routed"))
NAT = layout(Topology(kind="nat"))


def load(**keys: object) -> FirewallIdle:
    """The firewall of a scenario with these keys. Raises ScenarioError."""
    (fault,) = from_mapping({"faults": [{"kind": "firewall-idle", **keys}]}).faults
    assert isinstance(fault, FirewallIdle)
    return fault


def test_every_name_has_a_preset_with_a_source() -> None:
    """The names that a scenario may use are those there are, in order."""
    assert list(PRESETS) == sorted(get_args(PresetName))
    assert all(preset.source and preset.timeout_s > 0 for preset in PRESETS.values())


@pytest.mark.parametrize("name", get_args(PresetName))
def test_a_preset_gives_timeout_behaviour_and_pickup(name: PresetName) -> None:
    """Where its behaviour at expiry is not documented, the scenario must state it."""
    preset = PRESETS[name]
    if preset.then is None and preset.pickup != "loose":
        with pytest.raises(
            ScenarioError, match=rf"faults\[0\].then: .* for {name} it is not documented"
        ):
            load(preset=name)
        fault = load(preset=name, then="reset")
    else:
        fault = load(preset=name)
        assert fault.late == (preset.then or "drop")
    assert (fault.limit_s, fault.how) == (preset.timeout_s, preset.pickup)


def test_keys_of_the_scenario_come_first() -> None:
    """Each of them alone."""
    assert load(preset="aws-nlb", timeout_s=60).limit_s == 60
    assert load(preset="aws-nlb", timeout_s=60).late == "reset"
    assert load(preset="aws-nlb", then="drop").late == "drop"
    assert load(preset="linux-conntrack", pickup="strict", then="drop").how == "strict"


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({}, r"timeout_s: expected seconds, or a preset \(aws-ec2-conntrack, .*rfc5382-floor\)"),
        ({"preset": "aws-nbl"}, r"preset: expected one of: aws-ec2-conntrack, .*"),
        (
            {"timeout_s": 9, "pickup": "loose", "then": "drop"},
            r"then: expected no such key with pickup = \"loose\"",
        ),
        (
            {"timeout_s": 9, "pickup": "outbound", "then": "reset-both"},
            r"then: expected drop or reset",
        ),
        ({"timeout_s": 9, "on": "client"}, r"on: expected a host that forwards"),
    ],
)
def test_what_does_not_fit_is_named(keys: dict[str, object], complaint: str) -> None:
    """With the key and what would be accepted, the presets among it."""
    with pytest.raises(ScenarioError, match=complaint):
        load(**keys)


def test_strict_pickup_expires_for_both_sides() -> None:
    """With what happens then."""
    for then in get_args(Then):
        fault = FirewallIdle(timeout_s=9, then=then)
        for side in SIDES:
            assert fault.effects(ROUTED, side) == (
                Effect(mechanism="expires", timeout_s=9.0, then=then),
            )


def test_loose_pickup_means_nothing_but_to_a_server_behind_a_nat() -> None:
    """Whose packets go to the router's own address."""
    fault = FirewallIdle(timeout_s=9, pickup="loose")
    assert [fault.effects(ROUTED, side) for side in SIDES] == [(), ()]
    assert fault.effects(NAT, "client") == ()
    assert fault.effects(NAT, "server") == (
        Effect(mechanism="expires", timeout_s=9.0, then="reset"),
    )


def test_outbound_pickup_expires_for_the_server() -> None:
    """The client's packets make the flow known anew."""
    fault = FirewallIdle(preset="gcp-vpc")
    for where in (ROUTED, NAT):
        assert fault.effects(where, "client") == ()
        assert fault.effects(where, "server") == (
            Effect(mechanism="expires", timeout_s=600.0, then="drop"),
        )


def test_a_flush_is_lost_reset_or_nothing() -> None:
    """From its moment on, for both sides alike, but for a server behind a NAT."""
    forgot = Effect(mechanism="peer-forgot", from_s=3, midway=True)
    for side in SIDES:
        assert FirewallFlush(at_s=3).effects(NAT, side) == (Effect(mechanism="lost", from_s=3),)
        assert FirewallFlush(at_s=3, then="reset").effects(NAT, side) == (forgot,)
    picked_up = FirewallFlush(at_s=3, pickup="loose")
    assert picked_up.effects(NAT, "client") == ()
    assert picked_up.effects(NAT, "server") == (forgot,)


def test_rebinding_is_reset_by_the_server_and_lost_on_the_way_back() -> None:
    """Unless the router resets that, too."""
    forgot = Effect(mechanism="peer-forgot", from_s=3)
    lossy, resetting = NatRebinding(at_s=3, then="drop"), NatRebinding(at_s=3)
    assert lossy.effects(NAT, "client") == resetting.effects(NAT, "client") == (forgot,)
    assert resetting.effects(NAT, "server") == (msgspec.structs.replace(forgot, midway=True),)
    assert lossy.effects(NAT, "server") == (Effect(mechanism="lost", from_s=3),)


@pytest.mark.parametrize("kind", ["direct", "switched", "routed"])
def test_flush_and_rebinding_need_a_host_that_tracks(kind: Kind) -> None:
    """A connection that was not tracked cannot be forgotten."""
    where = layout(Topology(kind=kind))
    assert [problem.key for problem in FirewallFlush().misplaced(where)] == ["on"]
    assert [problem.key for problem in NatRebinding().misplaced(where)] == ["kind"]
    assert not list(NatRebinding().misplaced(NAT))
    assert not list(FirewallFlush().misplaced(NAT))
