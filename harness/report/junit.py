"""Verdicts as JUnit XML, the dialect that CI servers read: a fail is a failure, an inconclusive run an error.

Their `type` is the verdict's cause.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

import msgspec

from harness.judge import Verdict

_ELEMENT = {"fail": "failure", "inconclusive": "error"}
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold in any spelling (section 2.2); a program's last words may have them."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario. `wall_s`: how long it took on the wall, whatever its clock; `attempts`: how often it was run."""

    verdict: Verdict
    wall_s: float
    attempts: int = 1


def render(cases: Sequence[Case], wall_s: float) -> bytes:
    """One test suite; `wall_s`: how long all took together."""
    counts = {name: sum(case.verdict.verdict == name for case in cases) for name in ("fail", "inconclusive")}
    suite = ET.Element(
        "testsuite",
        name="keepalive-harness",
        tests=str(len(cases)),
        failures=str(counts["fail"]),
        errors=str(counts["inconclusive"]),
        skipped="0",
        time=f"{wall_s:.3f}",
    )
    suite.extend(map(_testcase, cases))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _testcase(case: Case) -> ET.Element:
    verdict = case.verdict
    folder, _, leaf = verdict.name.rpartition("/")
    group = folder.replace("/", ".") or "scenarios"
    found = ET.Element("testcase", classname=group, name=leaf, time=f"{case.wall_s:.3f}")
    properties = ET.SubElement(found, "properties")
    for name, value in properties_of(verdict, case.attempts).items():
        ET.SubElement(properties, "property", name=name, value=_NOT_XML.sub("\ufffd", value))
    reason = _NOT_XML.sub("\ufffd", verdict.reason)
    element = _ELEMENT.get(verdict.verdict)
    if element is not None:
        ET.SubElement(found, element, message=reason, type=verdict.cause).text = reason
    else:
        ET.SubElement(found, "system-out").text = reason
    return found


def properties_of(verdict: Verdict, attempts: int = 1) -> dict[str, str]:
    """What a test case says beside its result, without what there is none of. Times are in seconds from `origin`."""
    found = {
        "clock": verdict.clock,
        "kernel": verdict.kernel,
        "hz": str(verdict.hz),
        "lab": verdict.lab,
        "cause": verdict.cause,
        "claimed": verdict.claimed,
        "claimed_window_s": _seconds(verdict.claimed_ns),
        "predicted": verdict.predicted,
        "predicted_window_s": _seconds(verdict.window_ns),
        "allowance_s": f"{verdict.allowance_ns / 1e9:g}",
        "origin": verdict.origin,
        "detected_s": "" if verdict.detected_ns is None else f"{verdict.detected_ns / 1e9:.6f}",
        "attempts": str(attempts) if attempts > 1 else "",
    }
    return {name: value for name, value in found.items() if value}


def _seconds(window_ns: tuple[int, int] | None) -> str:
    """As in "5.072 to 5.108"."""
    return "" if window_ns is None else f"{window_ns[0] / 1e9:.3f} to {window_ns[1] / 1e9:.3f}"
