"""A JUnit XML document of one test suite, whatever its test cases are about."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree as ET


def render(
    cases: Iterable[ET.Element], *, failures: int, errors: int, wall_s: float = 0.0
) -> bytes:
    """One test suite.

    `failures`, `errors`: how many of the cases have such an element. `wall_s`: how long all took.
    """
    found = list(cases)
    suite = ET.Element(
        "testsuite",
        name="keepalive-harness",
        tests=str(len(found)),
        failures=str(failures),
        errors=str(errors),
        skipped="0",
        time=f"{wall_s:.3f}",
    )
    suite.extend(found)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"
