"""Faults of quality: where they stand, what they mean, and what netem is told."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ScenarioError
from harness.faults import AnyFault, Blackhole, Delay, Duplicate, Loss, Rate, Reorder
from harness.faults.blackhole import Direction
from harness.lab import netem
from harness.lab.netem import Impairment
from harness.model.topology import SIDES, Side, Topology, layout
from harness.scenario.loader import checked
from harness.scenario.schema import Scenario

ROUTED = layout(Topology(kind="routed"))
ALL: tuple[AnyFault, ...] = (
    Loss(percent=1),
    Delay(delay_ms=1),
    Duplicate(percent=1),
    Reorder(percent=1, delay_ms=1),
    Rate(kbit_s=1),
)


@pytest.mark.parametrize("fault", ALL)
@pytest.mark.parametrize("side", SIDES)
def test_the_oracle_is_told_what_it_cannot_tell(fault: AnyFault, side: Side) -> None:
    """Either side's prediction is refused, in words."""
    (effect,) = fault.effects(ROUTED, side)
    assert effect.mechanism == "impaired"
    assert effect.unknown


@pytest.mark.parametrize("direction", ["both", "to-server", "to-client"])
@pytest.mark.parametrize("side", SIDES)
def test_all_lost_is_a_blackhole(direction: Direction, side: Side) -> None:
    """To the oracle."""
    lost, swallowed = (
        Loss(percent=100, direction=direction, at_s=2, for_s=3),
        Blackhole(direction=direction, at_s=2, for_s=3),
    )
    assert lost.effects(ROUTED, side) == swallowed.effects(ROUTED, side)


@pytest.mark.parametrize("fault", ALL)
def test_a_host_in_the_middle_is_needed(fault: AnyFault) -> None:
    """A scenario without one is refused, and the message says what would do."""
    scenario = Scenario(name="x", topology=Topology(kind="direct"), faults=(fault,))
    with pytest.raises(
        ScenarioError, match=r"faults\[0\]\.kind: expected a topology with a host in the middle"
    ):
        checked(scenario, "x")


def test_jitter_is_not_beyond_delay() -> None:
    """Nothing arrives before it is sent."""
    assert [p.key for p in Delay(delay_ms=2, jitter_ms=2.5).misplaced(ROUTED)] == ["jitter_ms"]
    assert not list(Delay(delay_ms=2, jitter_ms=2).misplaced(ROUTED))


def test_the_queue_toward_the_receiver_is_used() -> None:
    """So that no sender's own queue takes part."""
    assert Loss(percent=1).places(ROUTED) == (("router", "to-client"), ("router", "to-server"))
    assert Loss(percent=1, direction="to-server").places(ROUTED) == (("router", "to-server"),)


def test_options_on_the_wire() -> None:
    """struct tc_netem_qopt, then the attributes; shares of 2**32 - 1."""
    told = netem._options(
        Impairment(seed=7, loss=1, duplicate=0.5, ahead=0.25, delay_ns=10**10, octets_s=1000)
    )
    assert struct.unpack("@6I", told[:24]) == (0, 1000, 2**32 - 1, 1, 2**31, 0)
    attributes, at = {}, 24
    while at < len(told):
        length, kind = struct.unpack_from("@HH", told, at)
        attributes[kind] = told[at + 4 : at + length]
        at += length + -length % 4
    assert attributes == {
        10: struct.pack("@q", 10**10),
        11: bytes(8),
        14: struct.pack("@Q", netem.spread(7)),
        3: struct.pack("@II", 2**30, 0),
        6: struct.pack("@IiIi", 1000, 0, 0, 0),
    }


@given(st.lists(st.integers(0, 2**63 - 1), min_size=2, max_size=2, unique=True))
def test_seeds_stay_different(seeds: list[int]) -> None:
    """Spreading is one to one."""
    first, second = (netem.spread(seed) for seed in seeds)
    assert first != second
    assert 0 <= min(first, second) <= max(first, second) < 2**64


def test_a_small_seed_becomes_a_large_one() -> None:
    """As splitmix64 does, by its published first number from state 0."""
    assert netem.spread(0) == 0xE220A8397B1DCDAF
