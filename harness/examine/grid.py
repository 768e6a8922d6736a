"""Two commands to the scenarios of an examination: each fault of the grid under each load. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import msgspec

from harness.errors import ScenarioError, UsageError
from harness.examine.bounds import LONGEST_S, Longest
from harness.examine.faults import FAULT_AT_S, GridFault, grid
from harness.model.programs import Command, Load
from harness.model.topology import SIDES, Side, other
from harness.scenario.loader import checked
from harness.scenario.schema import Endpoint, Expect, Scenario
from harness.system.spelling import did_you_mean

LOADS: tuple[Load, ...] = get_args(Load)


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One fault under one load, as a scenario. `load` is empty where the commands offer no choice.

    `examined`: the ends whose behaviour says something; the fault does not strike them themselves.
    """

    fault: GridFault
    load: Load | None
    scenario: Scenario

    @property
    def examined(self) -> tuple[Side, ...]:
        """The ends that the fault does not strike."""
        return tuple(side for side in SIDES if side != self.fault.struck)


class LeftOut(msgspec.Struct, frozen=True):
    """A fault that these programs cannot meet, with the reason."""

    fault: str
    reason: str


class Grid(msgspec.Struct, frozen=True):
    """What is examined, and what cannot be."""

    cells: tuple[Cell, ...]
    left_out: tuple[LeftOut, ...]


def of(
    base: Scenario,
    names: Sequence[str] = (),
    bound_s: float | None = None,
    longest: Longest | None = None,
) -> Grid:
    """The cells for the programs and the network of `base`.

    `names`: of faults; all of them where there are none. `bound_s`: how long to watch after each
    fault; where it is not given, `longest` says how long each end must be watched. Raises
    UsageError for an unknown name and where nothing is left to examine.
    """
    cells, left_out = [], []
    for fault in _chosen(grid(base), names):
        for load in loads_of(base):
            try:
                cells.append(_cell(base, fault, load, _watched_s(fault, load, bound_s, longest)))
            except ScenarioError as error:
                left_out.append(LeftOut(fault.name, f"{error.key}: expected {error.expected}"))
                break
    if not cells:
        reasons = "; ".join(f"{each.fault}: {each.reason}" for each in left_out)
        raise UsageError(f"expected a fault that these programs can meet, found none ({reasons})")
    return Grid(tuple(cells), tuple(left_out))


def loads_of(base: Scenario) -> tuple[Load | None, ...]:
    """The loads that the commands offer, by the placeholder {load}; None for the only one."""
    commands = [command for _, _, command in base.commands]
    return LOADS if any(_offers_loads(command) for command in commands) else (None,)


def _offers_loads(command: Command) -> bool:
    return any("{load}" in word for word in (*command.argv, *command.env.values()))


def _chosen(faults: Sequence[GridFault], names: Sequence[str]) -> list[GridFault]:
    known = {fault.name: fault for fault in faults}
    for name in names:
        if name not in known:
            expected = f"expected one of: {', '.join(known)}"
            raise UsageError(f"--faults: {expected}{did_you_mean(name, list(known))}, found {name}")
    return [fault for fault in faults if not names or fault.name in names]


def _watched_s(
    fault: GridFault, load: Load | None, bound_s: float | None, longest: Longest | None
) -> float:
    if fault.after_s is not None:
        return min(fault.after_s, bound_s or LONGEST_S)
    if bound_s is not None:
        return bound_s
    if longest is None:
        return LONGEST_S
    return max(seconds for side, seconds in longest[load].items() if side != fault.struck)


def _cell(base: Scenario, fault: GridFault, load: Load | None, watched_s: float) -> Cell:
    """Raises ScenarioError where the fault does not fit the programs or the network."""
    name = fault.name if load is None else f"{fault.name}-{load}"
    side: Side = "client" if fault.struck is None else other(fault.struck)
    scenario = Scenario(
        name=name,
        summary=fault.words,
        topology=fault.placed(base.topology),
        client=_loaded(base.client, load),
        server=_loaded(base.server, load),
        proxy=base.proxy,
        standby=base.standby,
        faults=fault.faults,
        expect=Expect(outcome="any", side=side, origin="fault", bound_s=FAULT_AT_S + watched_s),
    )
    return Cell(fault=fault, load=load, scenario=checked(scenario, f"fault {fault.name}"))


def _loaded(end: Endpoint, load: Load | None) -> Endpoint:
    if end.command is None or load is None:
        return end
    return msgspec.structs.replace(end, command=msgspec.structs.replace(end.command, load=load))
