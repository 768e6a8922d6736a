"""All rules by their ids.

A file in `harness/policy/rules` with a value named RULE is a rule; nothing else lists it.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType

from harness.errors import UsageError
from harness.policy import rules
from harness.policy.rule import Rule
from harness.system import submodules
from harness.system.spelling import did_you_mean


@cache
def every_rule() -> Mapping[str, Rule]:
    """In the order of their ids."""
    found = {}
    for name in submodules.names(rules):
        rule: Rule = importlib.import_module(f"{rules.__name__}.{name}").RULE
        found[rule.id] = rule
    return MappingProxyType(dict(sorted(found.items())))


def named(name: str) -> Rule:
    """The rule with an id: in capitals or not, with zeros or not ("ka13"). Raises UsageError."""
    known, number = every_rule(), re.fullmatch(r"(?:KA)?([0-9]{1,3})", name.upper())
    rule = known.get(f"KA{int(number[1]):03}" if number else "")
    if rule is None:
        raise UsageError(f"expected {expected()}, found {name}{did_you_mean(name.upper(), known)}")
    return rule


def expected() -> str:
    """In words, for messages."""
    known = list(every_rule())
    return f"the id of a rule ({', '.join(known)})"


def selected(select: Sequence[str], ignore: Sequence[str]) -> tuple[Rule, ...]:
    """The rules of `select`, or all where it is empty, without those of `ignore`.

    Raises UsageError.
    """
    chosen = [named(each) for each in select] or list(every_rule().values())
    refused = [named(each) for each in ignore]
    return tuple(rule for rule in chosen if rule not in refused)
