"""Findings of `harness check` as JSON. Times are seconds after the last segment from the peer."""

from __future__ import annotations

from typing import TypedDict

import msgspec

from harness.policy.check import Checked, Result
from harness.policy.rule import Finding
from harness.policy.settings import Place
from harness.report import policy_proofs
from harness.report.check_document import (
    FORMAT,
    CheckedConnection,
    CheckFinding,
    CheckReport,
    SuppressedFinding,
)


def render(result: Result) -> bytes:
    """The document, indented."""
    return encode(document(result))


def encode(document: object) -> bytes:
    """A document, indented."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def document(result: Result) -> CheckReport:
    """What was checked, and what was found."""
    return CheckReport(
        format=FORMAT,
        exit_status=result.exit_status,
        connections=tuple(_connection(one) for one in result.checked),
        findings=tuple(_finding(each) for each in result.findings),
        suppressed=tuple(
            SuppressedFinding(
                **msgspec.structs.asdict(_finding(each)),
                reason=one.connection.terms.ignore[each.rule],
            )
            for one in result.checked
            for each in one.suppressed
        ),
        proof=None if result.proofs is None else policy_proofs.document(result.proofs),
        unanswered=tuple(result.unanswered),
    )


def _connection(one: Checked) -> CheckedConnection:
    settings = one.connection.settings
    return CheckedConnection(
        name=one.connection.name,
        **_place(one.connection.place),
        keepalive=settings.keepalive,
        idle_s=settings.idle_s,
        interval_s=settings.interval_s,
        count=settings.count,
        user_timeout_s=settings.user_timeout_ms / 1000,
        overview=one.overview,
    )


def _finding(finding: Finding) -> CheckFinding:
    return CheckFinding(
        rule=finding.rule,
        level=finding.level,
        title=finding.title,
        connection=finding.connection,
        **_place(finding.place),
        expected=finding.expected,
        found=finding.found,
        fix=finding.fix,
        hz=finding.hz,
        window_s=finding.window_s,
        defaults=finding.defaults,
    )


class _Place(TypedDict):
    file: str | None
    line: int | None
    column: int | None


def _place(place: Place | None) -> _Place:
    if place is None:
        return {"file": None, "line": None, "column": None}
    return {"file": place.file, "line": place.line, "column": place.column}
