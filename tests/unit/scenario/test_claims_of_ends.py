"""What a scenario may claim about each end, in [expect.client] and [expect.server]."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import ScenarioError
from harness.faults import Blackhole, PeerReboot, ProcessKill
from harness.model.programs import Command, Detects, Ready
from harness.scenario.loader import checked, from_mapping
from harness.scenario.schema import EndExpect, Endpoint, Expect, Scenario
from harness.scenario.toml_writer import as_toml

DEAD: dict[str, Any] = {"outcome": "detected", "errno": "ETIMEDOUT"}
HOLE = {"kind": "blackhole", "at_s": 1}


def _of(**expect: Any) -> Scenario:
    return from_mapping({"name": "both", "faults": [HOLE], "expect": expect}, "file")


def test_both_ends_are_judged() -> None:
    """Each by its own table; what concerns the run holds for both."""
    scenario = _of(
        client=DEAD,
        server={"outcome": "never"},
        bound_s=9,
        window="exact",
        phase_ns=7,
        source="tcp(7)",
    )
    assert scenario.judged == ("client", "server")
    client, server = (scenario.seen_by(side).expect for side in ("client", "server"))
    assert client == Expect(**DEAD, window="exact", phase_ns=7, source="tcp(7)", side="client")
    assert server == Expect(
        outcome="never", bound_s=9, window="exact", phase_ns=7, source="tcp(7)", side="server"
    )
    assert checked(scenario) == scenario
    assert "[expect.server]" in as_toml(scenario)


def test_a_table_of_one_end_says_which_end_is_judged() -> None:
    """As [expect] with `side` does."""
    scenario = _of(server=DEAD, bound_s=None)
    assert scenario.expect == Expect(side="server", **DEAD)
    assert scenario.judged == ("server",)


def test_where_nothing_is_claimed_both_ends_are_watched() -> None:
    """But only the client's connect(2) is."""
    scenario = _of(outcome="any", bound_s=5)
    assert scenario.judged == ("client", "server")
    assert scenario.seen_by("server").expect == Expect(outcome="any", bound_s=5, side="server")
    connecting = Scenario(state="connecting", expect=Expect(outcome="any", bound_s=5))
    assert checked(connecting).judged == ("client",)


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        (
            {"client": {}, "server": {}, "errno": "EPIPE"},
            r"expect.errno: expected no such key beside \[expect.client\] and \[expect.server\]: m",
        ),
        (
            {"server": {}, "side": "server"},
            r"expect.side: expected no such key beside \[expect.server\]: the table says which",
        ),
        ({"client": {}, "outcome": "any", "bound_s": 1}, r"expect.outcome: expected no such key"),
        (
            {"client": DEAD, "server": DEAD, "bound_s": 9},
            r"expect.bound_s: expected window_s in \[expect.client\] and \[expect.server\], none",
        ),
        ({"client": {"outcome": "any"}}, r"expect.client.outcome: expected another outcome"),
        (
            {"client": {}, "server": {"window_s": [2, 1]}},
            r"expect.server.window_s: expected \[earliest, latest\], in that order, found",
        ),
        (
            {"client": {}, "server": {"errno": "EGAL"}},
            "expect.server.errno: expected an errno's name",
        ),
        ({"client": {"windows_s": 1}}, "expect.client.windows_s: expected another key"),
        ({"outcome": "any"}, r"expect.bound_s: expected how long to watch, .*found nothing"),
        (
            {"outcome": "any", "bound_s": 5, "window_s": [1, 2]},
            "expect.window_s: expected bound_s with outcome 'any'",
        ),
        (
            {"outcome": "any", "bound_s": 5, "errno": "EPIPE"},
            "expect.errno: expected no errno with outcome 'any'",
        ),
        (
            {"outcome": "any", "bound_s": 5, "reconnects_s": [1, 2]},
            "expect.reconnects_s: expected none with outcome 'any'",
        ),
    ],
)
def test_what_contradicts_is_refused(expect: dict[str, Any], message: str) -> None:
    """With one message, that names the key as the file has it."""
    with pytest.raises(ScenarioError, match=message):
        _of(**expect)


def test_a_connection_that_is_being_made_has_one_end() -> None:
    """The server has none yet."""
    expect = Expect(client=EndExpect(), server=EndExpect())
    raw = {"state": "connecting", "expect": {"client": {}, "server": {}}}
    with pytest.raises(
        ScenarioError, match=r"expect.server: expected no such table .*, found a table"
    ):
        from_mapping(raw)
    assert expect.of_ends.keys() == {"client", "server"}


@pytest.mark.parametrize("fault", [ProcessKill(on="server", at_s=1), PeerReboot(at_s=1)])
def test_a_fault_of_a_judged_program_is_refused(fault: Any) -> None:
    """Unless nothing is claimed: a program that is killed detects nothing."""
    claim = Expect(client=EndExpect(), server=EndExpect())
    with pytest.raises(ScenarioError, match=r"faults\[0\].on: expected the other side"):
        checked(Scenario(faults=(fault,), expect=claim))
    checked(Scenario(faults=(fault,), expect=Expect(outcome="any", bound_s=5)))


def test_commands_say_how_they_show_it_where_they_are_judged() -> None:
    """Both of them, or neither where nothing is claimed."""
    silent = Endpoint(command=Command(argv=("program",), ready=Ready(listens=True)))
    shows = Endpoint(command=Command(argv=("program",), detects=Detects(exits=True)))
    noticed: Any = {"outcome": "noticed", "window_s": (1.0, 2.0)}
    raw = {"client": noticed, "server": noticed}
    claim = _of(**raw).expect
    both = Scenario(client=shows, server=shows, faults=(Blackhole(at_s=1),), expect=claim)
    assert checked(both).judged == ("client", "server")
    with pytest.raises(ScenarioError, match=r"server.command.detects: expected how the command"):
        checked(Scenario(client=shows, server=silent, faults=both.faults, expect=claim))
    watched = Expect(outcome="any", bound_s=5)
    checked(Scenario(client=silent, server=silent, faults=both.faults, expect=watched))
