"""JUnit XML: a structure that CI servers read, whatever the reasons say."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.judge.verdict import Verdict, judge
from harness.report import junit
from harness.system.escapes import visible
from tests.unit.timelines import as_foreseen, unreachable


def verdicts() -> list[Verdict]:
    """One of each: pass, fail, inconclusive, and one that is in no folder."""
    plan = unreachable()
    good = judge(plan, as_foreseen(plan))
    return [
        msgspec.structs.replace(good, name="outcomes/peer-down"),
        msgspec.structs.replace(
            good,
            name="outcomes/deep/er",
            verdict="fail",
            cause="claim-refuted",
            reason='expected <this> & "that"',
        ),
        msgspec.structs.replace(
            good,
            name="link/own",
            verdict="inconclusive",
            cause="run-broken",
            reason="the lab broke",
        ),
        msgspec.structs.replace(good, name="alone"),
    ]


def cases(*verdicts: Verdict, **wall_s: float) -> list[junit.Case]:
    """A case for each; wall times by the leaves of their names."""
    return [
        junit.Case(verdict=each, wall_s=wall_s.get(each.name.rpartition("/")[2], 0.0))
        for each in verdicts
    ]


def parsed(data: bytes) -> ET.Element:
    """The one test suite of a document."""
    root = ET.fromstring(data)  # noqa: S314 - our own
    assert root.tag == "testsuites"
    (suite,) = root
    assert suite.tag == "testsuite"
    return suite


def test_counts_and_times() -> None:
    """The suite counts tests, failures and errors, and has the wall time of all.

    Cases have their own.
    """
    suite = parsed(junit.render(cases(*verdicts(), alone=5.1, own=0.25), 7.5))
    counts = {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped", "time")}
    assert counts == {"tests": "4", "failures": "1", "errors": "1", "skipped": "0", "time": "7.500"}
    assert [case.get("time") for case in suite] == ["0.000", "0.000", "0.250", "5.100"]


def test_cases_are_named_after_their_place() -> None:
    """The folder is the class, in dots, so that CI servers make a tree of it."""
    suite = parsed(junit.render(cases(*verdicts()), 0.0))
    found = [(case.tag, case.get("classname"), case.get("name")) for case in suite]
    assert found == [
        ("testcase", "outcomes", "peer-down"),
        ("testcase", "outcomes.deep", "er"),
        ("testcase", "link", "own"),
        ("testcase", "scenarios", "alone"),
    ]


def test_an_inconclusive_run_is_an_error_and_never_skipped() -> None:
    """A fail is a failure with its cause and reason, an inconclusive run an error, a pass says why
    in its output.
    """
    good, bad, unclear, _ = parsed(junit.render(cases(*verdicts()), 0.0))
    assert [child.tag for child in good] == ["properties", "system-out"]
    (_, failure), (_, error) = bad, unclear
    assert (failure.tag, failure.get("type")) == ("failure", "claim-refuted")
    assert failure.get("message") == failure.text == 'expected <this> & "that"'
    assert (error.tag, error.get("type"), error.text) == ("error", "run-broken", "the lab broke")


def test_a_case_says_what_was_claimed_and_where() -> None:
    """As properties: the clock and the machine, claim, window, what was measured, and how often it
    was run.
    """
    plan = unreachable(window_s=(5.0, 5.4))
    verdict = msgspec.structs.replace(judge(plan, as_foreseen(plan)), summary="A path that is cut")
    suite = parsed(junit.render([junit.Case(verdict=verdict, wall_s=0.1, attempts=2)], 0.2))
    found = {each.get("name"): each.get("value") for each in suite.iter("property")}
    assert found["claim"] == "ETIMEDOUT 5 to 5.4 s after arming"
    assert found["summary"] == "A path that is cut"
    assert found["window"] == "5.072 to 5.108 s after arming"
    assert found["attempts"] == "2"


def test_nothing_run_is_an_empty_suite() -> None:
    """No scenarios, no cases."""
    suite = parsed(junit.render([], 0.0))
    assert (suite.get("tests"), len(suite)) == ("0", 0)


@pytest.mark.parametrize(
    "words", ["\x1b[31mred\x1b[0m", "nul \x00", "half a pair \ud800", "\ufffe"]
)
def test_what_xml_cannot_hold_is_shown_as_an_escape(words: str) -> None:
    """A program's last words may hold characters that no XML document can."""
    broken = msgspec.structs.replace(verdicts()[2], reason=words)
    (case,) = parsed(junit.render(cases(broken), 0.0))
    assert str(case[1].text) == visible(words) != words


@settings(deadline=None)
@given(st.text(st.characters(), max_size=30))
def test_any_reason_makes_a_document(words: str) -> None:
    """Whatever the reason, the document can be read again."""
    (case,) = parsed(junit.render(cases(msgspec.structs.replace(verdicts()[1], reason=words)), 0.0))
    assert case[1].tag == "failure"
