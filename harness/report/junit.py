"""Verdicts as JUnit XML, the dialect that CI servers read: a fail is a failure, an inconclusive run an error."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from harness.judge import Verdict

_ELEMENT = {"fail": "failure", "inconclusive": "error"}


def render(verdicts: Sequence[Verdict], took_s: dict[str, float]) -> bytes:
    """One test suite; `took_s` gives each scenario's wall time in seconds by name."""
    counts = {name: sum(v.verdict == name for v in verdicts) for name in ("fail", "inconclusive")}
    suite = ET.Element(
        "testsuite",
        name="keepalive-harness",
        tests=str(len(verdicts)),
        failures=str(counts["fail"]),
        errors=str(counts["inconclusive"]),
        skipped="0",
        time=f"{max(took_s.values(), default=0.0):.3f}",
    )
    for verdict in verdicts:
        folder, _, leaf = verdict.name.rpartition("/")
        case = ET.SubElement(
            suite,
            "testcase",
            classname=folder.replace("/", ".") or "scenarios",
            name=leaf,
            time=f"{took_s.get(verdict.name, 0.0):.3f}",
        )
        element = _ELEMENT.get(verdict.verdict)
        if element is not None:
            ET.SubElement(case, element, message=verdict.reason, type=verdict.verdict).text = verdict.reason
        else:
            ET.SubElement(case, "system-out").text = verdict.reason
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"
