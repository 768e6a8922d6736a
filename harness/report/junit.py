"""Verdicts as JUnit XML, the dialect that CI servers read: a fail is a failure, an inconclusive run an error.

Their `type` is the verdict's cause.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as ET

from harness.judge import Verdict

_ELEMENT = {"fail": "failure", "inconclusive": "error"}
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold in any spelling (section 2.2); a program's last words may have them."""


def render(verdicts: Sequence[Verdict], took_s: Mapping[str, float], wall_s: float) -> bytes:
    """One test suite; `took_s` gives each run's length in seconds by name, `wall_s` that of all together."""
    counts = {name: sum(v.verdict == name for v in verdicts) for name in ("fail", "inconclusive")}
    suite = ET.Element(
        "testsuite",
        name="keepalive-harness",
        tests=str(len(verdicts)),
        failures=str(counts["fail"]),
        errors=str(counts["inconclusive"]),
        skipped="0",
        time=f"{wall_s:.3f}",
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
        reason = _NOT_XML.sub("\ufffd", verdict.reason)
        element = _ELEMENT.get(verdict.verdict)
        if element is not None:
            ET.SubElement(case, element, message=reason, type=verdict.cause).text = reason
        else:
            ET.SubElement(case, "system-out").text = reason
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"
