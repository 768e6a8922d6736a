"""Settings for software that has fewer directives than the kernel has options.

redis-server has one number for three options. OpenSSH, gRPC and RabbitMQ have a heartbeat in place
of keepalive. The system has net.ipv4.tcp_retries2 in place of a user timeout. Each such relation is
a shape: from one number, the larger the less traffic, to settings. Which software has which is told
by what its format accepts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from harness.policy import answers, suggest_ways
from harness.policy.answers import SECOND_NS
from harness.policy.facts import Facts
from harness.policy.settings import SYSTEM, Connection, Heartbeat

SETTINGS = (
    "keepalive",
    "idle_s",
    "interval_s",
    "count",
    "user_timeout_s",
    "retries2",
    "heartbeat",
)
_GRPC_TIMEOUT_S = 20
"""How long gRPC waits for the answer to a ping unless it is told (Keepalive User Guide)."""


class Shape(msgspec.Struct, frozen=True):
    """`settings(number)` by the keys of a policy, in seconds unless it says otherwise; `most`: more
    are too many.
    """

    settings: Callable[[int], dict[str, Any]]
    most: int


def shapes(connection: Connection) -> Iterator[Shape]:
    """Those that there are, with the most that the demands allow."""
    retries = _retries(connection)
    if retries is not None:
        yield Shape(retries, SYSTEM.retries2)
    limit_s = _limit_s(connection)
    if limit_s is None:
        return
    hop = Facts(connection).strictest()
    before_s = math.ceil(limit_s) if hop is None else hop.limit_s or 0
    again_s = _sent_again_s(connection)
    yield Shape(_thirds, min(int(limit_s / 2) + 1, before_s))
    wait_s = again_s or min(_GRPC_TIMEOUT_S, int(limit_s / 2))
    if 1 <= wait_s < limit_s:  # before _equal, which gRPC can say as well, with more traffic
        yield Shape(_with_user_timeout(wait_s), min(int(limit_s - wait_s), before_s))
    yield Shape(_equal(1), min(int(limit_s / 2), before_s))
    yield Shape(_halves, min(int(limit_s / 2), 2 * before_s))


def _retries(connection: Connection) -> Callable[[int], dict[str, Any]] | None:
    """The system: keepalive for the other demands, and so many retransmissions."""
    if connection.in_flight_demand_s is None:
        return None
    idle = msgspec.structs.replace(
        connection.terms,
        detect_within_s=None,
        detect_in_flight_within_s=None,
        detect_idle_within_s=connection.idle_demand_s,
    )
    found = suggest_ways.known_settings(msgspec.structs.replace(connection, terms=idle))
    if found is None or found.user_timeout_ms:
        return None
    times: dict[str, Any] = {}
    if found.idle_s:
        times = {"idle_s": found.idle_s, "interval_s": found.interval_s, "count": found.count}
    return lambda number: {"keepalive": True, **times, "retries2": number}


def changed(connection: Connection, settings: dict[str, Any]) -> Connection:
    """The connection with these settings alone."""
    terms = msgspec.structs.replace(connection.terms, **(dict.fromkeys(SETTINGS) | settings))
    return msgspec.structs.replace(connection, terms=terms)


def _limit_s(connection: Connection) -> float | None:
    """The shortest time in which a dead peer must be detected, or a packet be sent."""
    hop = Facts(connection).strictest()
    found = (connection.idle_demand_s, connection.in_flight_demand_s)
    limits = [each for each in found if each is not None]
    return min(limits, default=2 * hop.limit_s if hop and hop.limit_s else None)


def _sent_again_s(connection: Connection) -> int:
    """Whole seconds in which unanswered data is sent again after the outage, for sure; 0: there is
    none.
    """
    outage_ns = round((connection.terms.survive_s or 0) * SECOND_NS)
    if not outage_ns:
        return 0
    every = (answers.sent_again_ns(outage_ns, hz) for hz in connection.terms.hz)
    return math.floor(max(every) / SECOND_NS) + 1


def _thirds(seconds: int) -> dict[str, Any]:
    """redis-server (src/anet.c, anetKeepAlive)."""
    return {"keepalive": True, "idle_s": seconds, "interval_s": max(seconds // 3, 1), "count": 3}


def _equal(misses: int) -> Callable[[int], dict[str, Any]]:
    """OpenSSH: a message after each interval, of which so many may be unanswered."""
    return lambda seconds: {
        "heartbeat": Heartbeat(every_s=seconds, timeout_s=seconds, misses=misses, apart=True)
    }


def _halves(seconds: int) -> dict[str, Any]:
    """AMQP: a heartbeat in each half of the timeout; two timeouts end the connection."""
    half_s = seconds / 2
    return {"heartbeat": Heartbeat(every_s=half_s, timeout_s=half_s, misses=3, apart=True)}


def _with_user_timeout(wait_s: int) -> Callable[[int], dict[str, Any]]:
    """gRPC: a ping, and a user timeout as long as its answer is waited for (gRFC A18)."""
    return lambda seconds: {
        "heartbeat": Heartbeat(every_s=seconds, timeout_s=wait_s, apart=True),
        "user_timeout_s": wait_s,
    }
