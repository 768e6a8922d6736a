"""ICMP errors and their limits: which losses are answered by an error, and what the connection
keeps of it.

A token bucket that fills by one token a jiffy (net/ipv4/inetpeer.c:inet_peer_xrlim_allow); each
error costs as many tokens as the interval between two errors has jiffies. It begins full.
"""

from __future__ import annotations

from harness.oracle.connection import ModelConnection
from harness.oracle.effects import Effect, Unpredictable
from harness.oracle.moment import When

ICMP_BURST = 6
"""XRLIM_BURST_FACTOR (net/ipv4/inetpeer.c:inet_peer_xrlim_allow): how many errors a full bucket
pays for.
"""
ROUTE_BURST = 5
"""The same for errors about routes (net/ipv4/route.c:ip_rt_error_burst)."""


def report(connection: ModelConnection, effect: Effect | None, when: When) -> bool:
    """Take the ICMP error that answers lost data, if one comes, as the soft error.

    Returns whether one comes.
    """
    if effect is None:
        return False
    if effect.unknown:
        raise Unpredictable(f"data is written, and {effect.unknown}")
    if effect.reported is None or not spend(connection, effect, when):
        return False
    connection.state.soft_errno = effect.reported
    return True


def spend(connection: ModelConnection, effect: Effect, when: When) -> bool:
    """Take the tokens for one ICMP error.

    Returns whether there were enough, so that the error is sent.
    """
    if effect.reported is None:
        return False
    state, phase = connection.state, connection.phase
    now = when if isinstance(when, int) else (phase.armed_ns + when.ns) // connection.case.tick
    interval = round(effect.reports_every_s * connection.case.hz)
    burst = ROUTE_BURST if effect.charged_twice else ICMP_BURST
    state.icmp_tokens = min(state.icmp_tokens + now - state.icmp_last, burst * interval)
    state.icmp_last = now
    for _ in range(2 if effect.charged_twice else 1):
        if state.icmp_tokens < interval:
            return False
        state.icmp_tokens -= interval
    return True
