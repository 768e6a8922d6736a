"""Suggested settings for people: the options, the figures that prove them, and their limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.model.values import count
from harness.policy.check import Checked
from harness.policy.settings import Connection
from harness.policy.suggest import Suggestion
from harness.policy.suggest_limits import LIMITS, limits
from harness.policy.suggest_relief import Conflict, Demand
from harness.policy.suggest_snippet import options
from harness.policy.words import plain
from harness.report import policy_text
from harness.system.escapes import in_a_line, log_line

NOT_NEEDED = "none needed"
"""In place of settings: the demands are met without keepalive and without a user timeout."""
_UNITS = {"TCP_KEEPIDLE": "s", "TCP_KEEPINTVL": "s", "TCP_USER_TIMEOUT": "ms"}


def describe(suggestion: Suggestion) -> str:
    """One connection in full."""
    return "\n".join(_lines(suggestion))


def table(suggestions: Sequence[Suggestion]) -> str:
    """Several connections: a line for each, with the settings that it has and those suggested."""
    rows = [("connection", "settings now", "suggested"), *(_row(each) for each in suggestions)]
    refused = sum(each.checked is None or bool(each.unwritable) for each in suggestions)
    total = count(len(suggestions), "connection")
    found = f"for {len(suggestions) - refused}, none for {refused}" if refused else "for all"
    summary = f"{total}: settings found {found}"
    more = "; `harness suggest FILE --connection NAME` says more about one"
    return "\n".join([*policy_text.columns(rows), "", f"{summary}{more}"])


def _row(suggestion: Suggestion) -> tuple[str, str, str]:
    asked, checked = suggestion.asked, suggestion.checked
    if checked is not None:
        proposed = in_short(checked.connection, NOT_NEEDED)
        if suggestion.unwritable:
            proposed = f"no directives for {proposed}"
        proposed = "keep as is" if in_short(checked.connection) == in_short(asked) else proposed
    elif suggestion.unanswered:
        proposed = "cannot be answered"
    else:
        proposed = "none meet all demands"
    return in_a_line(asked.name), in_short(asked), proposed


def _lines(suggestion: Suggestion) -> Iterator[str]:
    name = suggestion.asked.name
    if suggestion.unanswered:
        yield log_line(f"{name}: cannot be answered: {suggestion.unanswered}")
    elif suggestion.conflict is not None:
        yield from _refusal(suggestion, suggestion.conflict)
    elif suggestion.checked is not None and suggestion.result is not None:
        yield log_line(f"{name}: {in_short(suggestion.checked.connection, NOT_NEEDED)}")
        yield ""
        if suggestion.unwritable:
            yield log_line(suggestion.unwritable)
            yield ""
        if suggestion.lines:
            yield from (f"    {line}".rstrip() for line in suggestion.lines.splitlines())
            yield ""
        else:
            yield from _options(suggestion.checked)
        yield from _traffic(suggestion, suggestion.checked)
        yield from remaining(suggestion.checked)
        for finding in suggestion.result.findings:
            if finding.rule not in LIMITS:
                yield from policy_text.paragraph(finding)
        yield from policy_text.figures(suggestion.result)


def in_short(connection: Connection, nothing: str = "none set") -> str:
    """The settings in a few words; `nothing`: where there are none."""
    settings, beat = connection.settings, connection.terms.heartbeat
    words = []
    if settings.keepalive:
        words.append(
            f"idle {settings.idle_s} s, interval {settings.interval_s} s, count {settings.count}"
        )
    if settings.user_timeout_ms:
        words.append(f"user timeout {plain(settings.user_timeout_ms / 1000)} s")
    if connection.terms.retries2 is not None:
        words.append(f"retries2 {connection.terms.retries2}")
    if beat is not None:
        words.append(f"heartbeat every {plain(beat.every_s)} s")
    return ", ".join(words) or nothing


def _options(checked: Checked) -> Iterator[str]:
    found = options(checked.connection)
    for each in found:
        yield f"    {each.name:<16}  {each.value:>6} {_UNITS.get(each.name, '')}".rstrip()
    if found:
        yield ""


def _traffic(suggestion: Suggestion, checked: Checked) -> Iterator[str]:
    settings = checked.connection.settings
    if not settings.keepalive:
        return
    yield (
        f"An idle connection to a live peer is sent {plain(3600 / settings.idle_s)} probes an hour "
        f"or fewer, a dead peer {settings.count} until it is given up."
    )
    for cost in suggestion.costs:
        if cost.idle_s is not None:
            given_up = f"{_demand(cost.demand)}{',' if cost.demand.key == 'path' else ''}"
            yield f"Without {given_up} the idle time could be {cost.idle_s} s or more."
    yield ""


def remaining(checked: Checked) -> Iterator[str]:
    """What the settings cannot give."""
    found = limits(checked)
    if not found:
        return
    yield "What these settings do not cover:"
    for each in found:
        yield f"- {each.text}"
    yield ""


def _refusal(suggestion: Suggestion, conflict: Conflict) -> Iterator[str]:
    asked = suggestion.asked
    hz = ", ".join(str(each) for each in sorted(set(asked.terms.hz)))
    yield log_line(f"{asked.name}: no settings meet all demands at HZ={hz}")
    yield ""
    rows = [
        (
            f"    {_demand(each.demand)}",
            f"would have to be {plain(each.met_s)} s"
            + (" or less" if each.demand.key == "survive_s" else " or more"),
        )
        for each in conflict.reliefs
    ]
    yield from policy_text.columns(rows)
    if len(rows) > 1:
        yield "Changing one of them is enough."
    elif not rows and conflict.together:
        names = " and ".join(_demand(each) for each in conflict.together)
        yield f"No change of one demand is enough. Give up {names}."
    if conflict.hz:
        alone = ", ".join(str(each) for each in conflict.hz)
        yield f"HZ decides: in a fleet of one HZ they are met at {alone}."
    yield ""
    yield (
        "All others are ruled out: an idle time of 1 to 32767 s, an interval no longer than it, a "
        "count of 2 to 127, a user timeout in whole seconds or tenths."
    )


def _demand(demand: Demand) -> str:
    if demand.key == "path":
        return f"the idle timeout of {demand.device}, {plain(demand.asked_s)} s"
    option = demand.key.removesuffix("_s").replace("_", "-")
    return f"--{option} {plain(demand.asked_s)}"
