"""Policies as items: one for each connection, with its findings as the text of a failure."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree as ET

import pytest

from harness.oracle.effects import Unpredictable
from harness.policy import registry
from harness.policy.facts import Facts
from harness.policy.rule import Draft, Rule

pytest_plugins = ["pytester"]

SOUND = "idle_s = 60\ninterval_s = 10\ncount = 6\n"
LATE = f"[connections.late]\n{SOUND}path = ['aws-nlb']\n".replace("60", "340")
FLEET = f"""
[connections.sound]
{SOUND}
{LATE}
[connections.noted]
{SOUND}
user_timeout_s = 110
ignore = {{ KA004 = "known" }}
"""


def run(pytester: pytest.Pytester, text: str, *arguments: str) -> pytest.RunResult:
    """A session with one policy, or more."""
    (pytester.path / "fleet.policy.toml").write_text(text)
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", *arguments)


def test_each_connection_is_a_test(pytester: pytest.Pytester) -> None:
    """A note is no failure; what fails says why, where and how to fix it.

    So does the JUnit report, of the connection alone.
    """
    result = run(pytester, FLEET, "-rA", "--strict-markers", "--junit-xml=report.xml")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*_ policy late _*",
            "fleet.policy.toml:8:10: error KA003 late: the probe comes after*",
            "    expected  a probe before the idle timeout of aws-nlb, 350 s",
            "    fix       set idle_s to at most 317,*",
            "*_ policy noted _*",
            "*note KA010 noted: *",
            "PASSED fleet.policy.toml::sound",
            "FAILED fleet.policy.toml::late - fleet.policy.toml:8:10: error KA003 late*",
        ]
    )
    (suite,) = ET.parse(pytester.path / "report.xml").getroot()  # noqa: S314 - pytest wrote it
    assert [case.get("name") for case in suite] == ["sound", "late", "noted"]
    text = suite[1].findtext("failure")
    assert text is not None
    assert "KA003" in text
    assert "noted" not in text


def without_answer(_facts: Facts) -> Iterator[Draft]:
    """What a rule does where no model covers the settings."""
    raise Unpredictable("no model covers it")


def test_what_cannot_be_answered_is_an_error(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same words as of `harness check`. So is a bad policy, when it is collected."""
    rule = Rule(id="KA013", level="error", title="x", page="x", find=without_answer)
    monkeypatch.setattr(registry, "every_rule", lambda: {rule.id: rule})
    (pytester.path / "bad.policy.toml").write_text("[connections.x]\nidle = 60\n")
    text = f"[connections.slow]\n{SOUND}"
    result = run(pytester, text, "--continue-on-collection-errors")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        [
            "*ERROR collecting bad.policy.toml*",
            "bad.policy.toml:2:8: connections.x.idle: *",
            "slow: KA013 cannot be answered: no model covers it",
            "ERROR fleet.policy.toml::slow - *",
        ]
    )


def test_defaults_are_a_test_where_they_suppress(pytester: pytest.Pytester) -> None:
    """It fails where a suppression hides nothing at any connection."""
    used = f'[defaults]\nignore = {{ KA003 = "x" }}\n{LATE}'
    (pytester.path / "unused.policy.toml").write_text(used.replace("KA003", "KA006"))
    result = run(pytester, used, "-rA", "--deselect", "unused.policy.toml::late")
    result.assert_outcomes(passed=2, failed=1, deselected=1)
    result.stdout.fnmatch_lines(
        [
            "PASSED fleet.policy.toml::defaults",
            "FAILED unused.policy.toml::defaults - unused.policy.toml:2:20: warning KA100*",
        ]
    )


def test_policies_have_a_marker(pytester: pytest.Pytester) -> None:
    """A file that is named POLICY.toml is for `harness check` alone."""
    pytester.makepyfile("def test_it(): pass")
    (pytester.path / "POLICY.toml").write_text(LATE)
    run(pytester, FLEET, "-m", "not policy").assert_outcomes(passed=1, deselected=3)
