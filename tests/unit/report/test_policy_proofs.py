"""Predictions beside measurements, in each format."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec

from harness.policy import proof
from harness.policy.answers import SECOND_NS, Window
from harness.policy.check import Checked, Result
from harness.policy.proof import Claim, Measured, Proof, Proofs, Question
from harness.policy.settings import SYSTEM, Connection, Terms
from harness.report import policy_github, policy_json, policy_junit, policy_sarif, policy_text

WINDOW = Window(130 * SECOND_NS, 133_100_000_000)


def claim(kind: proof.Kind = "idle", **changes: Any) -> Claim:
    """Of a dead peer that is noticed, unless said otherwise."""
    made = Claim(
        connection="db",
        title="idle, dead peer",
        question=Question(kind=kind, hz=1000, settings=SYSTEM),
        ends="lost",
        window=WINDOW,
    )
    return msgspec.structs.replace(made, **changes)


def lost(after_s: float | None, how: str = "ETIMEDOUT") -> Measured:
    """After so many seconds."""
    after_ns = None if after_s is None else round(after_s * SECOND_NS)
    return Measured(ends="lost", after_ns=after_ns, how=how, watched_ns=SECOND_NS, run="001-x")


LATE = claim("path", title="first packet, lb (350 s)", ends="may-be-lost")
OUTAGE = claim("outage-idle", title="outage of 20 s, idle", ends="kept", window=None)
INSIDE = proof.compare(claim(), lost(131.2))
REFUTED = proof.compare(claim(connection="<b>"), lost(140))
OWN = proof.unproven(claim(by_program=True), proof.BY_PROGRAM)
UNPROVEN = proof.unproven(claim(title="in flight"), "no model")


def result(*proofs: Proof, **changes: Any) -> Result:
    """Of one connection."""
    checked = Checked(connection=Connection(name="db", terms=Terms()))
    return Result(checked=(checked,), proofs=Proofs(proofs=proofs, folder="/runs", **changes))


def table(found: Result) -> list[list[str]]:
    """The rows of the proofs in text."""
    lines = policy_text.describe(found).splitlines()
    start = next(n for n, line in enumerate(lines) if re.match("connection +question", line))
    return [re.split("  +", line) for line in lines[start + 1 : lines.index("", start)]]


def test_text_has_measured_beside_predicted() -> None:
    """Each in its words."""
    kept = Measured(ends="kept", watched_ns=86_400 * SECOND_NS)
    never = claim(ends="kept", window=None)
    proofs = (
        INSIDE,
        proof.compare(never, kept),
        proof.compare(LATE, lost(132, "ECONNRESET")),
        proof.compare(LATE, msgspec.structs.replace(kept, after_ns=131 * SECOND_NS)),
        proof.compare(OUTAGE, kept),
        proof.compare(OUTAGE, lost(None)),
        UNPROVEN,
    )
    assert [row[2:] for row in table(result(*proofs))] == [
        ["1000", "130 to 133.1 s", "131.2 s (ETIMEDOUT)", "inside"],
        ["1000", "never", "nothing in 86400 s", "as predicted"],
        ["1000", "130 to 133.1 s, may be lost", "132 s, lost (ECONNRESET)", "as predicted"],
        ["1000", "130 to 133.1 s, may be lost", "131 s, kept", "not in this run"],
        ["1000", "kept", "kept", "as predicted"],
        ["1000", "kept", "lost (ETIMEDOUT)", "REFUTED"],
        ["1000", "130 to 133.1 s", "not proven"],
    ]


def test_text_has_a_row_for_equal_connections() -> None:
    """100 connections with the same settings are one row."""
    same = [
        proof.compare(claim(connection=name), lost(131.2)) for name in ("db", "cache", "\x1b[31m")
    ]
    ((name, *_),) = table(result(*same))
    assert name == "db and 2 others"
    assert "3 of 3 predictions confirmed" in policy_text.describe(result(*same))


def test_text_says_what_to_do_about_what_is_not_proven() -> None:
    """A refutation is a defect to report; kernels can be built."""
    shown = policy_text.describe(result(INSIDE, REFUTED, UNPROVEN, missing_hz=(100, 250)))
    assert "the oracle is refuted: <b>, idle, dead peer at HZ=1000: 140 s is outside" in shown
    assert "with the folder /runs/001-x" in shown
    assert "not proven: db, in flight at HZ=1000: no model" in shown
    assert "Fix: harness kernel build --hz 100 && harness kernel build --hz 250" in shown
    assert "1 of 3 predictions confirmed, 1 REFUTED" in shown


def test_exit_status_of_proofs() -> None:
    """Refuted is 3 whatever else there is."""
    assert result(INSIDE).exit_status == 0
    assert result(INSIDE, missing_hz=(100,)).exit_status == 0
    assert result(INSIDE, missing_hz=(100,), missing_asked=(100,)).exit_status == 3
    assert result(INSIDE, UNPROVEN).exit_status == 3
    assert result(INSIDE, REFUTED).exit_status == 3


def test_sarif_has_notifications_of_what_is_not_proven() -> None:
    """A refuted prediction is a failure of the tool."""
    for proofs, texts in (
        ([INSIDE], []),
        ([INSIDE, UNPROVEN], ["not proven: "]),
        ([REFUTED], ["the oracle is refuted: "]),
    ):
        log = json.loads(policy_sarif.render(result(*proofs), Path.cwd(), "1.2.3"))
        (invocation,) = log["runs"][0]["invocations"]
        told = [each["message"]["text"] for each in invocation["toolExecutionNotifications"]]
        assert [text.startswith(each) for text, each in zip(told, texts, strict=True)] == [
            True for _ in texts
        ]
        assert invocation["executionSuccessful"] == (REFUTED not in proofs)


def test_what_the_program_decides_is_not_proven_and_no_failure() -> None:
    """It is told in the table, counted apart, and asks for no notice."""
    found = result(INSIDE, OWN)
    assert table(found)[1][-1] == "not proven: the program closes it, not the kernel"
    text = policy_text.describe(found)
    assert "1 of 1 prediction confirmed, 1 not proven, as the program closes the connection" in text
    assert not re.search("^not proven", text, re.MULTILINE)
    assert found.exit_status == 0


def test_json_has_figures_in_seconds() -> None:
    """And the run of each."""
    document = json.loads(policy_json.render(result(INSIDE, UNPROVEN)))["proof"]
    assert (document["folder"], document["missing_hz"]) == ("/runs", [])
    inside, unproven = document["proofs"]
    assert inside == {
        "connection": "db",
        "kind": "idle",
        "question": "idle, dead peer",
        "hz": 1000,
        "predicted": "lost",
        "by_program": False,
        "predicted_s": [130.0, 133.1],
        "measured": "lost",
        "measured_s": 131.2,
        "how": "ETIMEDOUT",
        "result": "confirmed",
        "why": "",
        "run": "001-x",
    }
    assert (unproven["result"], unproven["why"], unproven["measured"]) == (
        "not-proven",
        "no model",
        None,
    )


def test_github_says_what_is_refuted_and_has_the_table() -> None:
    """In one annotation, and in the summary of the step."""
    found = result(INSIDE, REFUTED)
    (annotation,) = [
        line for line in policy_github.commands(found).splitlines() if line.startswith("::")
    ]
    assert annotation.startswith("::error title=harness check --prove::the oracle is refuted")
    summary = policy_github.table(found)
    assert "| connection | question | HZ | predicted | measured | result |" in summary
    assert "| 131.2 s (ETIMEDOUT) | inside |" in summary
    assert "::" not in policy_github.commands(result(INSIDE))


def test_junit_has_a_case_for_each_question() -> None:
    """A failure for what is refuted, an error for what is not proven, and nothing bad for what the
    program decides.
    """
    found = result(INSIDE, REFUTED, UNPROVEN, OWN, missing_hz=(100,), missing_asked=(100,))
    suite = ET.fromstring(policy_junit.render(found))  # noqa: S314 - our own
    cases = [case for case in suite.iter("testcase") if case.get("classname") == "proof"]
    kinds = [next((each.tag for each in case), "") for case in cases]
    assert kinds == ["system-out", "failure", "error", "skipped", "error"]
    assert cases[0].get("name") == "db: idle, dead peer at HZ=1000"
    assert cases[0].findtext("system-out") == (
        "predicted 130 to 133.1 s; measured 131.2 s (ETIMEDOUT)"
    )
