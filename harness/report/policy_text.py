"""Findings of `harness check` for people: a paragraph each, then sound connections and counts."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.values import count
from harness.policy.check import Checked, Result
from harness.policy.rule import LEVELS, Finding


def describe(result: Result) -> str:
    """For people."""
    lines = [line for finding in result.findings for line in _paragraph(finding)]
    for each in result.unanswered:
        lines += [f"{each.connection}: {each.rule} cannot be answered: {each.why}", ""]
    sound = [one for one in result.checked if not one.unanswered and all(f.level == "note" for f in one.findings)]
    lines += [_sound(one) for one in sound]
    return "\n".join([*lines, *([""] if sound else []), summary(result)])


def _paragraph(finding: Finding) -> Iterator[str]:
    where = f"{finding.place}: " if finding.place else ""
    yield f"{where}{finding.level} {finding.rule} {finding.connection}: {finding.title}"
    yield f"    expected  {finding.expected}"
    yield f"    found     {finding.found}"
    yield f"    fix       {finding.fix}"
    yield ""


def _sound(one: Checked) -> str:
    """What holds of a connection without errors and warnings."""
    text = f"ok {one.connection.name}: "
    if one.idle is None:
        return f"{text}nothing notices a dead peer while the connection is idle, and nothing is demanded"
    low_s, high_s = one.idle.window_s
    if low_s == high_s:
        return f"{text}a dead peer is noticed within {high_s:g} s while idle, by the heartbeat"
    return f"{text}a dead peer is noticed after {low_s:.2f} to {high_s:.2f} s while idle (HZ={one.idle.hz}, the worst)"


def summary(result: Result) -> str:
    """How many there are of each, in one line."""
    levels = [each.level for each in result.findings]
    counts = [count(levels.count(level), level) for level in LEVELS]
    suppressed = sum(len(one.suppressed) for one in result.checked)
    counts += [f"{suppressed} suppressed"] if suppressed else []
    counts += [f"{len(result.unanswered)} not answered"] if result.unanswered else []
    more = "; `harness explain ID` says more about a rule" if levels else ""
    return f"{count(len(result.checked), 'connection')}: {', '.join(counts)}{more}"
