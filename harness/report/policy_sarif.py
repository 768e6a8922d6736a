"""Findings of `harness check` as SARIF 2.1.0, for code scanning.

What is suppressed with a reason is left out: GitHub would open an alert for it. What cannot be
answered, and what is not proven, is a notification of the tool.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec

from harness.policy.check import Result
from harness.policy.registry import every_rule
from harness.policy.rule import Finding, Level, Rule
from harness.report import policy_fingerprints, policy_proofs
from harness.system.escapes import in_a_line, visible

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
ROOT = "%SRCROOT%"
"""What URIs are relative to: by convention the top of the source tree."""
FINGERPRINT = "keepaliveHarness/v1"


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What is a default in SARIF, too, is left out."""


class _Text(_Part, frozen=True, kw_only=True):
    text: str
    markdown: str | None = None


class _Configuration(_Part, frozen=True, kw_only=True):
    level: Annotated[Level, "of SARIF's levels, those that rules have"]


class _Descriptor(_Part, frozen=True, kw_only=True):
    id: str
    short_description: _Text
    full_description: _Text
    help: _Text
    default_configuration: _Configuration


class _Driver(_Part, frozen=True, kw_only=True):
    name: str
    semantic_version: str
    rules: Sequence[_Descriptor]


class _Tool(_Part, frozen=True, kw_only=True):
    driver: _Driver


class _Reference(_Part, frozen=True, kw_only=True):
    id: str
    index: int


class _Notification(_Part, frozen=True, kw_only=True):
    message: _Text
    level: Level
    associated_rule: _Reference | None = None


class _Invocation(_Part, frozen=True, kw_only=True):
    execution_successful: bool
    tool_execution_notifications: Sequence[_Notification] = ()


class _ArtifactLocation(_Part, frozen=True, kw_only=True):
    uri: str
    uri_base_id: str | None = None


class _Region(_Part, frozen=True, kw_only=True):
    start_line: int
    start_column: int


class _PhysicalLocation(_Part, frozen=True, kw_only=True):
    artifact_location: _ArtifactLocation
    region: _Region


class _LogicalLocation(_Part, frozen=True, kw_only=True):
    name: str


class _Location(_Part, frozen=True, kw_only=True):
    physical_location: _PhysicalLocation | None = None
    logical_locations: Sequence[_LogicalLocation] = ()


class _Result(_Part, frozen=True, kw_only=True):
    rule_id: str
    rule_index: int
    level: Level
    message: _Text
    locations: Sequence[_Location]
    partial_fingerprints: dict[str, str]
    properties: dict[str, Any]


class _Run(_Part, frozen=True, kw_only=True):
    tool: _Tool
    invocations: Sequence[_Invocation]
    results: Sequence[_Result]
    column_kind: Literal["unicodeCodePoints"]


class _Log(_Part, frozen=True, kw_only=True):
    schema: str = msgspec.field(name="$schema")
    version: Literal["2.1.0"]
    runs: Sequence[_Run]


def render(result: Result, root: Path, version: str) -> bytes:
    """One run; `root`: the folder that URIs are relative to, `version`: of the harness."""
    rules = every_rule()
    order = {each: index for index, each in enumerate(rules)}
    driver = _Driver(
        name="keepalive-harness",
        semantic_version=version,
        rules=[_descriptor(rule) for rule in rules.values()],
    )
    run = _Run(
        tool=_Tool(driver=driver),
        invocations=[_invocation(result, order)],
        results=[
            _result(finding, order[finding.rule], fingerprint, root)
            for finding, fingerprint in policy_fingerprints.of_findings(result, root)
        ],
        column_kind="unicodeCodePoints",
    )
    log = _Log(schema=SCHEMA, version="2.1.0", runs=[run])
    return msgspec.json.format(msgspec.json.encode(log), indent=2) + b"\n"


def _descriptor(rule: Rule) -> _Descriptor:
    page = rule.page.strip()
    return _Descriptor(
        id=rule.id,
        short_description=_Text(text=rule.title),
        full_description=_Text(text=page.partition("\n\n")[0].replace("\n", " ")),
        help=_Text(text=page, markdown=page),
        default_configuration=_Configuration(level=rule.level),
    )


def _invocation(result: Result, order: dict[str, int]) -> _Invocation:
    notes = [
        _Notification(
            message=_text(f"{each.connection}: {each.rule} cannot be answered: {each.why}"),
            level="warning",
            associated_rule=_Reference(id=each.rule, index=order[each.rule]),
        )
        for each in result.unanswered
    ]
    proofs = result.proofs
    if proofs is None:
        return _Invocation(execution_successful=True, tool_execution_notifications=notes)
    notes += [
        _Notification(message=_text(each), level="warning")
        for each in policy_proofs.notices(proofs)
    ]
    return _Invocation(
        execution_successful=not proofs.having("refuted"), tool_execution_notifications=notes
    )


def _result(finding: Finding, index: int, fingerprint: str, root: Path) -> _Result:
    return _Result(
        rule_id=finding.rule,
        rule_index=index,
        level=finding.level,
        message=_text(f"{finding.connection}: {finding.message}"),
        locations=[_location(finding, root)],
        partial_fingerprints={FINGERPRINT: fingerprint},
        properties={
            "connection": finding.connection,
            "hz": finding.hz,
            "window_s": finding.window_s,
        },
    )


def _text(message: str) -> _Text:
    """In one line; a doubled brace is no placeholder, and a backslash keeps a bracket from being
    a link.
    """
    line = in_a_line(message).replace("{", "{{").replace("}", "}}")
    if "](" in line:
        line = line.replace("[", "\\[").replace("]", "\\]")
    return _Text(text=line)


def _location(finding: Finding, root: Path) -> _Location:
    """Of a connection that options describe, its name alone."""
    named = [_LogicalLocation(name=visible(finding.connection))]
    place = finding.place
    if place is None:
        return _Location(logical_locations=named)
    physical = _PhysicalLocation(
        artifact_location=_artifact(place.file, root),
        region=_Region(start_line=place.line, start_column=place.column),
    )
    return _Location(physical_location=physical, logical_locations=named)


def _artifact(file: str, root: Path) -> _ArtifactLocation:
    path = policy_fingerprints.relative(file, root)
    uri = quote(path, errors="surrogateescape")
    if path.startswith("/"):
        return _ArtifactLocation(uri=f"file://{uri}")
    return _ArtifactLocation(uri=uri, uri_base_id=ROOT)
