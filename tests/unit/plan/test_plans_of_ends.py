"""Plans of runs in which both ends are judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import ScenarioError
from harness.faults import Blackhole
from harness.model.programs import Command, Detects
from harness.model.topology import SIDES
from harness.plan import plan_file
from harness.plan.planner import make
from harness.scenario.schema import EndExpect, Endpoint, Expect, Keepalive, Scenario
from tests.unit.timelines import ALIVE, MACHINE, SECOND, planned

LATER = Endpoint(keepalive=Keepalive(idle_s=300, interval_s=1, count=3))
COMMAND = Endpoint(command=Command(argv=("program",), detects=Detects(exits=True)))


def scenario(client: Endpoint = ALIVE, server: Endpoint = LATER, **claims: Any) -> Scenario:
    """A blackhole between two ends. `claims`: `of_client` and `of_server`."""
    tables = {side: claims.get(f"of_{side}", EndExpect()) for side in SIDES}
    return Scenario(
        name="both",
        client=client,
        server=server,
        faults=(Blackhole(at_s=0.5),),
        expect=Expect(**tables),
    )


def test_a_plan_holds_a_plan_for_each_end(tmp_path: Path) -> None:
    """With the prediction for that end; the run is watched for the longer one."""
    plan = make(scenario(), MACHINE)
    assert [end.side for end in plan.ends] == ["client", "server"]
    windows = [outcome.window_ns for end in plan.ends for outcome in end.expected]
    assert [window and window[0] // SECOND for window in windows] == [5, 303]
    assert plan.watch_ns == plan.ends[1].watch_ns > plan.ends[0].watch_ns
    assert plan.period_ns == plan.ends[1].period_ns
    plan_file.save(plan, tmp_path)
    assert plan_file.load(tmp_path) == plan
    alone = planned(Blackhole(at_s=0.5), server=LATER)
    assert (alone.judged, alone.side) == ((alone,), "client")
    assert plan.ends[0].expected == alone.expected


def test_notes_name_the_end_that_they_are_about() -> None:
    """Those that hold for both stand there once."""
    plan = make(scenario(of_client=EndExpect(window_s=(1.0, 2.0))), MACHINE)
    assert plan.contradicts
    (note,) = plan.notes
    assert note.startswith("client: the claim contradicts the oracle")
    noticed = EndExpect(outcome="noticed", window_s=(1.0, 2.0))
    plan = make(scenario(COMMAND, COMMAND, of_client=noticed, of_server=noticed), MACHINE)
    assert plan.notes == ("not predicted: a command detects a dead peer in its own way",)


def test_an_end_without_a_prediction_needs_a_claim_of_its_own() -> None:
    """The message names the table of that end."""
    noticed = EndExpect(outcome="noticed", window_s=(1.0, 2.0))
    with pytest.raises(ScenarioError, match=r"expect\.server\.outcome: expected an outcome by"):
        make(scenario(COMMAND, COMMAND, of_client=noticed), MACHINE)
    vague = EndExpect(outcome="noticed")
    with pytest.raises(ScenarioError, match=r"expect\.server\.window_s: expected a claim of your"):
        make(scenario(COMMAND, COMMAND, of_client=noticed, of_server=vague), MACHINE)
    reached = Scenario(name="quiet", client=ALIVE, expect=Expect(client=EndExpect()))
    assert make(reached, MACHINE).ends == ()


def test_what_is_taken_for_granted_is_a_note() -> None:
    """Once for each command, and only where nothing is claimed."""
    command = Endpoint(command=Command(argv=("it",)))
    plan = planned(Blackhole(at_s=0.5), client=command, server=command, outcome="any", bound_s=9.0)
    assumed = [note for note in plan.notes if "not stated" in note]
    assert [note.partition(" ")[2].partition(" ")[0] for note in assumed] == [
        "client",
        "client",
        "server",
        "server",
    ]
    never = planned(Blackhole(at_s=0.5), server=command, outcome="never", bound_s=9.0)
    assert not [note for note in never.notes if "not stated" in note]
