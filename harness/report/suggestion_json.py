"""Suggested settings as JSON. Times are seconds, but for values of setsockopt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from harness.policy.suggest import Suggestion
from harness.policy.suggest_limits import limits
from harness.policy.suggest_shapes import SETTINGS
from harness.policy.suggest_snippet import options

FORMAT = 1


def render(suggestions: Sequence[Suggestion], exit_status: int) -> bytes:
    """{"format", "exit_status", "connections"}, of which each has "settings" or "conflict"."""
    document = {
        "format": FORMAT,
        "exit_status": exit_status,
        "connections": [_connection(each) for each in suggestions],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _connection(suggestion: Suggestion) -> dict[str, Any]:
    checked, conflict = suggestion.checked, suggestion.conflict
    found: dict[str, Any] = {
        "name": suggestion.asked.name,
        "exit_status": suggestion.exit_status,
        "settings": None,
        "conflict": None if conflict is None else msgspec.to_builtins(conflict),
        "unanswered": suggestion.unanswered or None,
        "lines": suggestion.lines or None,
        "unwritable": suggestion.unwritable or None,
    }
    if checked is None or suggestion.result is None:
        return found
    connection, terms = checked.connection, checked.connection.terms
    return found | {
        "settings": msgspec.to_builtins({key: getattr(terms, key) for key in SETTINGS})
        | {"keepalive": connection.keepalive},
        "setsockopt": msgspec.to_builtins(options(connection)),
        "overview": msgspec.to_builtins(checked.overview),
        "findings": [
            {"rule": each.rule, "level": each.level, "expected": each.expected, "found": each.found}
            for each in suggestion.result.findings
        ],
        "costs": msgspec.to_builtins(suggestion.costs),
        "not_covered": msgspec.to_builtins(limits(checked)),
    }
