"""A baseline and what changed since: the same run changes nothing, and each change has a side."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from harness.examine import baseline
from harness.examine.compare import Change, compare
from harness.examine.findings import CellReport, Left, LeftSocket
from harness.plan.planner import make
from harness.scenario import baselines
from harness.scenario.baselines import Baseline
from harness.timeline import Event
from tests.unit.examining import (
    BASE,
    MACHINE,
    at,
    cell,
    described,
    events,
    examination,
    segment,
    sign,
)

EXITS = (sign(12.5, "exit", "status 1"), at(12.5, "subject.ended", side="client", status=1))


def _written(folder: Path, *reports: CellReport) -> Baseline:
    """The baseline of some cells, written and read again."""
    path = folder / f"mine{baselines.SUFFIX}"
    cells = {report.name: cell(report.fault) for report in reports}
    path.write_text(baseline.as_toml(BASE, cells, examination(*reports), path))
    return baselines.load(path)


def _changes(folder: Path, was: CellReport, now: CellReport) -> tuple[Change, ...]:
    return compare(_written(folder, was), examination(now))


def _ended(*more: Event) -> CellReport:
    return described(cell("blackhole"), events(*more))


def test_the_same_again_changes_nothing(tmp_path: Path) -> None:
    """A run like the one that was written down."""
    was = _ended(*EXITS)
    assert _changes(tmp_path, was, was) == ()


@pytest.mark.parametrize(
    ("moment", "direction"), [(12.59, None), (12.61, "worse"), (12.39, "better")]
)
def test_a_time_may_differ_by_the_margin(
    tmp_path: Path, moment: float, direction: str | None
) -> None:
    """Later is worse, sooner is better, 0.1 s make no difference."""
    now = _ended(
        sign(moment, "exit", "status 1"), at(moment, "subject.ended", side="client", status=1)
    )
    found = _changes(tmp_path, _ended(*EXITS), now)
    assert [(each.aspect, each.direction, each.side) for each in found] == (
        [] if direction is None else [("time", direction, "client")]
    )


def test_what_is_never_detected_any_more_is_worse(tmp_path: Path) -> None:
    """And the other way round better."""
    was, now = _ended(*EXITS), _ended()
    (worse,) = _changes(tmp_path, was, now)
    assert (worse.cell, worse.aspect, worse.direction) == ("blackhole", "finding", "worse")
    (better,) = _changes(tmp_path, now, was)
    assert better.direction == "better"


def test_another_sign_is_different(tmp_path: Path) -> None:
    """Neither better nor worse."""
    (found,) = _changes(tmp_path, _ended(*EXITS), _ended(sign(12.5, "close", "FIN sent")))
    assert (found.aspect, found.direction) == ("sign", "different")


def test_a_recovery_that_is_lost_or_slower_is_worse(tmp_path: Path) -> None:
    """On a new connection in place of the same one, too."""
    lost = (sign(20, "close", "FIN sent"),)
    new = segment(34, "in", dport=41001)
    slower = segment(36, "in", dport=41001)
    was = described(cell("outage"), events(*lost, new, healed_s=30))
    for now in (events(*lost, healed_s=30), events(*lost, slower, healed_s=30)):
        found = _changes(tmp_path, was, described(cell("outage"), now))
        assert [(each.aspect, each.direction) for each in found] == [("recovery", "worse")]


def test_sockets_that_are_left_open(tmp_path: Path) -> None:
    """More of them are worse; listening ones do not count."""
    report = _ended(*EXITS)

    def with_left(*states: str) -> CellReport:
        left = Left(sockets=tuple(LeftSocket(state=state) for state in states))
        client = msgspec.structs.replace(report.end("client"), left=left)
        return msgspec.structs.replace(report, ends=(client, report.end("server")))

    (found,) = _changes(tmp_path, with_left("LISTEN"), with_left("LISTEN", "CLOSE_WAIT"))
    assert (found.aspect, found.direction, found.is_now) == ("left", "worse", "1 socket left open")


def test_a_cell_that_cannot_be_examined_any_more(tmp_path: Path) -> None:
    """Is unknown, with the reason."""
    broken = described(
        cell("blackhole"), events(), verdict="inconclusive", cause="run-broken", reason="no client"
    )
    found = _changes(tmp_path, _ended(*EXITS), broken)
    assert {(each.direction, each.is_now) for each in found} == {("unknown", "no client")}


def test_a_baseline_is_a_set_of_claims(tmp_path: Path) -> None:
    """Each proven cell is a scenario that claims what was measured of both ends, with the sign that
    its command shows.
    """
    written = _written(tmp_path, _ended(*EXITS))
    (claim,) = baselines.claims(written)
    client = claim.expect.client
    assert client is not None
    assert (client.outcome, client.origin, client.window_s) == ("noticed", "fault", (12.4, 12.6))
    assert claim.expect.server is not None
    assert claim.expect.server.outcome == "never"
    assert claim.client.command is not None
    assert (claim.client.command.detects.exits, claim.client.command.detects.status) == (True, 1)
    make(claim, MACHINE)


def test_what_proves_nothing_is_no_claim(tmp_path: Path) -> None:
    """A fault that met no packet; and what nothing can be said of is not written at all."""
    idle = described(
        cell("blackhole"), events(), verdict="inconclusive", cause="fault-met-nothing", reason="x"
    )
    written = _written(tmp_path, idle)
    assert list(baselines.claims(written)) == []
    assert [each.proven for each in written.cells] == [False]


def test_the_cells_of_a_baseline_are_described_again(tmp_path: Path) -> None:
    """Those of the file, with the same fault and struck end. What was taken for
    granted of readiness is written out.
    """
    frozen = described(cell("server-frozen"), events(sign(5, "exit", "status 1")))
    (again,) = baseline.cells_of(_written(tmp_path, frozen))
    first = cell("server-frozen").scenario
    assert (again.scenario.name, again.scenario.faults) == (first.name, first.faults)
    assert (again.scenario.topology, again.scenario.expect) == (first.topology, first.expect)
    assert again.scenario.server.command is not None
    assert again.scenario.server.command.ready.listens
    assert (again.fault.struck, again.fault.course) == ("server", "lasts")


def test_a_line_of_output_becomes_a_pattern() -> None:
    """Digits may differ, and nothing else."""
    assert baselines.line_pattern("lost after 12 s (x)") == r"lost\ after\ \d+\ s\ \(x\)"


def test_real_time_has_a_wider_margin() -> None:
    """As on a busy machine programs are woken later."""
    assert baseline.margin_s("real") > baseline.margin_s("virtual")
