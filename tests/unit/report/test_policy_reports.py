"""What `harness check` found, in each format."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest

from harness.policy.check import Checked, Result, Unanswered
from harness.policy.rule import Finding
from harness.policy.settings import Connection, Place, Terms
from harness.report import policy_github, policy_json, policy_junit, policy_text


def finding(number: int = 1, **changes: Any) -> Finding:
    """An error at a line of that number."""
    made = Finding(
        rule="KA003",
        level="error",
        title="the title",
        connection="db",
        expected="this, and that: 100%",
        found="\x1b[31mnothing | <b>",
        fix="do it",
        hz=(250, 1000),
        window_s=(340.0, None),
        place=Place("dir/P.toml", number, 7),
    )
    return msgspec.structs.replace(made, **changes)


NOTE = finding(rule="KA010", level="note", place=None)


def result(*findings: Finding, **changes: Any) -> Result:
    """Of one connection."""
    connection = Connection(name="db", terms=Terms(ignore={"KA003": "a reason"}), place=Place("dir/P.toml", 1, 2))
    return Result(checked=(Checked(connection=connection, findings=findings, **changes),))


UNANSWERED = (Unanswered(rule="KA009", connection="db", why="no model"),)


def test_text_says_place_expected_found_and_fix() -> None:
    """And how many there are of each."""
    lines = policy_text.describe(result(finding(), NOTE, suppressed=(finding(),))).splitlines()
    assert lines[:5] == [
        "dir/P.toml:1:7: error KA003 db: the title",
        "    expected  this, and that: 100%",
        "    found     \x1b[31mnothing | <b>",
        "    fix       do it",
        "",
    ]
    assert lines[5].startswith("note KA010 db")
    assert lines[-1].startswith("1 connection: 1 error, 0 warnings, 1 note, 1 suppressed; `harness explain ID`")


def test_text_names_sound_connections_and_questions_without_an_answer() -> None:
    """A note leaves a connection sound."""
    assert policy_text.describe(result(NOTE)).splitlines()[-3].startswith("ok db: nothing notices a dead peer")
    shown = policy_text.describe(result(unanswered=UNANSWERED))
    assert "db: KA009 cannot be answered: no model" in shown
    assert "1 not answered" in shown
    assert "ok db" not in shown


def test_json_has_each_part_by_itself() -> None:
    """The reason of a suppression, too."""
    document = json.loads(policy_json.render(result(finding(), suppressed=(finding(2),), unanswered=UNANSWERED)))
    assert document["exit_status"] == 1
    (found,) = document["findings"]
    assert (found["rule"], found["file"], found["line"], found["column"]) == ("KA003", "dir/P.toml", 1, 7)
    assert (found["hz"], found["window_s"], found["found"]) == ([250, 1000], [340.0, None], "\x1b[31mnothing | <b>")
    assert (document["suppressed"][0]["line"], document["suppressed"][0]["reason"]) == (2, "a reason")
    assert document["unanswered"] == [{"rule": "KA009", "connection": "db", "why": "no model"}]
    assert document["connections"][0]["noticed_idle_s"] is None


def test_github_shows_ten_annotations_the_worst_first() -> None:
    """The rest is in the summary of the step."""
    warnings = [finding(number, level="warning") for number in range(1, 12)]
    lines = policy_github.commands(result(*warnings, finding(99))).splitlines()
    assert lines[0] == (
        "::error file=dir/P.toml,line=99,col=7,title=KA003 db%3A the title"
        "::expected this, and that: 100%25, found \\x1b[31mnothing | <b>. Fix: do it"
    )
    assert [line.startswith("::warning ") for line in lines[1:10]] == [True] * 9
    assert lines[10] == "2 more findings are in the summary of the step"
    assert len(lines) == 12


def test_githubs_table_has_all_findings() -> None:
    """No text of a policy ends a cell or becomes HTML."""
    findings = [finding(number) for number in range(1, 13)]
    table = policy_github.table(result(*findings, unanswered=UNANSWERED))
    rows = [line for line in table.splitlines() if line.startswith("| error")]
    assert len(rows) == 12
    assert "nothing \\| &lt;b>" in rows[0]
    assert "- db: KA009: no model" in table


def test_a_note_is_a_notice_and_needs_no_place() -> None:
    """As for settings that came from options."""
    assert policy_github.commands(result(NOTE)).startswith("::notice title=KA010 db%3A the title::")


@pytest.mark.parametrize(
    ("made", "failures", "errors"),
    [
        (result(finding(), NOTE), 1, 0),
        (result(NOTE), 0, 0),
        (result(unanswered=UNANSWERED), 0, 1),
        (result(finding(), unanswered=UNANSWERED), 1, 0),
        (Result(checked=(), others=(finding(connection="defaults"),)), 1, 0),
    ],
    ids=["an error", "a note", "no answer", "an error and no answer", "of the defaults"],
)
def test_junit_has_a_case_for_each_connection(made: Result, failures: int, errors: int) -> None:
    """A note is no failure."""
    (suite,) = ET.fromstring(policy_junit.render(made))  # noqa: S314 - our own
    (case,) = suite
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("1", str(failures), str(errors))
    assert (case.find("failure") is not None, case.find("error") is not None) == (bool(failures), bool(errors))
    assert case.get("classname") == "dir/P.toml"


def test_junit_names_rule_and_place() -> None:
    """The text has what a terminal must not get as an escape."""
    (suite,) = ET.fromstring(policy_junit.render(result(finding(), NOTE)))  # noqa: S314 - our own
    failure, notes = suite[0].find("failure"), suite[0].find("system-out")
    assert failure is not None
    assert failure.get("type") == "KA003"
    assert (failure.text or "").startswith(
        "dir/P.toml:1:7: error KA003: expected this, and that: 100%, found \\x1b[31m"
    )
    assert notes is not None
    assert (notes.text or "").startswith("note KA010: ")
