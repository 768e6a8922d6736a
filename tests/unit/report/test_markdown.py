"""The overview of a run as Markdown."""

from __future__ import annotations

import msgspec
import pytest

from harness.judge.verdict import judge
from harness.report import json, markdown
from harness.report.documents import ScenarioResult
from tests.unit.timelines import as_foreseen, changed, flap, unreachable


def passed() -> ScenarioResult:
    """Of a detection as foreseen."""
    plan = unreachable()
    return named("good/one", json.result(judge(plan, as_foreseen(plan))))


def refuted() -> ScenarioResult:
    """Of another errno than is claimed."""
    plan = unreachable()
    events = changed(as_foreseen(plan), "subject.detected", errno="EPIPE")
    return named("bad/errno", json.result(judge(plan, events)))


def unjudged() -> ScenarioResult:
    """Of a run that never began."""
    return named("bad/broken", json.result(judge(unreachable(), [])))


def named(name: str, result: ScenarioResult) -> ScenarioResult:
    """The same under another name."""
    return msgspec.structs.replace(result, name=name)


def rows(page: str) -> list[list[str]]:
    """The cells of all tables, without their headers."""
    found = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    return [row for row in found if row[0] not in ("verdict", "scenario")]


def test_what_did_not_pass_stands_first_and_the_rest_is_folded() -> None:
    """Failures before what could not be judged, each with its reason."""
    page = markdown.overview([passed(), unjudged(), refuted()], "harness run", 12.34)
    lines = page.splitlines()
    assert lines[0] == "### harness run: 1 pass, 1 fail, 1 inconclusive in 12.3 s"
    bad, broken, good = rows(page)
    assert bad[:4] == [
        "fail (claim-refuted)",
        "bad/errno",
        "ETIMEDOUT",
        "EPIPE 5.090 s after arming",
    ]
    assert bad[5] == refuted().reason
    assert broken[:2] == ["inconclusive (never-armed)", "bad/broken"]
    assert good == [
        "good/one",
        "ETIMEDOUT",
        "ETIMEDOUT 5.090 s after arming",
        "5.072 to 5.108 s after arming",
    ]
    folded = page[page.index("<details>") :]
    assert folded.startswith("<details><summary>1 passed</summary>\n\n| scenario |")
    assert "good/one" in folded
    assert "bad/errno" not in folded
    assert folded.endswith("\n\n</details>\n")
    assert "Times are real time; Linux 6.18.0, HZ=250." in lines


def test_all_passed() -> None:
    """There is no table of others."""
    plan = flap()
    quiet = json.result(judge(plan, as_foreseen(plan)))
    page = markdown.overview([passed(), quiet], "pytest")
    assert page.startswith("### pytest: 2 pass, 0 fail, 0 inconclusive\n")
    assert "<details><summary>all 2 passed</summary>" in page
    assert [row[2] for row in rows(page)] == ["ETIMEDOUT 5.090 s after arming", "nothing"]


def test_text_of_programs_is_escaped() -> None:
    """It ends no cell and no line, and is no HTML."""
    hostile = "a | b\n</details><script> \x1b[2J"
    result = msgspec.structs.replace(refuted(), name=hostile, reason=hostile, claimed=hostile)
    page = markdown.overview([result, passed()], "harness run")
    assert page.count("\n| fail (") == 1
    assert "a \\| b\\n&lt;/details>&lt;script> \\x1b[2J" in page
    assert page.count("</details>") == 1
    assert "\x1b" not in page


@pytest.mark.parametrize("number", [100, 20_000])
def test_github_takes_it(number: int) -> None:
    """It refuses more than 1 MiB: what is left out is counted."""
    bad = msgspec.structs.replace(refuted(), reason="very long " * 1000)
    page = markdown.overview([bad, passed()] * number, "harness run")
    assert len(page.encode()) < 1 << 20
    shown = dict.fromkeys(("fail (claim-refuted)", "good/one"), 0)
    for row in rows(page):
        shown[row[0]] += 1
    assert all(shown.values())
    left_out = [int(line.split()[0]) for line in page.splitlines() if "more are left out" in line]
    assert sum(shown.values()) + sum(left_out) == 2 * number
    assert page.endswith("</details>\n")
