"""Live sockets for people: findings, a line for each group of sockets, and what was not read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.model.live_sockets import Unread
from harness.model.values import count
from harness.policy.audit.changes import Change
from harness.policy.audit.groups import Group, described, place, title
from harness.policy.audit.judging import Audit, Row
from harness.policy.overview import Figure
from harness.policy.settings import SYSTEM
from harness.report import policy_text
from harness.system.escapes import in_a_line

_HEAD = (
    "program",
    "user",
    "pid",
    "sockets",
    "keepalive",
    "idle",
    "interval",
    "count",
    "user timeout",
    "detected, idle",
    "detected, in flight",
)
_SYSCTL = " sysctl"


def describe(audit: Audit, unread: Sequence[Unread]) -> str:
    """The whole report."""
    lines = list(policy_text.paragraphs(audit.result))
    if audit.rows:
        lines += [*policy_text.columns([_HEAD, *map(_cells, audit.rows)]), "", *_legend(audit.rows)]
    lines += told_unread(unread)
    return "\n".join([*lines, _summary(audit)])


def changed(change: Change, at: str) -> str:
    """A line about a group that has another number of sockets than before; `at`: the time."""
    key, row = change.key, change.row
    what = in_a_line(f"{title(row.group)}, user {key.user}, {described(key)}")
    number = f"{change.before} -> {count(change.after, 'socket')}"
    sign = "+" if not change.before else "-" if not change.after else "~"
    return f"{at}  {sign} {what}: {number}; detected {_figure(row.idle)} idle, {_figure(row.in_flight)} in flight"  # noqa: E501


def _summary(audit: Audit) -> str:
    """How much there is, in a line."""
    groups = [row.group for row in audit.rows]
    pids = {pid for group in groups for pid in group.pids}
    processes = f"{len(pids)} process" + ("" if len(pids) == 1 else "es")
    sockets = count(sum(group.number for group in groups), "TCP socket")
    found = f"{sockets} of {processes} in {count(len(groups), 'group')}"
    if audit.result.findings or audit.result.unanswered:
        found += f"; {policy_text.counts(audit.result)}"
    return found


# --- the table ----------------------------------------------------------------------------------


def _cells(row: Row) -> tuple[str, ...]:
    group, key = row.group, row.group.key
    options = key.options
    timeout_ms = options.user_timeout_ms
    return (
        in_a_line(key.program) or "?",
        in_a_line(key.user),
        _pids(group),
        f"{group.number} {place(group)}{_networks(group)}",
        {True: "on", False: "off", None: "?"}[options.keepalive],
        _value(group, "idle_s", " s"),
        _value(group, "interval_s", " s"),
        _value(group, "count", ""),
        "?" if timeout_ms is None else f"{timeout_ms / 1000:g} s" if timeout_ms else "off",
        _figure(row.idle),
        _figure(row.in_flight),
    )


def _networks(group: Group) -> str:
    number = len(group.networks)
    return f" in {number} networks" if number > 1 else ""


def _pids(group: Group) -> str:
    if len(group.pids) > 1:
        return f"{len(group.pids)} processes"
    return str(group.pids[0]) if group.pids else "?"


def _value(group: Group, key: str, unit: str) -> str:
    value = getattr(group.key.options, key)
    if value is None:
        return "?"
    return f"{value}{unit}{_SYSCTL if group.source(key) == 'sysctl' else ''}"


def _figure(figure: Figure | None) -> str:
    return "?" if figure is None else policy_text.figure_cell(figure, "never", "up to ")


def _legend(rows: Sequence[Row]) -> Iterator[str]:
    sources = {source for row in rows for _, source in row.group.sources}
    if "sysctl" in sources:
        yield (
            "sysctl: as net.ipv4.tcp_keepalive_time, _intvl or _probes of the network namespace; "
            "the socket follows it, or was set to the same value"
        )
    if any(row.group.key.role == "listening" for row in rows):
        yield (
            "listening: what accepted connections inherit, until the program sets something else"
        )
    retries = {
        row.group.key.sysctls.retries
        for row in rows
        if row.idle is not None and row.group.key.sysctls is not None
        if not row.group.key.options.user_timeout_ms
    }
    for each in sorted(retries - {SYSTEM.retries2}):
        counts = "?, as no model covers that" if each < 1 else "the figure is for that"
        yield (
            f"detected, in flight: net.ipv4.tcp_retries2 is {each} in a network namespace, and not "
            f"{SYSTEM.retries2}; {counts}"
        )


def told_unread(unread: Sequence[Unread]) -> list[str]:
    """A line for each thing that could not be read, with the right that is missing."""
    plurals = {"process": "processes", "socket": "sockets", "network namespace": "networks"}
    return [
        f"not read: {each.number} {each.what if each.number == 1 else plurals[each.what]}: "
        f"{each.why}. Fix: {each.fix}"
        for each in unread
    ]
