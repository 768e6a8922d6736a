"""What the settings that are suggested cannot give, and what would."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from harness.policy.check import Checked
from harness.policy.facts import Facts
from harness.policy.settings import Connection
from harness.policy.words import plain

About = Literal[
    "idle", "data-in-flight", "outage", "frozen-peer", "not-reading", "proxy", "behind-proxy"
]

LIMITS = frozenset({"KA010", "KA014"})
"""The rules that say the same of settings that are given."""


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """One of them; `text`: for people."""

    about: About
    text: str


def limits(checked: Checked) -> tuple[Limit, ...]:
    """Of a connection with the settings that are suggested."""
    return tuple(_limits(checked))


def _limits(checked: Checked) -> Iterator[Limit]:
    connection = checked.connection
    yield from _undemanded(checked)
    if connection.keepalive and connection.terms.heartbeat is None:
        yield Limit(
            about="frozen-peer",
            text="A peer that hangs or is frozen: its kernel answers the probes. "
            "A heartbeat of the application would detect it.",
        )
    yield from _of_proxies(connection)


def _undemanded(checked: Checked) -> Iterator[Limit]:
    """What nobody demanded, and what is so instead."""
    connection, terms, found = checked.connection, checked.connection.terms, checked.overview
    if found is None:
        return
    if found.idle.worst_s is None:
        yield Limit(
            about="idle",
            text="An idle connection: nothing notices that its peer is dead. "
            "State --detect-idle-within, or give the program a heartbeat.",
        )
    if not Facts(connection).in_flight_is_bounded and not connection.in_flight_demand_s:
        yield Limit(
            about="data-in-flight",
            text="Data in flight: keepalive does not act while data waits to be acknowledged, and "
            f"retransmissions go on for up to {plain(found.in_flight.worst_s or 0)} s. State "
            "--detect-in-flight-within, which a user timeout meets, or give the program a "
            "heartbeat with a timer of its own.",
        )
    outage_s = found.outage.worst_s
    if terms.survive_s is None and terms.heartbeat is None and outage_s is not None:
        yield Limit(
            about="outage",
            text=f"An outage of more than {plain(outage_s)} s: it ends an idle connection if it "
            "begins just before a probe. State --survive with the longest that is expected.",
        )
    if terms.user_timeout_s:
        yield Limit(
            about="not-reading",
            text=f"A live peer that does not read for {plain(terms.user_timeout_s)} s while data "
            "waits for it: the user timeout ends the connection.",
        )


def _of_proxies(connection: Connection) -> Iterator[Limit]:
    """A proxy ends TCP: nothing of this connection reaches what is behind it."""
    beat = connection.terms.heartbeat
    first = None
    for hop in connection.path:
        if first is not None and not hop.proxy and hop.forgets(connection.terms.side):
            yield Limit(
                about="behind-proxy",
                text=f"The device {hop.title}, which is behind {first}: no probe reaches it. It "
                f"drops its state after {hop.limit_s} s without a packet, so that the proxy's "
                "own connection needs keepalive.",
            )
        if not hop.proxy:
            continue
        first = first or hop.title
        if beat is None and hop.limit_s is not None:
            yield Limit(
                about="proxy",
                text=f"Idleness: {hop.title} closes a connection after {hop.limit_s} s without "
                "data, and probes are no data. A heartbeat of the application more often than that "
                "would keep it open.",
            )
        if beat is None:
            yield Limit(
                about="proxy",
                text=f"What is behind {hop.title}: it ends TCP and answers the probes itself, "
                "whether or not the peer behind it is alive. A heartbeat that it passes on would "
                "tell, and keepalive on its own connection to the peer.",
            )
