"""A prediction for every phase holds whatever is predicted for one of them."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.errors import ScenarioError
from harness.fuzz.strategies import Drawn, scenarios
from harness.model.machine import MachineFacts
from harness.oracle import established
from harness.oracle.prediction import Outcome, Prediction
from harness.plan import planner
from harness.plan.plan import settings_of
from harness.scenario.schema import Scenario
from tests.running import EXHAUSTIVE
from tests.unit.rarity import Branch, Rare
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


EXAMPLES = 60
"""As many as it takes to draw the branches of what is drawn at all."""
HZS = (100, 250, 300, 1000) if EXHAUSTIVE else (100, 250, 300)
"""Other branches are taken at none of them.

At HZ=1000 there are four times as many phases as at HZ=250.
"""


def _prediction(scenario: Scenario, machine: MachineFacts) -> Prediction | None:
    """What the oracle says; None where it says nothing."""
    try:
        return planner.make(scenario, machine).prediction
    except ScenarioError:
        return None


class Example(NamedTuple):
    """What was drawn, with the prediction for one phase and the branches taken for that."""

    scenario: Scenario
    machine: MachineFacts
    exact: Prediction
    taken: frozenset[Branch]

    @property
    def phases(self) -> int:
        """How many there are: what the prediction for every phase takes grows with them."""
        settings = settings_of(self.scenario, self.scenario.expect.side)
        return established.phases(settings, self.machine.hz)


def _drawn() -> list[Example]:
    """Examples, those with the fewest phases first."""
    found: list[Example] = []
    rare = Rare()

    @sweep(EXAMPLES, exhaustively=2000)
    @given(drawn=scenarios(), hz=st.sampled_from(HZS))
    def draw(drawn: Drawn, hz: int) -> None:
        machine = MachineFacts(kernel="7.2", hz=hz, hz_source="test", cpus=1, clock="virtual")
        scenario = msgspec.structs.replace(drawn.scenario, name="drawn")
        with rare.following() as taken:
            exact = _prediction(scenario, machine)
        assume(exact is not None)
        assert exact is not None
        found.append(Example(scenario, machine, exact, frozenset(taken)))

    draw()
    return sorted(found, key=lambda example: example.phases)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_happens_in_one_phase_is_foreseen_for_all() -> None:
    """Data, keepalive, faults and both at once.

    The prediction for every phase may take a minute, so it is made for the examples whose branches
    are rare, and of those that take a branch for the one with the fewest phases.
    """
    rare = Rare()
    for example in _drawn():
        key = (msgspec.json.encode(example.scenario), example.machine.hz)
        if rare.is_rare(key, set(example.taken)):
            _check_every_phase(example)


def _check_every_phase(example: Example) -> None:
    scenario, exact = example.scenario, example.exact
    free = msgspec.structs.replace(scenario.expect, window="every-phase", phase_ns=0)
    every = _prediction(msgspec.structs.replace(scenario, expect=free), example.machine)
    if every is None:
        return
    for outcome in exact.outcomes:
        assert any(_holds(whole, outcome) for whole in every.outcomes), (
            scenario,
            outcome,
            every.outcomes,
        )
