"""Findings of `harness check` as JUnit XML: a test case for each connection.

Errors and warnings are failures, what cannot be answered is an error. Notes are in the output, and
so is what cannot be answered of a connection that has a failure.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from harness.policy.check import Checked, Result
from harness.policy.proof import Proofs
from harness.policy.rule import Finding
from harness.report import junit_suite, policy_proofs
from harness.system.escapes import visible

COMMAND_LINE = "options"
"""The class of a connection that is in no file."""


def render(result: Result) -> bytes:
    """One test suite."""
    cases = [_of_connection(one) for one in result.checked]
    cases += [
        _case("defaults", each.place.file if each.place else COMMAND_LINE, [each])
        for each in result.others
    ]
    cases += [] if result.proofs is None else _of_proofs(result.proofs)
    failures = sum(case.find("failure") is not None for case in cases)
    errors = sum(case.find("error") is not None for case in cases)
    return junit_suite.render(cases, failures=failures, errors=errors)


def _of_connection(one: Checked) -> ET.Element:
    place = one.connection.place
    case = _case(one.connection.name, place.file if place else COMMAND_LINE, one.findings)
    if not one.unanswered:
        return case
    why = visible("\n".join(f"{each.rule}: {each.why}" for each in one.unanswered))
    if case.find("failure") is None:
        ET.SubElement(case, "error", message=why, type=one.unanswered[0].rule).text = why
        return case
    output = case.find("system-out")
    if output is None:
        output = ET.SubElement(case, "system-out")
    output.text = "\n".join(filter(None, (output.text, f"not answered: {why}")))
    return case


def _of_proofs(proofs: Proofs) -> list[ET.Element]:
    """A case for each question: refuted is a failure, not proven an error.

    What the program decides is skipped.
    """
    cases = []
    for row in policy_proofs.rows(proofs):
        connection, question, hz, predicted, measured, _ = row.cells
        name = visible(f"{connection}: {question} at HZ={hz}")
        case = ET.Element("testcase", classname="proof", name=name, time="0.000")
        kind = {"refuted": "failure", "not-proven": "error"}.get(row.proof.comparison)
        if row.proof.claim.by_program:
            ET.SubElement(case, "skipped", message=visible(f"not proven: {row.proof.why}"))
        elif kind is not None:
            why = visible(row.proof.why)
            ET.SubElement(case, kind, message=why, type=row.proof.comparison).text = why
        else:
            words = visible(f"predicted {predicted}; measured {measured}")
            ET.SubElement(case, "system-out").text = words
        cases.append(case)
    if proofs.missing_asked:
        case = ET.Element("testcase", classname="proof", name="kernels", time="0.000")
        why = policy_proofs.missing(proofs)
        ET.SubElement(case, "error", message=why, type="not-proven").text = why
        cases.append(case)
    return cases


def _case(name: str, group: str, findings: Sequence[Finding]) -> ET.Element:
    case = ET.Element("testcase", classname=visible(group), name=visible(name), time="0.000")
    bad = [each for each in findings if each.level != "note"]
    if bad:
        text = visible("\n".join(map(_line, bad)))
        message = visible(f"{bad[0].rule}: {bad[0].title}")
        ET.SubElement(case, "failure", message=message, type=bad[0].rule).text = text
    notes = [each for each in findings if each.level == "note"]
    if notes:
        ET.SubElement(case, "system-out").text = visible("\n".join(map(_line, notes)))
    return case


def _line(finding: Finding) -> str:
    where = f"{finding.place}: " if finding.place else ""
    return f"{where}{finding.level} {finding.rule}: {finding.message}"
