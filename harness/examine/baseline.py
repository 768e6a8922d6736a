"""An examination to a baseline file, and a baseline's cells to those of an examination. Pure."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import msgspec

from harness.examine.attribution import REACTION_NS
from harness.examine.faults import GridFault
from harness.examine.findings import CellReport, EndReport, Examination
from harness.examine.grid import Cell
from harness.model.topology import SIDES, Side
from harness.scenario import baselines, guesses
from harness.scenario.baselines import Baseline, BaselineCell, MeasuredEnd
from harness.scenario.schema import Scenario
from harness.scenario.toml_writer import table_of

MARGIN_S = 0.1
"""Where no timer of the kernel decides: so much earlier or later is the same.

select, poll and epoll may wake up so late (fs/select.c). Where one does, the oracle's exact window
for it counts.
"""
REAL_TIME_S = 0.1
"""In real time: so much more, for a busy machine."""
CLOSED = frozenset({"LISTEN", "TIME_WAIT"})
"""States of sockets that nothing is left open by."""

_HEADER = """\
# What `harness examine` measured, on {clock} time, Linux {kernel}, HZ={hz}.
#
#   harness examine --against FILE          run all cells again, and say what changed
#   harness run FILE, or pytest FILE        hold a later version to these claims
#
# Times of the ends are seconds after the fault. Where a timer of the kernel decides, window_s is
# the window that the oracle predicts for it; elsewhere it is what was measured, {margin:g} s more
# and less.

"""


def as_toml(base: Scenario, cells: dict[str, Cell], report: Examination, path: Path) -> str:
    """The text of a baseline at this path. `cells` by name.

    Folders of commands are told from that of the file. Cells that could not be examined are left
    out.
    """
    import tomli_w

    told = _with_readiness(base)
    shared: dict[str, Any] = {
        key: value
        for key in ("topology", "client", "server", "proxy", "standby")
        if (part := getattr(told, key)) is not None and (value := table_of(part))
    }
    _place(shared, path.resolve().parent)
    document = {
        "format": baselines.FORMAT,
        "clock": report.clock,
        "kernel": report.kernel,
        "hz": report.hz,
        "scenario": shared,
        "cells": [
            _cell(base, cells[each.name], each, report) for each in report.cells if not each.trouble
        ],
    }
    header = _HEADER.format(
        clock=report.clock, kernel=report.kernel, hz=report.hz, margin=margin_s(report.clock)
    )
    return header + tomli_w.dumps(document)


def _with_readiness(base: Scenario) -> Scenario:
    """The same programs, with what was taken for granted of their readiness written out: times
    count from there in claims as well.
    """
    for side in SIDES:
        end = base.endpoint(side)
        if end.command is not None:
            ready = guesses.ready(end.command, side)
            command = msgspec.structs.replace(end.command, ready=ready)
            end = msgspec.structs.replace(end, command=command)
            base = msgspec.structs.replace(base, **{side: end})
    return base


def _place(shared: dict[str, Any], folder: Path) -> None:
    """Tell the working directories of commands by the folder of the file."""
    for table in shared.values():
        command = table.get("command", {})
        given = command.get("folder", "")
        if Path(given).is_absolute():
            near = os.path.relpath(given, folder)
            command["folder"] = "{scenario}" if near == "." else f"{{scenario}}/{near}"


def margin_s(clock: str) -> float:
    """How much a time may differ from the one that was measured and still be the same."""
    return MARGIN_S if clock == "virtual" else MARGIN_S + REAL_TIME_S


def _cell(base: Scenario, cell: Cell, found: CellReport, report: Examination) -> dict[str, Any]:
    scenario = cell.scenario
    topology = {} if scenario.topology == base.topology else table_of(scenario.topology)
    written: dict[str, Any] = {
        "name": found.name,
        "fault": found.fault,
        "title": found.title,
        "words": found.words,
        "course": found.course,
        "load": found.load,
        "topology": topology,
        "faults": [table_of(fault) for fault in scenario.faults],
        "bound_s": scenario.expect.bound_s,
        **{side: _end(found.end(side), report.clock) for side in SIDES},
        "proven": not found.notes,
    }
    return {key: value for key, value in written.items() if value not in ("", {}, True)}


def _end(found: EndReport, clock: str) -> dict[str, Any]:
    end = measured(found, clock)
    default = MeasuredEnd(finding=end.finding)
    table: dict[str, Any] = {"finding": end.finding}
    for key in MeasuredEnd.__struct_fields__[1:]:
        value = getattr(end, key)
        if value != getattr(default, key):
            table[key] = list(value) if isinstance(value, tuple) else value
    return table


def measured(found: EndReport, clock: str) -> MeasuredEnd:
    """What an end did, as a baseline has it. The end must have been examined."""
    assert found.finding != "unknown"
    sign, recovered = found.sign, found.recovery
    return MeasuredEnd(
        finding=found.finding,
        how="" if sign is None else sign.how,
        found="" if sign is None else sign.found,
        status=found.ended if sign is not None and sign.how == "exit" else None,
        window_s=_window_s(found, clock),
        by="" if found.attribution is None else found.attribution.by,
        error=found.error or "",
        recovers="" if recovered is None else recovered.connection,
        recovers_s=None if recovered is None else _around(recovered.after_s, clock),
        left_open=open_sockets(found),
    )


def open_sockets(found: EndReport) -> int:
    """How many sockets were left open, without those that listen or wait for late packets."""
    return 0 if found.left is None else sum(s.state not in CLOSED for s in found.left.sockets)


def _window_s(found: EndReport, clock: str) -> tuple[float, float] | None:
    if found.sign is None or found.sign.at_s < 0:
        return None
    exact = None if found.attribution is None else found.attribution.window_s
    if exact is None:
        earliest, latest = _around(found.sign.at_s, clock)
        return _rounded(earliest - found.sign.late_s, latest)
    later_s = REACTION_NS / 1e9 + (margin_s(clock) - MARGIN_S)
    return _rounded(exact[0], exact[1] + later_s)


def _around(at_s: float, clock: str) -> tuple[float, float]:
    margin = margin_s(clock)
    return _rounded(at_s - margin, at_s + margin)


def _rounded(earliest_s: float, latest_s: float) -> tuple[float, float]:
    """To whole milliseconds, outward."""
    return max(0.0, math.floor(earliest_s * 1000) / 1000), math.ceil(latest_s * 1000) / 1000


def cells_of(baseline: Baseline) -> tuple[Cell, ...]:
    """The cells of a baseline, to be described again. Raises ScenarioError."""
    return tuple(_again(baseline, cell) for cell in baseline.cells)


def _again(baseline: Baseline, cell: BaselineCell) -> Cell:
    struck: Side | None = next((s for s in SIDES if cell.end(s).finding == "struck"), None)
    scenario = baselines.watching(baseline, cell)
    fault = GridFault(
        name=cell.fault,
        title=cell.title,
        words=cell.words,
        course=cell.course,
        faults=scenario.faults,
        struck=struck,
    )
    return Cell(fault=fault, load=cell.load, scenario=scenario)


def programs(baseline: Baseline) -> Scenario:
    """What is the same in all cells, as a scenario."""
    return msgspec.structs.replace(cells_of(baseline)[0].scenario, faults=())
