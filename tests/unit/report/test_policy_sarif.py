"""SARIF of `harness check`: valid against the official schema, with what code scanning shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from harness.policy.check import Checked, Result, Unanswered, check
from harness.policy.formats import policy_toml
from harness.policy.registry import every_rule
from harness.policy.settings import Connection, Place, Terms
from harness.report import policy_sarif
from tests.unit.policy.policies import checked

SCHEMA = Path(__file__).parents[1] / "data" / "sarif-schema-2.1.0.json"
VERSION = "1.2.3"
POLICY = """
[connections.db]
idle_s = 340
interval_s = 10
count = 3
path = ["aws-nlb"]
user_timeout_s = 60
ignore = { KA004 = "known", KA010 = "it always reads" }

[connections.cache]
idle_s = 60
"""


@pytest.fixture(scope="module")
def official() -> jsonschema.Draft4Validator:
    """The schema of OASIS."""
    return jsonschema.Draft4Validator(json.loads(SCHEMA.read_text()))


def of_policy(text: str, source: str = "dir/a policy.toml") -> Result:
    """What all rules find in a policy."""
    return check(policy_toml.read(text, source), list(every_rule().values()))


def rendered(result: Result, root: Path | None = None) -> dict[str, Any]:
    """The only run of the log."""
    log = json.loads(policy_sarif.render(result, root or Path.cwd(), VERSION))
    (run,) = log["runs"]
    made: dict[str, Any] = run
    return made


def test_a_report_is_valid(official: jsonschema.Draft4Validator) -> None:
    """Of a file, of options, without a finding, and where a rule could not be applied."""
    nothing = Connection(name="x", terms=Terms())
    unanswered = (Unanswered(rule="KA009", connection="db", why="no model"),)
    for result in (
        of_policy(POLICY),
        checked(idle_s=340, path=["aws-nlb"]),
        Result(checked=(Checked(connection=nothing),)),
        Result(checked=(Checked(connection=nothing, unanswered=unanswered),)),
    ):
        log = json.loads(policy_sarif.render(result, Path.cwd(), VERSION))
        assert not list(official.iter_errors(log))


def test_the_schema_refuses_what_is_no_report(official: jsonschema.Draft4Validator) -> None:
    """So that the test above can fail."""
    log = json.loads(policy_sarif.render(of_policy(POLICY), Path.cwd(), VERSION))
    log["runs"][0]["results"][0]["level"] = "fatal"
    assert not official.is_valid(log)


def test_a_result_has_its_place_relative_to_the_root() -> None:
    """With the name of its connection; the URI is escaped."""
    first = rendered(of_policy(POLICY))["results"][0]
    assert first["ruleId"] == "KA003"
    assert first["level"] == "error"
    (location,) = first["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "dir/a%20policy.toml", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 3, "startColumn": 10},
    }
    assert location["logicalLocations"] == [{"name": "db"}]


def test_a_file_outside_of_the_root_has_its_whole_uri(tmp_path: Path) -> None:
    """There is no relative one without going up."""
    run = rendered(of_policy(POLICY, f"{tmp_path}/P.toml"), tmp_path / "below")
    location = run["results"][0]["locations"][0]["physicalLocation"]
    assert location["artifactLocation"] == {"uri": (tmp_path.resolve() / "P.toml").as_uri()}


def test_options_have_no_place() -> None:
    """But their connection has a name."""
    (location,) = rendered(checked(idle_s=340, path=["aws-nlb"]))["results"][0]["locations"]
    assert location == {"logicalLocations": [{"name": "db"}]}


def test_every_rule_has_its_page_as_help() -> None:
    """A result points to its rule, and the tool has its version."""
    run = rendered(of_policy(POLICY))
    assert run["tool"]["driver"]["semanticVersion"] == VERSION
    rules = run["tool"]["driver"]["rules"]
    assert [each["id"] for each in rules] == list(every_rule())
    for each in rules:
        known = every_rule()[each["id"]]
        assert each["help"]["markdown"] == known.page.strip()
        assert each["shortDescription"]["text"] == known.title
        assert each["defaultConfiguration"]["level"] == known.level
    for each in run["results"]:
        assert rules[each["ruleIndex"]]["id"] == each["ruleId"]


def test_what_is_suppressed_is_left_out() -> None:
    """Code scanning would open an alert for it."""
    result = of_policy(POLICY)
    assert {each.rule for one in result.checked for each in one.suppressed} == {"KA004", "KA010"}
    assert not {each["ruleId"] for each in rendered(result)["results"]} & {"KA004", "KA010"}


def test_what_cannot_be_answered_is_a_notification() -> None:
    """The tool has run nevertheless."""
    unanswered = (Unanswered(rule="KA009", connection="db", why="no model"),)
    connection = Connection(name="db", terms=Terms())
    run = rendered(Result(checked=(Checked(connection=connection, unanswered=unanswered),)))
    (invocation,) = run["invocations"]
    (told,) = invocation["toolExecutionNotifications"]
    assert told["message"]["text"] == "db: KA009 cannot be answered: no model"
    assert run["tool"]["driver"]["rules"][told["associatedRule"]["index"]]["id"] == "KA009"
    assert (invocation["executionSuccessful"], run["results"]) == (True, [])


def test_names_make_no_links_and_no_placeholders() -> None:
    """Nor do they write on a terminal."""
    result = of_policy(POLICY.replace("connections.db", 'connections."[a](b){0}\\u001b"'))
    text = rendered(result)["results"][0]["message"]["text"]
    assert text.startswith("\\[a\\](b){{0}}\\x1b: expected ")


def test_columns_count_characters() -> None:
    """SARIF's default is units of UTF-16."""
    run = rendered(of_policy('[connections]\ndb = { path = ["aws-nlb"], idle_s = 340 }'))
    assert run["columnKind"] == "unicodeCodePoints"


def test_a_place_is_not_lost_in_findings_about_defaults(
    official: jsonschema.Draft4Validator,
) -> None:
    """These belong to no connection."""
    result = of_policy('[defaults]\nignore = { KA001 = "never" }\n' + POLICY)
    (other,) = result.others
    assert other.place == Place("dir/a policy.toml", 2, 20)
    made = msgspec.json.decode(policy_sarif.render(result, Path.cwd(), VERSION))
    official.validate(made)
    found = [each for each in made["runs"][0]["results"] if each["ruleId"] == "KA100"]
    assert [each["properties"]["connection"] for each in found] == ["defaults"]
