"""A prediction for every phase holds whatever is predicted for one of them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings

from harness import plan
from harness.drawing import Drawn, scenarios
from harness.errors import ScenarioError
from harness.loader import checked
from harness.model.machine import MachineFacts
from harness.oracle.prediction import Outcome
from tests.unit.strategies import PATIENT


def _holds(outcome: Outcome, exact: Outcome) -> bool:
    """Whether an outcome of every phase allows for what one phase leads to."""
    if (outcome.kind, outcome.errno, outcome.rst) != (exact.kind, exact.errno, exact.rst):
        return False
    if not outcome.probes_seen[0] <= exact.probes_seen[0] <= exact.probes_seen[1] <= outcome.probes_seen[1]:
        return False
    if outcome.window_ns is None or exact.window_ns is None:
        return outcome.window_ns is exact.window_ns
    return outcome.window_ns[0] <= exact.window_ns[0] and exact.window_ns[1] <= outcome.window_ns[1]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("hz", [250, 300, 1000])
@given(drawn=scenarios())
# Two in three drawn scenarios are predicted, but which come first is chance, and the health check looks at the first.
@hypothesis_settings(PATIENT, max_examples=25, suppress_health_check=[HealthCheck.filter_too_much])
def test_what_happens_in_one_phase_is_foreseen_for_all(hz: int, drawn: Drawn) -> None:
    """Data, keepalive, faults and both at once."""
    machine = MachineFacts(kernel="7.2", hz=hz, hz_source="test", cpus=1, clock="virtual")
    try:
        sound = checked(msgspec.structs.replace(drawn.scenario, name="drawn"), "drawn")
        exact = plan.make(sound, machine).prediction
        free = msgspec.structs.replace(sound.expect, window="every-phase")
        every = plan.make(msgspec.structs.replace(sound, expect=free), machine).prediction
    except ScenarioError:
        assume(False)  # noqa: FBT003 - Hypothesis asks for it by position
        raise
    assume(exact is not None and every is not None)
    assert exact is not None
    assert every is not None
    for outcome in exact.outcomes:
        assert any(_holds(whole, outcome) for whole in every.outcomes), (outcome, every.outcomes)
