"""A prediction for every phase holds whatever is predicted for one of them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.errors import ScenarioError
from harness.fuzz.strategies import Drawn, scenarios
from harness.model.machine import MachineFacts
from harness.oracle.prediction import Outcome, Prediction
from harness.plan import planner
from harness.scenario.schema import Scenario
from tests.running import EXHAUSTIVE
from tests.unit.rarity import Rare
from tests.unit.strategies import sweep


def _holds(outcome: Outcome, exact: Outcome) -> bool:
    """Whether an outcome of every phase allows for what one phase leads to."""
    if (outcome.kind, outcome.errno, outcome.rst) != (exact.kind, exact.errno, exact.rst):
        return False
    if (
        not outcome.probes_seen[0]
        <= exact.probes_seen[0]
        <= exact.probes_seen[1]
        <= outcome.probes_seen[1]
    ):
        return False
    if outcome.window_ns is None or exact.window_ns is None:
        return outcome.window_ns is exact.window_ns
    return outcome.window_ns[0] <= exact.window_ns[0] and exact.window_ns[1] <= outcome.window_ns[1]


RARE = Rare()
"""Of this process: what it has seen."""
EXAMPLES = 60
"""As many as it takes to draw the branches of what is drawn at all."""
HZS = (100, 250, 300, 1000) if EXHAUSTIVE else (100, 250, 300)
"""Other branches are taken at none of them.

At HZ=1000 there are four times as many phases as at HZ=250.
"""


def _prediction(scenario: Scenario, machine: MachineFacts) -> Prediction:
    """What the oracle says; an example about which it says nothing is passed over."""
    try:
        made = planner.make(scenario, machine)
    except ScenarioError:
        assume(False)  # noqa: FBT003 - Hypothesis asks for it by position
        raise
    assume(made.prediction is not None)
    assert made.prediction is not None
    return made.prediction


@pytest.mark.slow
@pytest.mark.timeout(900)
@sweep(EXAMPLES, exhaustively=2000)
@given(drawn=scenarios(), hz=st.sampled_from(HZS))
def test_what_happens_in_one_phase_is_foreseen_for_all(drawn: Drawn, hz: int) -> None:
    """Data, keepalive, faults and both at once.

    The prediction for every phase may take seconds, so it is made for the examples whose branches
    are rare.
    """
    machine = MachineFacts(kernel="7.2", hz=hz, hz_source="test", cpus=1, clock="virtual")
    scenario = msgspec.structs.replace(drawn.scenario, name="drawn")
    with RARE.following() as taken:
        exact = _prediction(scenario, machine)
    if not RARE.is_rare((msgspec.json.encode(scenario), hz), taken):
        return
    free = msgspec.structs.replace(scenario.expect, window="every-phase", phase_ns=0)
    every = _prediction(msgspec.structs.replace(scenario, expect=free), machine)
    for outcome in exact.outcomes:
        assert any(_holds(whole, outcome) for whole in every.outcomes), (outcome, every.outcomes)
