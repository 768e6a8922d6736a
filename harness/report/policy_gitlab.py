"""Findings of `harness check` as a GitLab Code Quality report.

What cannot be answered is an issue of the severity "info". GitLab shows nothing without a path: of
a connection that options describe it is the word "options".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from harness.policy.check import Checked, Result
from harness.policy.rule import Finding, Level
from harness.policy.settings import Place
from harness.report import policy_fingerprints
from harness.system.escapes import in_a_line

OPTIONS = "options"
"""The path of what is in no file."""
Severity = Literal["info", "minor", "major"]
_SEVERITIES: dict[Level, Severity] = {"error": "major", "warning": "minor", "note": "info"}


class _Lines(msgspec.Struct, frozen=True, kw_only=True):
    begin: int


class _Location(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    lines: _Lines


class _Issue(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that GitLab reads of the format of Code Climate."""

    description: str
    check_name: str
    fingerprint: str
    severity: Severity
    location: _Location


def render(result: Result, root: Path) -> bytes:
    """An array of issues; `root`: the folder that paths are relative to."""
    issues: Sequence[_Issue] = [
        *(_of_finding(*each, root) for each in policy_fingerprints.of_findings(result, root)),
        *(issue for one in result.checked for issue in _of_unanswered(one, root)),
    ]
    return msgspec.json.format(msgspec.json.encode(issues), indent=2) + b"\n"


def _of_finding(finding: Finding, fingerprint: str, root: Path) -> _Issue:
    return _Issue(
        description=in_a_line(f"{finding.connection}: {finding.message}"),
        check_name=finding.rule,
        fingerprint=fingerprint,
        severity=_SEVERITIES[finding.level],
        location=_location(finding.place, root),
    )


def _of_unanswered(one: Checked, root: Path) -> Iterator[_Issue]:
    location = _location(one.connection.place, root)
    for each in one.unanswered:
        yield _Issue(
            description=in_a_line(f"{each.connection}: cannot be answered: {each.why}"),
            check_name=each.rule,
            fingerprint=policy_fingerprints.fingerprint(
                each.rule, location.path, each.connection, "not answered"
            ),
            severity="info",
            location=location,
        )


def _location(place: Place | None, root: Path) -> _Location:
    if place is None:
        return _Location(path=OPTIONS, lines=_Lines(begin=1))
    path = policy_fingerprints.relative(place.file, root)
    return _Location(path=path, lines=_Lines(begin=place.line))
