"""Findings of `harness check` as JSON. Times are seconds after the last segment from the peer."""

from __future__ import annotations

from typing import Any

import msgspec

from harness.policy.check import Checked, Result
from harness.policy.rule import Finding
from harness.policy.settings import Place
from harness.report import policy_proofs

FORMAT = 1


def render(result: Result) -> bytes:
    """The document, indented."""
    return encode(document(result))


def encode(document: dict[str, Any]) -> bytes:
    """A document, indented."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def document(result: Result) -> dict[str, Any]:
    """{"format", "exit_status", "connections", "findings", "suppressed", "proof",
    "unanswered"}; the proof is null without --prove.
    """
    return {
        "format": FORMAT,
        "exit_status": result.exit_status,
        "connections": [_connection(one) for one in result.checked],
        "findings": [_finding(each) for each in result.findings],
        "suppressed": [
            {**_finding(each), "reason": one.connection.terms.ignore[each.rule]}
            for one in result.checked
            for each in one.suppressed
        ],
        "proof": None if result.proofs is None else policy_proofs.as_json(result.proofs),
        "unanswered": [msgspec.to_builtins(each) for each in result.unanswered],
    }


def _connection(one: Checked) -> dict[str, Any]:
    settings = one.connection.settings
    return {
        "name": one.connection.name,
        **_place(one.connection.place),
        "keepalive": settings.keepalive,
        "idle_s": settings.idle_s,
        "interval_s": settings.interval_s,
        "count": settings.count,
        "user_timeout_s": settings.user_timeout_ms / 1000,
        "overview": None if one.overview is None else msgspec.to_builtins(one.overview),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "level": finding.level,
        "title": finding.title,
        "connection": finding.connection,
        **_place(finding.place),
        "expected": finding.expected,
        "found": finding.found,
        "fix": finding.fix,
        "hz": finding.hz,
        "window_s": finding.window_s,
        "defaults": [msgspec.to_builtins(each) for each in finding.defaults],
    }


def _place(place: Place | None) -> dict[str, Any]:
    if place is None:
        return {"file": None, "line": None, "column": None}
    return {"file": place.file, "line": place.line, "column": place.column}
