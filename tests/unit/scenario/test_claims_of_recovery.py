"""What a scenario may claim about data that passes again."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import ScenarioError
from harness.faults import Blackhole, RstInjected
from harness.model.programs import Command, Detects, Simple
from harness.plan.plan import GRACE_NS, Plan
from harness.plan.planner import make
from harness.scenario.schema import EndExpect, Endpoint, Expect, Scenario
from tests.unit.timelines import MACHINE, SECOND

OUTAGE = Blackhole(at_s=10, for_s=20)
LATER = RstInjected(toward="client", at_s=50)
COMMAND = Endpoint(command=Command(argv=("program",), detects=Detects(prints="lost")))


def plan(*faults: Any, client: Endpoint = COMMAND, **expect: Any) -> Plan:
    """Of a client of which it is claimed that data passes again within 8 s."""
    claim = Expect(**{"recovers_s": (0.0, 8.0), **expect})
    heartbeat = Endpoint(heartbeat=client.heartbeat) if client.heartbeat else Endpoint()
    scenario = Scenario(
        name="again", client=client, server=heartbeat, faults=faults or (OUTAGE,), expect=claim
    )
    return make(scenario, MACHINE)


@pytest.mark.parametrize(
    ("faults", "client", "expect", "message"),
    [
        ((Blackhole(at_s=1),), COMMAND, {}, "expected no such key where no fault ends"),
        ((), COMMAND, {"recovers_s": (2.0, 1.0)}, r"expected \[earliest, latest\], in that order"),
        ((), COMMAND, {"outcome": "any", "bound_s": 50.0}, "expected none with outcome 'any'"),
        (
            (),
            Endpoint(writes_at_s=(5.0,)),
            {"outcome": "survives", "bound_s": 50.0},
            "client.writes_at_s: expected a time after 30 s, when the last fault is removed",
        ),
        (
            (),
            Endpoint(keepalive=True, writes_at_s=(40.0,)),
            {"outcome": "detected"},
            "expect.recovers_s: expected no such key with outcome 'detected': the built-in program",
        ),
    ],
)
def test_a_claim_that_no_run_can_show_is_refused(
    faults: tuple[Any, ...], client: Endpoint, expect: dict[str, Any], message: str
) -> None:
    """With what to do about it."""
    with pytest.raises(ScenarioError, match=message):
        plan(*faults, client=client, **expect)


def test_it_may_be_the_whole_claim_about_a_command() -> None:
    """Which need not show a detection then."""
    silent = Endpoint(command=Command(argv=("program",)))
    made = plan(client=silent)
    assert made.claims_recovery_alone
    assert made.recovers_until_ns == made.watch_ns == 38 * SECOND + GRACE_NS
    assert not plan(outcome="noticed").claims_recovery_alone
    both = make(
        Scenario(
            name="both",
            client=silent,
            server=silent,
            faults=(OUTAGE,),
            expect=Expect(
                client=EndExpect(recovers_s=(0.0, 8.0)), server=EndExpect(recovers_s=(0.0, 9.0))
            ),
        ),
        MACHINE,
    )
    assert both.recovers_until_ns == 39 * SECOND + GRACE_NS


def test_it_is_awaited_after_every_fault() -> None:
    """A later one may be what makes data pass; other claims may take longer."""
    assert plan(OUTAGE, LATER).recovers_until_ns == 58 * SECOND + GRACE_NS
    assert plan(outcome="never", bound_s=100.0).watch_ns == 100 * SECOND
    assert plan(recovers_s=None, outcome="never", bound_s=100.0).recovers_until_ns == 0


def test_programs_with_heartbeats_send_data_by_themselves() -> None:
    """So no write is asked for, and the oracle predicts the rest."""
    made = plan(client=Endpoint(heartbeat=Simple()), outcome="survives", bound_s=100.0)
    assert made.prediction is not None
    assert not made.claims_recovery_alone
