"""What `harness check` found, in each format."""

from __future__ import annotations

import json
import re
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest

from harness.policy.check import Checked, Result, Unanswered
from harness.policy.overview import Figure, Overview
from harness.policy.rule import Default, Finding
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
    connection = Connection(
        name="db", terms=Terms(ignore={"KA003": "a reason"}), place=Place("dir/P.toml", 1, 2)
    )
    return Result(checked=(Checked(connection=connection, findings=findings, **changes),))


UNANSWERED = (Unanswered(rule="KA009", connection="db", why="no model"),)


def test_text_says_place_expected_found_and_fix() -> None:
    """And how many there are of each."""
    lines = policy_text.describe(result(finding(), NOTE, suppressed=(finding(),))).splitlines()
    assert lines[:5] == [
        "dir/P.toml:1:7: error KA003 db: the title",
        "    expected  this, and that: 100%",
        r"    found     \x1b[31mnothing | <b>",
        "    fix       do it",
        "",
    ]
    assert lines[5].startswith("note KA010 db")
    assert lines[-2].startswith("`harness suggest dir/P.toml` with the same demands finds ")
    assert lines[-1].startswith(
        "1 connection: 1 error, 0 warnings, 1 note, 1 suppressed; `harness explain ID`"
    )


@pytest.mark.parametrize("name", ["x\n::error file=a::hi", "::error file=a::hi"])
def test_no_name_makes_a_line_or_a_command_to_a_runner(name: str) -> None:
    """A service of compose may be called anything, and so may a process."""
    connection = Connection(name=name, terms=Terms(), place=Place(f"{name}.yaml", 1, 2))
    named = (msgspec.structs.replace(UNANSWERED[0], connection=name),)
    places = None, connection.place
    found = tuple(finding(connection=name, found=name, place=place) for place in places)
    checked = Checked(connection=connection, findings=found, unanswered=named)
    lines = policy_text.describe(Result(checked=(checked,))).splitlines()
    assert len(lines) == 2 * 5 + 2 + 3 + 2
    assert not [line for line in lines if line.lstrip().startswith("::")]
    assert sum("error file=a::hi" in line for line in lines) == 7


def test_every_report_says_which_values_nobody_stated() -> None:
    """And whose defaults they are."""
    unstated = Default("count", 3, "redis-server's default (redis.conf, tcp-keepalive)")
    found = result(finding(defaults=(unstated,)))
    line = "count = 3, redis-server's default (redis.conf, tcp-keepalive)"
    assert f"    default   {line}" in policy_text.describe(found).splitlines()
    assert f"Not stated: {line}. Fix: " in policy_junit.render(found).decode()
    assert f"Not stated: {line}. Fix: " in policy_github.commands(found)
    assert f"not stated: {line} |" in policy_github.table(found)
    (written,) = json.loads(policy_json.render(found))["findings"]
    assert written["defaults"] == [
        {
            "key": "count",
            "value": 3,
            "source": "redis-server's default (redis.conf, tcp-keepalive)",
        }
    ]


def test_text_names_questions_without_an_answer() -> None:
    """In the table, too."""
    shown = policy_text.describe(result(unanswered=UNANSWERED)).splitlines()
    assert shown[0] == "db: KA009 cannot be answered: no model"
    assert shown[3].split() == ["db", "?", "?", "?", "?", "?"]
    assert "1 not answered" in shown[-1]


def test_text_has_a_table_of_figures() -> None:
    """With what is demanded, and whether that is met at every HZ."""
    figures = Overview(
        idle=Figure(worst_s=75.36, hz=100, demand_s=120.0, met=True),
        in_flight=Figure(worst_s=1165.75, hz=250, demand_s=120.0, met=False),
        silence=Figure(worst_s=None, demand_s=350, met=False),
        outage=Figure(worst_s=60.0, hz=100),
        outage_in_flight=Figure(worst_s=12.5, hz=100, demand_s=20.0, met=False),
    )
    lines = policy_text.describe(result(overview=figures)).splitlines()
    assert re.split(r"  +", lines[0]) == [
        "connection",
        "detected, idle",
        "detected, in flight",
        "without a packet",
        "survives, idle",
        "survives, in flight",
    ]
    assert re.split(r"  +", lines[1]) == [
        "db",
        "up to 75.36 s (of 120)",
        "up to 1165.75 s (NOT 120)",
        "for ever (NOT 350)",
        "60 s",
        "12.5 s (NOT 20)",
    ]


def test_json_has_each_part_by_itself() -> None:
    """The reason of a suppression, too."""
    document = json.loads(
        policy_json.render(result(finding(), suppressed=(finding(2),), unanswered=UNANSWERED))
    )
    assert document["exit_status"] == 1
    (found,) = document["findings"]
    assert (found["rule"], found["file"], found["line"], found["column"]) == (
        "KA003",
        "dir/P.toml",
        1,
        7,
    )
    assert (found["hz"], found["window_s"], found["found"]) == (
        [250, 1000],
        [340.0, None],
        "\x1b[31mnothing | <b>",
    )
    assert (document["suppressed"][0]["line"], document["suppressed"][0]["reason"]) == (
        2,
        "a reason",
    )
    assert document["unanswered"] == [{"rule": "KA009", "connection": "db", "why": "no model"}]
    assert document["connections"][0]["overview"] is None


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
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == (
        "1",
        str(failures),
        str(errors),
    )
    assert (case.find("failure") is not None, case.find("error") is not None) == (
        bool(failures),
        bool(errors),
    )
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


def test_junit_tells_what_is_not_answered_beside_a_failure() -> None:
    """In the output, after the notes: a test case ends in one way."""
    for findings in ([finding()], [finding(), NOTE]):
        written = policy_junit.render(result(*findings, unanswered=UNANSWERED))
        suite = ET.fromstring(written)  # noqa: S314
        (case,) = suite.iter("testcase")
        assert case.find("failure") is not None
        assert case.find("error") is None
        output = case.findtext("system-out")
        assert output is not None
        assert output.endswith("not answered: KA009: no model")
        assert ("KA010" in output) == (NOTE in findings)
