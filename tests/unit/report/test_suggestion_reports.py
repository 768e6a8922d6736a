"""Suggested settings as text and as JSON."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from harness.policy.settings import Connection, Terms
from harness.policy.suggest import Suggestion, suggest
from harness.report import suggestion_json, suggestion_text

PROXY = {"idle_timeout_s": 60, "proxy": True, "name": "nginx"}


def suggested(**keys: Any) -> Suggestion:
    """At one HZ, for a connection whose name would move the cursor."""
    terms = msgspec.convert({"hz": [250], **keys}, Terms)
    return suggest(Connection(name="db\x1b[2J", terms=terms))


def test_options_figures_and_limits_are_told() -> None:
    """Without the findings that say the same as the limits."""
    text = suggestion_text.describe(suggested(detect_within_s=60, survive_s=5, path=[PROXY]))
    assert text.startswith("db\\x1b[2J: idle ")
    assert "    SO_KEEPALIVE           1\n" in text
    assert "probes an hour or fewer" in text
    assert "- What is behind nginx:" in text
    assert "KA010" not in text
    assert "KA014" not in text
    assert "(of 60)" in text


def test_what_no_settings_mend_is_a_finding() -> None:
    """A heartbeat that is too rare for the proxy."""
    beat = {"every_s": 90, "timeout_s": 5, "apart": True}
    text = suggestion_text.describe(suggested(path=[PROXY], heartbeat=beat))
    assert "error KA007 db" in text


def test_demands_that_must_be_given_up_together_are_told() -> None:
    """As no change of one is enough."""
    found = suggested(
        detect_idle_within_s=1, survive_s=2, path=[{"idle_timeout_s": 1, "then": "drop"}]
    )
    text = suggestion_text.describe(found)
    assert "No change of one demand is enough. Give up --detect-idle-within 1 and the idle" in text


def test_a_refusal_says_which_hz_would_do() -> None:
    """And what was ruled out."""
    text = suggestion_text.describe(suggested(detect_idle_within_s=63, survive_s=60, hz=[100, 300]))
    assert "no settings meet all demands at HZ=100, 300" in text
    assert "HZ decides: in a fleet of one HZ they are met at 100, 300." in text
    assert "All others are ruled out" in text


def test_a_table_has_a_line_for_each_connection() -> None:
    """With what it has now."""
    some = [
        suggested(idle_s=30, detect_idle_within_s=60),
        suggested(detect_within_s=30, survive_s=60),
        suggested(detect_in_flight_within_s=1201.5, survive_s=1190),
    ]
    lines = suggestion_text.table(some).splitlines()
    assert lines[0].split() == ["connection", "settings", "now", "suggested"]
    assert "idle 30 s, interval 75 s, count 9" in lines[1]
    assert lines[2].endswith("none meet all demands")
    assert lines[3].endswith("cannot be answered")
    assert lines[-1].startswith("3 connections: settings found for 1, none for 2; ")


def test_json_has_the_arguments_of_setsockopt() -> None:
    """With level and name as C and Python have them."""
    found = suggested(detect_in_flight_within_s=30)
    document = json.loads(suggestion_json.render([found], 0))
    (connection,) = document["connections"]
    assert connection["setsockopt"] == [
        {"level": "IPPROTO_TCP", "name": "TCP_USER_TIMEOUT", "value": 29000}
    ]
    assert connection["settings"]["user_timeout_s"] == 29
    assert {each["about"] for each in connection["not_covered"]} == {"idle", "not-reading"}


def test_json_says_why_there_is_no_answer() -> None:
    """And has no settings then."""
    found = suggested(detect_in_flight_within_s=1201.5, survive_s=1190)
    (connection,) = json.loads(suggestion_json.render([found], 3))["connections"]
    assert "too long to be followed" in connection["unanswered"]
    assert connection["settings"] is None
    assert connection["exit_status"] == 3
