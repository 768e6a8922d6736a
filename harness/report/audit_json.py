"""Live sockets as JSON: each group with where its values come from, and the findings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from harness.model.live_sockets import Unread
from harness.policy.audit.groups import SYSCTLS, Group
from harness.policy.audit.judging import Audit, Row
from harness.report import policy_json

FORMAT = 1


def render(audit: Audit, unread: Sequence[Unread]) -> bytes:
    """{"format", "exit_status", "sockets", "unread", "unmatched", "findings", "suppressed",
    "unanswered"}, the last three as in the JSON of `harness check`.
    """
    found: dict[str, Any] = msgspec.to_builtins(policy_json.document(audit.result))
    del found["connections"]
    document = {
        "format": FORMAT,
        "exit_status": found.pop("exit_status"),
        "sockets": [_row(row) for row in audit.rows],
        "unread": [msgspec.to_builtins(each) for each in unread],
        "unmatched": audit.unmatched,
        **{key: value for key, value in found.items() if key != "format"},
    }
    return policy_json.encode(document)


def _row(row: Row) -> dict[str, Any]:
    group, key, options = row.group, row.group.key, row.group.key.options
    timeout_ms = options.user_timeout_ms
    values = {
        "keepalive": options.keepalive,
        "idle_s": options.idle_s,
        "interval_s": options.interval_s,
        "count": options.count,
        "user_timeout_s": None if timeout_ms is None else timeout_ms / 1000,
    }
    return {
        "name": row.name,
        "program": key.program or None,
        "user": key.user,
        "role": key.role,
        "ports": group.ports,
        "networks": group.networks,
        "number": group.number,
        "pids": group.pids,
        "options": {
            name: {"value": value, "from": _source(group, name)} for name, value in values.items()
        },
        "detected_idle": msgspec.to_builtins(row.idle),
        "detected_in_flight": msgspec.to_builtins(row.in_flight),
    }


def _source(group: Group, name: str) -> str:
    source = group.source("user_timeout_ms" if name == "user_timeout_s" else name)
    return SYSCTLS[name] if source == "sysctl" else source
