"""What can be claimed of a command, and what cannot: signs of life, and a connection that is being
made.
"""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import ScenarioError
from harness.faults import Blackhole
from harness.model.programs import Alive, Command, Detects, Ready
from harness.scenario.loader import checked
from harness.scenario.schema import Endpoint, Expect, Scenario

LOST, PONG = Detects(prints="lost"), Alive(prints="pong")


def scenario(
    side: str = "client", *, state: str = "established", outcome: str = "never", **command: Any
) -> Scenario:
    """A command at that side, with a claim of the client."""
    end = Endpoint(command=Command(argv=("it",), **{"detects": LOST, **command}))
    window_s = (1.0, 2.0) if outcome == "noticed" else None
    expect = Expect(outcome=outcome, window_s=window_s)  # type: ignore[arg-type]
    faults = (Blackhole(at_s=0.0),)
    return Scenario(name="by/hand", state=state, faults=faults, expect=expect, **{side: end})  # type: ignore[arg-type]


def complaint(wrong: Scenario) -> str:
    """What is said of it."""
    with pytest.raises(ScenarioError) as caught:
        checked(wrong)
    return str(caught.value)


def test_survival_needs_a_sign_of_life() -> None:
    """The message says which key, and what it looks like."""
    assert "client.command.alive" in complaint(scenario(outcome="survives"))
    assert 'alive = { prints = "pattern", within_s = 60 }' in complaint(
        scenario(outcome="survives", detects=Detects())
    )
    checked(scenario(outcome="survives", alive=PONG))


def test_a_sign_of_life_will_do_for_what_is_never_noticed() -> None:
    """A command that cannot show a detection may survive or detect nothing, but not detect."""
    for outcome in ("survives", "never"):
        checked(scenario(outcome=outcome, alive=PONG, detects=Detects()))
    assert "client.command.detects" in complaint(
        scenario(outcome="noticed", alive=PONG, detects=Detects())
    )
    assert "client.command.detects" in complaint(scenario(detects=Detects()))


def test_only_the_judged_side_shows_life() -> None:
    """The key would be without effect on the other one."""
    assert "server.command.alive" in complaint(scenario("server", alive=PONG))


def test_patterns_are_regular_expressions() -> None:
    """With the key of the one that is wrong."""
    assert "client.command.alive.prints" in complaint(scenario(alive=Alive(prints="(")))


def test_a_command_may_be_observed_while_it_connects() -> None:
    """And the server may be one as well."""
    for outcome in ("noticed", "never"):
        checked(scenario(state="connecting", outcome=outcome))
    checked(
        scenario("server", state="connecting", outcome="as-predicted", ready=Ready(listens=True))
    )


@pytest.mark.parametrize(
    ("command", "key"),
    [
        ({"ready": Ready(prints="connected")}, "client.command.ready.prints"),
        ({"ready": Ready(listens=True)}, "client.command.ready.listens"),
        ({"connection": 2}, "client.command.connection"),
    ],
)
def test_what_a_client_that_connects_is_not_asked_for(command: dict[str, Any], key: str) -> None:
    """Times count from its first SYN, whatever it prints."""
    found = complaint(scenario(state="connecting", **command))
    assert key in found
    assert "where times count from the first SYN" in found
