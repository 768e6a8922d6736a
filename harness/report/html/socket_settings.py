"""The settings of both ends' sockets: read from the live sockets, or as the scenario asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from harness.model.topology import SIDES, Side
from harness.scenario.schema import RETRIES, Endpoint, Scenario
from harness.timeline import Event

HEAD = ("keepalive", "idle", "interval", "count", "user timeout")
"""SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT and TCP_USER_TIMEOUT."""


UNSET = "-"
"""In place of a value that has no effect."""


class SettingsRow(msgspec.Struct, frozen=True):
    """One end's settings, as of `HEAD`. `source`: where they come from."""

    side: str
    source: str
    cells: tuple[str, ...]
    more: str = ""


def of_ends(scenario: Scenario, events: Sequence[Event], zero_ns: int) -> Iterator[SettingsRow]:
    """Of each end what was read from its sockets, else what the scenario sets."""
    found = list(_measured(events, zero_ns))
    for side in SIDES:
        mine = [row for row in found if row.side == side]
        yield from mine or [_asked_for(scenario, side)]


def _measured(events: Sequence[Event], zero_ns: int) -> list[SettingsRow]:
    """What was read from the live sockets, without readings that repeat the one before."""
    rows: list[SettingsRow] = []
    for event in events:
        if event.kind != "subject.settings":
            continue
        data = event.data
        options = _cells(
            keepalive=bool(data.get("keepalive")),
            idle_s=data.get("idle_s"),
            interval_s=data.get("interval_s"),
            count=data.get("count"),
            user_timeout_ms=data.get("user_timeout_ms"),
        )
        row = SettingsRow(
            str(data.get("side", event.source)),
            f"read from the socket at {(event.t_ns - zero_ns) / 1e9:z.3f} s",
            () if data.get("keepalive") is None else options,
        )
        if not any((each.side, each.cells) == (row.side, row.cells) for each in rows):
            rows.append(row)
    return rows


def _asked_for(scenario: Scenario, side: Side) -> SettingsRow:
    """What the scenario sets. The settings of a command are its own business."""
    end = scenario.endpoint(side)
    if end.command is not None:
        return SettingsRow(side, "set by the program itself", ())
    alive = end.keepalive_settings
    return SettingsRow(
        side,
        "set by sysctl" if end.settings_via == "sysctl" else "set on the socket",
        _cells(
            keepalive=alive is not None,
            idle_s=None if alive is None else alive.idle_s,
            interval_s=None if alive is None else alive.interval_s,
            count=None if alive is None else alive.count,
            user_timeout_ms=round(end.user_timeout_s * 1000),
        ),
        "; ".join(_more(end)),
    )


def _more(end: Endpoint) -> Iterator[str]:
    if end.retries2 != RETRIES:
        yield f"net.ipv4.tcp_retries2 = {end.retries2}"
    if end.receive_buffer_bytes:
        yield f"SO_RCVBUF = {end.receive_buffer_bytes}"
    if end.send_buffer_bytes:
        yield f"SO_SNDBUF = {end.send_buffer_bytes}"


def _cells(
    *,
    keepalive: bool,
    idle_s: int | None,
    interval_s: int | None,
    count: int | None,
    user_timeout_ms: int | None,
) -> tuple[str, ...]:
    if not keepalive:  # the other values have no effect then
        idle_s = interval_s = count = None
    return (
        "on" if keepalive else "off",
        UNSET if idle_s is None else f"{idle_s} s",
        UNSET if interval_s is None else f"{interval_s} s",
        UNSET if count is None else str(count),
        f"{user_timeout_ms / 1000:g} s" if user_timeout_ms else "none",
    )
