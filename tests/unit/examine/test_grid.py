"""The grid: every fault for two ends, under each load that they offer, and what is left out."""

from __future__ import annotations

import msgspec
import pytest

from harness.cli import examine_options
from harness.errors import UsageError
from harness.examine import faults, grid
from harness.model.programs import Command
from harness.model.topology import Topology
from harness.scenario.schema import Endpoint, Keepalive, Scenario
from tests.unit.examining import BASE


def test_each_fault_is_a_cell_that_claims_nothing() -> None:
    """The grid of two commands is whole, its names are different, and each scenario is sound."""
    found = grid.of(BASE)
    names = [cell.scenario.name for cell in found.cells]
    assert found.left_out == ()
    assert names == [fault.name for fault in faults.grid(BASE)]
    assert len(set(names)) == len(names)
    assert {cell.scenario.expect.outcome for cell in found.cells} == {"any"}


def test_a_struck_end_is_not_examined() -> None:
    """A frozen client says nothing of the client; a blackhole is examined at both ends."""
    found = {cell.fault.name: cell.examined for cell in grid.of(BASE).cells}
    assert found["client-frozen"] == ("server",)
    assert found["server-rebooted"] == ("client",)
    assert found["blackhole"] == ("client", "server")


def test_loads_are_those_that_the_words_offer() -> None:
    """One cell for each load where a command has {load}, in its arguments or its environment."""
    command = Command(argv=("./client",), env={"LOAD": "{load}"})
    base = msgspec.structs.replace(BASE, client=Endpoint(command=command))
    found = grid.of(base, ["blackhole"]).cells
    assert [cell.scenario.name for cell in found] == [
        "blackhole-idle",
        "blackhole-trickle",
        "blackhole-full",
    ]
    loads = [cell.scenario.client.command and cell.scenario.client.command.load for cell in found]
    assert loads == ["idle", "trickle", "full"]
    assert [cell.load for cell in grid.of(BASE, ["blackhole"]).cells] == [None]


@pytest.mark.parametrize(
    ("name", "bound_s", "watched_s"),
    [
        ("blackhole", None, 700.0),
        ("blackhole", 60.0, 60.0),
        ("client-frozen", None, 500.0),
        ("server-frozen", None, 700.0),
        ("outage", None, faults.OUTAGE_S + faults.AFTERWARDS_S),
        ("outage", 60.0, 60.0),
    ],
)
def test_how_long_ends_are_watched(name: str, bound_s: float | None, watched_s: float) -> None:
    """As long as the ends that are examined need, which counts from the fault; a fault that ends
    takes what it takes, and a bound that was asked for holds for all.
    """
    (cell,) = grid.of(BASE, [name], bound_s, {None: {"client": 700.0, "server": 500.0}}).cells
    assert cell.scenario.expect.bound_s == pytest.approx(faults.FAULT_AT_S + watched_s)


def test_built_in_ends_are_not_started_again() -> None:
    """A killed server that is a command is; what cannot be is examined without that."""
    (command,) = grid.of(BASE, ["server-killed"]).cells
    assert command.scenario.faults[0].for_s == faults.RESTARTED_AFTER_S
    assert command.fault.course == "ends"
    (built_in,) = grid.of(Scenario(client=BASE.client), ["server-killed"]).cells
    assert built_in.scenario.faults[0].for_s is None
    assert built_in.fault.course == "lasts"


def test_what_does_not_fit_is_left_out_with_the_reason() -> None:
    """Keepalive timers go on while a host is suspended, so that the lab refuses that."""
    base = Scenario(client=BASE.client, server=Endpoint(keepalive=Keepalive()))
    (left_out,) = grid.of(base).left_out
    assert left_out.fault == "server-suspended"
    assert "keepalive timers" in left_out.reason


def test_a_network_of_ones_own_stays() -> None:
    """A fault that needs no other network keeps the one that was given."""
    base = msgspec.structs.replace(BASE, topology=Topology(kind="nat", family="ipv6"))
    blackhole, drops, proxied = grid.of(base, ["blackhole", "firewall-drops", "proxied"]).cells
    assert blackhole.scenario.topology == base.topology
    assert drops.scenario.topology == Topology(kind="firewalls", family="ipv6")
    assert proxied.scenario.topology == Topology(kind="proxied", family="ipv6", proxy="relay")


def test_an_unknown_fault_names_the_known_ones() -> None:
    """A misspelled name suggests the nearest."""
    with pytest.raises(UsageError, match=r"expected one of: blackhole, .*did you mean outage"):
        grid.of(BASE, ["outrage"])


def test_the_help_lists_the_faults() -> None:
    """The names in the help text are those of the grid."""
    assert tuple(fault.name for fault in faults.grid(BASE)) == examine_options.FAULTS
