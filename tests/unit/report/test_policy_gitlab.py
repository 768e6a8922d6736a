"""GitLab's Code Quality report of `harness check`."""

from __future__ import annotations

import json
from pathlib import Path

from harness.policy.check import Checked, Result, Unanswered, check
from harness.policy.formats import policy_toml
from harness.policy.registry import every_rule
from harness.policy.settings import Connection, Terms
from harness.report import policy_gitlab
from tests.unit.policy.policies import checked

POLICY = """
[connections.db]
idle_s = 340
interval_s = 10
count = 1
user_timeout_s = 600
path = ["aws-nlb"]
"""


def test_an_issue_has_what_gitlab_shows() -> None:
    """Description, rule, severity, path and line; fingerprints are different."""
    result = check(policy_toml.read(POLICY, "dir/P.toml"), list(every_rule().values()))
    issues = json.loads(policy_gitlab.render(result, Path.cwd()))
    severities = {each["check_name"]: each["severity"] for each in issues}
    assert severities == {"KA003": "major", "KA004": "minor", "KA010": "info"}
    assert issues[0]["description"].startswith("db: expected a probe before ")
    assert issues[0]["location"] == {"path": "dir/P.toml", "lines": {"begin": 3}}
    assert len({each["fingerprint"] for each in issues}) == len(issues)


def test_options_have_a_path_all_the_same() -> None:
    """GitLab shows no issue without."""
    (issue, *_) = json.loads(
        policy_gitlab.render(checked(idle_s=340, path=["aws-nlb"]), Path.cwd())
    )
    assert issue["location"] == {"path": "options", "lines": {"begin": 1}}


def test_what_cannot_be_answered_is_told() -> None:
    """It is no defect of the settings."""
    unanswered = (Unanswered(rule="KA009", connection="db", why="no model"),)
    connection = Connection(name="db", terms=Terms())
    result = Result(checked=(Checked(connection=connection, unanswered=unanswered),))
    (issue,) = json.loads(policy_gitlab.render(result, Path.cwd()))
    assert issue["description"] == "db: cannot be answered: no model"
    assert (issue["check_name"], issue["severity"]) == ("KA009", "info")


def test_without_a_finding_the_array_is_empty() -> None:
    """As GitLab expects it."""
    assert json.loads(policy_gitlab.render(checked(), Path.cwd())) == []
