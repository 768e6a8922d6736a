"""Verdicts as JSON: names, units and origins of everything."""

from __future__ import annotations

import json as standard
from typing import Any

import msgspec

from harness.faults import Blackhole
from harness.judge.verdict import Verdict, judge
from harness.report import json
from harness.scenario.schema import Endpoint
from tests.unit.timelines import as_foreseen, changed, flap, planned, unreachable


def mapping(verdict: Verdict) -> dict[str, Any]:
    """A result as a script reads it."""
    found: dict[str, Any] = msgspec.to_builtins(json.result(verdict))
    return found


def test_fields_of_a_detection() -> None:
    """Seconds from the origin that is named beside them, the window without the allowance, the
    machine.
    """
    plan = unreachable()
    found = mapping(judge(plan, as_foreseen(plan)))
    cites = found.pop("cites")
    assert found == {
        "name": "by/hand",
        "summary": "",
        "verdict": "pass",
        "cause": "confirmed",
        "reason": "3 probes unanswered (traces)",
        "attempts": 1,
        "clock": "real",
        "lab": "netns",
        "side": "client",
        "outcome": "detected",
        "errno": "ETIMEDOUT",
        "reports": None,
        "reconnected_s": None,
        "recovered_s": None,
        "known_failure": "",
        "detected_s": 5.09,
        "claimed": "ETIMEDOUT",
        "claimed_window_s": None,
        "predicted": "ETIMEDOUT",
        "predicted_window_s": (5.072, 5.108),
        "allowance_s": 0.05,
        "origin": "armed",
        "probes": 3,
        "probes_expected": (3, 3),
        "kernel": "6.18.0",
        "hz": 250,
        "ends": (),
    }
    assert len(cites) == 6


def test_what_was_not_measured_is_null() -> None:
    """A quiet run has no moment and no errno; one that was never armed has no outcome either."""
    plan = flap()
    found = mapping(judge(plan, as_foreseen(plan)))
    assert (found["outcome"], found["errno"], found["detected_s"], found["predicted_window_s"]) == (
        "quiet",
        None,
        None,
        None,
    )
    found = mapping(judge(plan, []))
    assert (found["verdict"], found["outcome"], found["probes"]) == ("inconclusive", None, None)


def test_a_document_holds_the_worst_verdict_and_all_scenarios() -> None:
    """It is JSON in one piece, with its format's number, ending in a newline."""
    plan = unreachable()
    events = as_foreseen(plan)
    good, bad = judge(plan, events), judge(plan, changed(events, "subject.detected", errno="EPIPE"))
    data = json.render([good, bad], {good.name: 2})
    assert data.endswith(b"}\n")
    document = standard.loads(data)
    assert (document["format"], document["verdict"]) == (1, "fail")
    assert [entry["verdict"] for entry in document["scenarios"]] == ["pass", "fail"]
    assert document["scenarios"][0]["probes_expected"] == [3, 3]
    assert (document["retried"], document["scenarios"][0]["attempts"]) == (1, 2)


def test_nothing_run_is_inconclusive() -> None:
    """A script that reads only the verdict is not told that all is well."""
    document = standard.loads(json.render([]))
    assert (document["verdict"], document["scenarios"]) == ("inconclusive", [])


def test_the_origin_is_the_scenarios() -> None:
    """Where times count from the fault, so does the window."""
    plan = planned(*unreachable().scenario.faults, origin="fault", window_s=(4.0, 5.0))
    found = mapping(judge(plan, as_foreseen(plan)))
    assert (found["origin"], found["detected_s"], found["predicted_window_s"]) == (
        "fault",
        4.5899,
        (4.5719, 4.6079),
    )
    assert found["claimed_window_s"] == (4.0, 5.0)


def test_what_has_no_prediction_is_null() -> None:
    """Claimed and predicted are told apart."""
    writer = Endpoint(writes_at_s=(1.0,), write_bytes=5000)
    plan = planned(
        Blackhole(at_s=0.5),
        client=writer,
        outcome="detected",
        errno="ETIMEDOUT",
        window_s=(1, 2000),
    )
    found = mapping(judge(plan, []))
    assert (found["predicted"], found["predicted_window_s"]) == (None, None)
    claimed = "ETIMEDOUT 1 to 2000 s after arming"
    assert (found["claimed"], found["claimed_window_s"]) == (claimed, (1, 2000))
