"""The documents that scripts read: all are valid against the published schemas, and what is wrong
is found.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.cli import schema
from harness.examine.compare import Change
from harness.examine.findings import (
    Attribution,
    CellReport,
    EndReport,
    Examination,
    Left,
    LeftSocket,
    Recovery,
    Sign,
    SocketSettings,
)
from harness.faults import Blackhole
from harness.fuzz.campaign import Disagreement, Tally
from harness.judge.verdict import Verdict, judge
from harness.policy.overview import Figure, Overview
from harness.policy.proof import Proofs
from harness.policy.rule import Default
from harness.report import examine_json, fuzz, library_matrix, policy_json
from harness.report import json as report
from harness.report.documents import MatrixCell
from harness.scenario.schema import Endpoint
from tests import documents
from tests.unit.report.test_policy_proofs import INSIDE, UNPROVEN
from tests.unit.report.test_policy_reports import UNANSWERED, finding, result
from tests.unit.timelines import MACHINE, as_foreseen, changed, flap, planned, unreachable


@cache
def verdicts() -> list[Verdict]:
    """Of a run as foreseen, of one in which nothing is detected, of a broken one, of a refuted one,
    and of one with data in flight.
    """
    idle, quiet = unreachable(), flap()
    writer = Endpoint(writes_at_s=(1.0,), write_bytes=500)
    busy = planned(Blackhole(at_s=0.5), client=writer, outcome="detected", errno="ETIMEDOUT")
    events = as_foreseen(idle)
    return [
        judge(idle, events),
        judge(quiet, as_foreseen(quiet)),
        judge(idle, []),
        judge(idle, changed(events, "subject.detected", errno="EPIPE")),
        judge(busy, as_foreseen(busy)),
    ]


def tally() -> Tally:
    """Of a campaign in which everything happened."""
    unjudged = judge(unreachable(), [])
    found = Disagreement(
        name="case-1",
        scenario=unreachable().scenario,
        verdict=unjudged,
        again=True,
        file=Path("disagreement-1.scenario.toml"),
    )
    return Tally(
        seed=5,
        machine=MACHINE,
        refused=Counter({"no model": 2}),
        covered={"established": Counter({"agreed": 3, "met nothing": 1})},
        faults=Counter({"blackhole": 4}),
        unjudged=[unjudged],
        disagreements=[found],
    )


CELL = MatrixCell(
    suite="s",
    library="l",
    version="1",
    server="s 2",
    fault="blackhole",
    load="idle",
    origin="fault",
    documents="60 s",
    documented_s=(50.0, 60.0),
    source="manual",
    measured_s=55.0,
    reports=None,
    finding="met",
    known=False,
    verdict="pass",
    reason="as claimed",
)


def examination() -> Examination:
    """One cell, in which the client detects the fault and the server does not."""
    sign = Sign(how="exit", at_s=5.5, found="status 1", reports="status 1")
    client = EndReport(
        side="client",
        finding="detected",
        grade="good",
        sign=sign,
        attribution=Attribution(by="own-timer", words="the program's own timer"),
        recovery=Recovery(connection="new", by="data", after_s=1.5),
        left=Left(processes=1, sockets=(LeftSocket(state="ESTABLISHED"),)),
        settings=SocketSettings(keepalive=True),
    )
    server = EndReport(side="server", finding="never", grade="bad")
    cell = CellReport(
        name="blackhole-idle",
        fault="blackhole",
        title="Blackhole",
        words="everything is dropped",
        course="lasts",
        load="idle",
        watched_s=60.0,
        ends=(client, server),
    )
    return Examination(
        client="a", server="b", clock="virtual", kernel="7.2.13", hz=1000, cells=(cell,)
    )


CHANGE = Change(
    cell="blackhole-idle",
    side="client",
    aspect="time",
    direction="worse",
    was="5 s",
    is_now="6 s",
)


def written(kind: str) -> bytes:
    """A document of each kind, as it is written."""
    if kind == "examine":
        return examine_json.render(examination(), (CHANGE,))
    if kind == "verdict":
        return report.verdict_file(verdicts()[0], 2)
    if kind == "report":
        return report.render(verdicts(), {"by/hand": 2})
    if kind == "fuzz":
        return fuzz.as_json(tally())
    if kind == "check":
        proofs = Proofs(proofs=(INSIDE, UNPROVEN), missing_hz=(250,), folder="/runs")
        figure = Figure(worst_s=5.5, hz=250, demand_s=10.0, met=True)
        figures = Overview(**dict.fromkeys(Overview.__struct_fields__, figure))
        defaulted = finding(defaults=(Default("idle_s", 7200, "Linux"),), place=None)
        told = result(defaulted, suppressed=(finding(2),), unanswered=UNANSWERED, overview=figures)
        return policy_json.render(msgspec.structs.replace(told, proofs=proofs))
    return library_matrix.as_json([CELL], "here")


@pytest.mark.parametrize("kind", schema.DOCUMENTS)
def test_what_is_written_is_valid(kind: str) -> None:
    """Against the types and against the published schema, with the format's number."""
    found = documents.check(schema.DOCUMENTS[kind][0], written(kind))
    assert documents.problems(kind, found) == []
    assert found["format"] == 1


def test_probes_or_retransmissions_are_counted() -> None:
    """Each result has one of both."""
    (found,) = [each for each in verdicts() if each.asking == "retransmit"]
    kinds = {"probes", "retransmissions"}
    assert kinds & msgspec.to_builtins(report.result(found)).keys() == {"retransmissions"}
    assert kinds & msgspec.to_builtins(report.result(verdicts()[0])).keys() == {"probes"}


@pytest.mark.parametrize("kind", schema.DOCUMENTS)
def test_one_wrong_thing_is_found(kind: str) -> None:
    """A key that is missing, has another type or another format's number; and only that."""
    sound = json.loads(written(kind))
    for key in sound:
        without = {name: value for name, value in sound.items() if name != key}
        optional = key in ("probes", "probes_expected")
        assert bool(documents.problems(kind, without)) is not optional, key
        assert documents.problems(kind, {**sound, key: True}), key
    assert documents.problems(kind, {**sound, "format": 2})


@pytest.mark.parametrize("kind", schema.DOCUMENTS)
def test_a_reader_may_meet_keys_that_it_does_not_know(kind: str) -> None:
    """A later version adds some under the same format number."""
    assert documents.problems(kind, {**json.loads(written(kind)), "later": 1}) == []


@pytest.mark.parametrize("kind", schema.DOCUMENTS)
def test_every_key_is_described(kind: str) -> None:
    """By a text of its own."""
    tables: dict[str, Any] = json.loads(schema.render(kind))["$defs"]
    for table in tables.values():
        assert table["description"]
        for key, node in table["properties"].items():
            assert node["description"], key
            assert node["description"] != table["description"], key
    assert len(list(itertools.chain(*(table["properties"] for table in tables.values())))) > 3
