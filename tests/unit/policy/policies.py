"""Connections for tests of rules: made from keys, and checked."""

from __future__ import annotations

from typing import Any

import msgspec

from harness.policy.check import Result, check
from harness.policy.registry import every_rule
from harness.policy.rule import Finding
from harness.policy.settings import Connection, Terms


def connection(**keys: Any) -> Connection:
    """One of a policy with these keys."""
    return Connection(name="db", terms=msgspec.convert(keys, Terms))


def checked(**keys: Any) -> Result:
    """What all rules find at it."""
    return check([connection(**keys)], list(every_rule().values()))


def found(rule: str, **keys: Any) -> list[Finding]:
    """What one rule finds at it."""
    return [each for each in checked(**keys).findings if each.rule == rule]
