"""Reports of runs in which both ends are judged: each names the ends, and has the measurements of
both.
"""

from __future__ import annotations

import io
from typing import Any

import pytest

from harness.judge.result import Result
from harness.judge.verdict import Verdict, judge
from harness.plan.plan import Plan
from harness.report import diagram, json, junit, properties, text
from harness.report.documents import RunReport, VerdictFile
from harness.timeline import Event
from tests import documents
from tests.unit.timelines import as_both_foresee, as_foreseen, both_judged, unreachable

DEAD: dict[str, Any] = {"outcome": "detected", "errno": "ETIMEDOUT"}


@pytest.fixture
def plan() -> Plan:
    """The server is to have detected it before it can."""
    return both_judged(DEAD, {**DEAD, "window_s": (7.0, 8.0)})


@pytest.fixture
def events(plan: Plan) -> list[Event]:
    """Everything comes as foreseen, at both ends."""
    return as_both_foresee(plan)


@pytest.fixture
def verdict(plan: Plan, events: list[Event]) -> Verdict:
    """The server's claim fails, the client's holds."""
    return judge(plan, events)


def test_the_table_has_a_row_for_each_end(verdict: Verdict) -> None:
    """With its own verdict, reason and claim; the run counts once."""
    stream = io.StringIO()
    shown = text.console(stream)
    shown.print(text.VerdictTable([verdict]))
    shown.print(text.summary([verdict], 1.0))
    lines = stream.getvalue().splitlines()
    assert lines[1].startswith("pass     by/hand (client)   ETIMEDOUT 5.090 s")
    assert lines[3].startswith("fail     by/hand (server)  ETIMEDOUT 13.")
    assert "after expect.window_s (7 to 8 s after arming) ended" in lines[4]
    assert "  claim: ETIMEDOUT 7 to 8 s after arming" in stream.getvalue()
    assert "0 pass, 1 fail, 0 inconclusive" in stream.getvalue()


def test_the_document_has_a_result_for_each_end(verdict: Verdict) -> None:
    """The keys beside them are those of the worse one."""
    found = documents.check(RunReport, json.render([verdict]))
    assert documents.problems("report", found) == []
    (result,) = found["scenarios"]
    assert [(end["side"], end["verdict"]) for end in result["ends"]] == [
        ("client", "pass"),
        ("server", "fail"),
    ]
    assert (result["side"], result["detected_s"]) == ("server", result["ends"][1]["detected_s"])
    assert result["claimed"] == "client: ETIMEDOUT; server: ETIMEDOUT 7 to 8 s after arming"
    file = documents.check(VerdictFile, json.verdict_file(verdict, 1))
    assert documents.problems("verdict", file) == []


def test_a_test_case_names_the_end_that_failed(verdict: Verdict) -> None:
    """In its message; its properties have both measurements."""
    found = junit.render([junit.Case(verdict=verdict, wall_s=1.0)], 1.0).decode()
    assert 'message="server: detected 13.' in found
    beside = properties.of(verdict)
    assert beside["client_measured"] == "5.090000 s after arming"
    assert beside["server_claimed_window"] == "7.000 to 8.000 s after arming"
    assert (beside["client_cause"], beside["server_cause"]) == ("confirmed", "noticed-too-late")
    assert "measured" not in beside


def test_the_diagram_has_the_lanes_of_both(plan: Plan, events: list[Event]) -> None:
    """Below the name of each end."""
    lines = diagram.draw(plan, events)
    assert [line for line in lines if line.endswith(":")] == ["client:", "server:"]
    after = lines.index("server:")
    assert sum("ETIMEDOUT" in line for line in lines[:after]) == 2
    assert any(line.startswith("claimed") for line in lines[after:])
    assert diagram.draw(plan, []) == []


def test_a_result_is_one_for_each_end(plan: Plan, events: list[Event], verdict: Verdict) -> None:
    """Of one judged end it is itself."""
    whole = Result(plan=plan, events=tuple(events), verdict=verdict)
    ends = whole.of_ends
    assert [end.verdict for end in ends] == list(verdict.ends)
    assert [end.plan for end in ends] == list(plan.ends)
    alone = unreachable()
    foreseen = as_foreseen(alone)
    one = Result(plan=alone, events=tuple(foreseen), verdict=judge(alone, foreseen))
    assert one.of_ends == (one,)
