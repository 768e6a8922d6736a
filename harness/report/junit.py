"""Verdicts as JUnit XML, the dialect that CI servers read: a fail is a failure, an inconclusive run
an error.

Their `type` is the verdict's cause.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

import msgspec

from harness.judge.verdict import Verdict
from harness.report import junit_suite, properties
from harness.system.escapes import visible

_ELEMENT = {"fail": "failure", "inconclusive": "error"}


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario.

    `wall_s`: how long it took on the wall, whatever its clock; `attempts`: how often it was run.
    """

    verdict: Verdict
    wall_s: float
    attempts: int = 1


def render(cases: Sequence[Case], wall_s: float) -> bytes:
    """One test suite; `wall_s`: how long all took together."""
    counts = {
        name: sum(case.verdict.verdict == name for case in cases)
        for name in ("fail", "inconclusive")
    }
    return junit_suite.render(
        map(_testcase, cases), failures=counts["fail"], errors=counts["inconclusive"], wall_s=wall_s
    )


def _testcase(case: Case) -> ET.Element:
    verdict = case.verdict
    folder, _, leaf = verdict.name.rpartition("/")
    group = folder.replace("/", ".") or "scenarios"
    found = ET.Element("testcase", classname=group, name=leaf, time=f"{case.wall_s:.3f}")
    beside = ET.SubElement(found, "properties")
    for name, value in properties.of(verdict, case.attempts).items():
        ET.SubElement(beside, "property", name=name, value=visible(value))
    reason = visible(verdict.reason)
    element = _ELEMENT.get(verdict.verdict)
    if element is not None:
        ET.SubElement(found, element, message=reason, type=verdict.cause).text = reason
    else:
        ET.SubElement(found, "system-out").text = reason
    return found
