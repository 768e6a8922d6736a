"""Baselines: what `harness examine` measured of two programs, as a file that later versions are
held to.

A baseline is TOML, named `*.baseline.toml`. It says once how both ends are started, and for each
cell the fault and what each end did. `harness run` and pytest take each cell for a scenario that
claims just that; `harness examine --against` runs the cells again and says what changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from harness.errors import ScenarioError
from harness.model import durations
from harness.model.programs import Load
from harness.model.topology import SIDES, Side
from harness.model.values import Duration, Seconds
from harness.scenario.loader import explanation, from_mapping, placed, shown
from harness.scenario.schema import Scenario
from harness.scenario.toml_file import read_tables

SUFFIX = ".baseline.toml"
FORMAT = 1
SHARED = frozenset({"topology", "client", "server", "proxy", "standby"})
"""What a baseline says once of its scenarios; all else is each cell's."""

EndFinding = Literal["detected", "never", "false-alarm", "unaffected", "struck"]


class MeasuredEnd(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one end did."""

    finding: EndFinding
    """`detected`, `never` (within `bound_s`), `false-alarm`, `unaffected` (nothing was to be
    detected), `struck` (the fault acted on this end itself: nothing is claimed of it).
    """
    how: str = ""
    """The first sign: exit, output, close, reconnect, error, end-of-file, heartbeat."""
    found: str = ""
    """The sign in words: the line that was printed, "status 1"."""
    status: int | None = None
    """The exit status, where the sign is the program's end."""
    window_s: tuple[Seconds, Seconds] | None = None
    """[earliest, latest] detection, in seconds after the fault."""
    by: str = ""
    """What decided: keepalive, user-timeout, retransmissions, rst, fin, own-timer, nothing."""
    error: str = ""
    """The name of the errno that was seen."""
    recovers: Literal["", "same", "new"] = ""
    """On which connection the end worked again; "" where it did not."""
    recovers_s: tuple[Seconds, Seconds] | None = None
    """[earliest, latest] moment of that, in seconds after the end of the fault."""
    left_open: int = 0
    """Sockets of the end that were left at the end of the watch, without listening ones."""


class BaselineCell(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault under one load, with what each end did."""

    name: str
    """The cell's name, which is that of its scenario."""
    fault: str
    """The fault's name in the grid of `harness examine`."""
    title: str
    """The fault as a noun."""
    words: str
    """What happens, as a sentence."""
    course: Literal["lasts", "ends", "harmless"]
    """Whether the peer is gone for good, comes back, or is there all the time."""
    load: Load | None = None
    """The load that the commands are told to keep up; left out where they offer no choice."""
    topology: dict[str, Any] = {}
    """The network, where this fault needs another one."""
    faults: Annotated[tuple[dict[str, Any], ...], msgspec.Meta(min_length=1)]
    """What goes wrong, as in a scenario."""
    bound_s: Duration
    """How long the ends are watched, in seconds after arming."""
    client: MeasuredEnd
    server: MeasuredEnd
    proven: bool = True
    """False: the fault met no packet, so that a run of this cell proves nothing. `harness run` and
    pytest leave it out, and say so.
    """

    def end(self, side: Side) -> MeasuredEnd:
        """What one end did."""
        return self.client if side == "client" else self.server


class Baseline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two programs, and what they did under each fault.

    `name` and `folder` come from the path of the file.
    """

    format: Literal[1]
    """Of this file."""
    clock: Literal["virtual", "real"] = "virtual"
    """The clock of the times."""
    kernel: str = ""
    """The kernel that they were measured on."""
    hz: int = 0
    """Its timer frequency."""
    scenario: dict[str, Any]
    """What is the same in all cells, as in a scenario: topology, client, server, proxy, standby."""
    cells: Annotated[tuple[BaselineCell, ...], msgspec.Meta(min_length=1)]
    """Each fault under each load."""
    folder: str = ""
    name: str = ""


def load(path: Path) -> Baseline:
    """Read a baseline. Raises ScenarioError."""
    source = shown(path)
    raw = read_tables(path, source)
    try:
        found = msgspec.convert(durations.in_seconds(raw), Baseline)
    except msgspec.ValidationError as error:
        raise explanation(raw, Baseline, source, str(error)) from error
    names = [cell.name for cell in found.cells]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ScenarioError(source, f"cells[{index}].name", name, "each name once")
    for key in found.scenario.keys() - SHARED:
        raise ScenarioError(
            source, f"scenario.{key}", found.scenario[key], f"one of {', '.join(sorted(SHARED))}"
        )
    return msgspec.structs.replace(
        found, folder=str(path.resolve().parent), name=path.name.removesuffix(SUFFIX)
    )


def watching(baseline: Baseline, cell: BaselineCell) -> Scenario:
    """The scenario that describes both ends again, and claims nothing. Raises ScenarioError."""
    raw = _shared(baseline, cell)
    struck = next((side for side in SIDES if cell.end(side).finding == "struck"), None)
    raw["expect"] = {
        "outcome": "any",
        "side": "server" if struck == "client" else "client",
        "origin": "fault",
        "bound_s": cell.bound_s,
    }
    return placed(from_mapping(raw, f"cell {cell.name}"), Path(baseline.folder))


def claims(baseline: Baseline) -> Iterator[Scenario]:
    """Each cell that can be proven, as a scenario that claims what was measured.

    Their names begin with the baseline's. Raises ScenarioError.
    """
    for cell in baseline.cells:
        raw = _claimed(baseline, cell)
        if raw is not None:
            raw["name"] = f"{baseline.name}/{cell.name}"
            yield placed(from_mapping(raw, f"cell {cell.name}"), Path(baseline.folder))


def unclaimed(baseline: Baseline) -> dict[str, str]:
    """The cells that `claims` leaves out, by name, each with the reason."""
    return {
        cell.name: "its faults give a false alarm or strike the end themselves"
        if cell.proven
        else "its fault met no packet when it was measured, so that a run proves nothing"
        for cell in baseline.cells
        if _claimed(baseline, cell) is None
    }


def _shared(baseline: Baseline, cell: BaselineCell) -> dict[str, Any]:
    """A cell as a scenario without `expect`. A copy, all the way down."""
    raw: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(baseline.scenario))
    raw |= {"name": cell.name, "summary": cell.words, "faults": list(cell.faults)}
    if cell.topology:
        raw["topology"] = cell.topology
    for key in SIDES:
        if cell.load is not None and "command" in raw.get(key, {}):
            raw[key]["command"]["load"] = cell.load
    return raw


def _claimed(baseline: Baseline, cell: BaselineCell) -> dict[str, Any] | None:
    """None where nothing of the cell can be claimed."""
    if not cell.proven:
        return None
    raw = _shared(baseline, cell)
    expected: dict[str, Any] = {}
    for side in SIDES:
        claim = _claim(raw.get(side, {}), cell, cell.end(side))
        if claim is not None:
            expected[side] = claim
    if not expected:
        return None
    raw["expect"] = expected
    return raw


def _claim(table: dict[str, Any], cell: BaselineCell, end: MeasuredEnd) -> dict[str, Any] | None:
    """What is claimed of one end; its command is told which sign to look for."""
    if end.finding in ("struck", "false-alarm"):
        return None
    claim: dict[str, Any] = {"bound_s": cell.bound_s, "origin": "fault"}
    command = table.get("command")
    if end.finding in ("never", "unaffected"):
        if command is not None:
            command["detects"] = {"exits": True, "closes": True, "reconnects": True}
        return claim | {"outcome": "never"}
    claim["window_s"] = None if end.window_s is None else list(end.window_s)
    if command is None:
        if end.how == "error":
            return claim | {"outcome": "detected", "errno": end.found}
        return claim | {"outcome": "eof" if end.how == "end-of-file" else "noticed"}
    command["detects"] = _detects(end)
    return claim | {"outcome": "noticed"}


def _detects(end: MeasuredEnd) -> dict[str, Any]:
    if end.how == "output":
        return {"prints": f"^{line_pattern(end.found)}"}
    if end.how == "exit":
        return {"exits": True} | ({} if end.status is None else {"status": end.status})
    return {"reconnects": True} if end.how == "reconnect" else {"closes": True}


def line_pattern(line: str) -> str:
    """A regular expression for lines that differ from this one in their digits alone."""
    return r"\d+".join(re.escape(part) for part in re.split(r"\d+", line.strip()))
