"""Data that its own host cannot send, and the probe timer that tries it again:
net/ipv4/tcp_timer.c:tcp_probe_timer.
"""

from __future__ import annotations

from harness.oracle.backoff import LEAST_TIMEOUT_US, LONGEST_TIMEOUT_S
from harness.oracle.connection import ModelConnection
from harness.oracle.connection_state import Fate
from harness.oracle.effects import Effect, Unpredictable
from harness.oracle.icmp_limits import report
from harness.oracle.moment import Moment

LEAST_WAIT = 2
"""TCP_TIMEOUT_MIN, in jiffies."""
_MOST_DOUBLINGS = (LONGEST_TIMEOUT_S * 1_000_000 // LEAST_TIMEOUT_US).bit_length()
"""After so many the timeout is the longest one for sure."""


def keep_unsent(connection: ModelConnection, effect: Effect, moment: Moment) -> None:
    """Data that its own host refuses to send stays in the queue; the probe timer tries it again."""
    state = connection.state
    state.is_queued = True
    state.soft_errno = effect.errno or state.soft_errno
    connection.set_write_timer("probe", state.base, moment)


def write_more(connection: ModelConnection, fate: Fate, effect: Effect | None) -> None:
    """More is written while data waits: it waits, too, and the timer stays as it is.

    Raises Unpredictable where it can be sent now.
    """
    if effect is None or fate != "lost-locally" or effect.swallowed:
        raise Unpredictable("data is written when what was kept back before can be sent again")
    connection.state.soft_errno = effect.errno or connection.state.soft_errno


def on_probe(connection: ModelConnection, bucket: int) -> None:
    """The timer's handler: give up, or try to send the data (tcp_output.c:tcp_send_probe0)."""
    case, state = connection.case, connection.state
    if state.probes_stamp is None:
        state.probes_stamp = bucket
    elif case.user_timeout and connection.phase.decide_waited(
        bucket, state.probes_stamp, case.user_timeout
    ):
        connection.finish_timed_out(bucket, "the user timeout passes and the data cannot be sent")
        return
    retries = case.settings.retries2
    if state.probes_out >= retries:
        why = f"{state.probes_out} attempts to send the data fail (tcp_retries2 = {retries})"
        connection.finish_timed_out(bucket, why)
        return
    fate, effect = connection.path.send(bucket, 0)
    if fate == "lost-locally" and effect is not None and not effect.swallowed:
        _try_later(connection, effect, bucket)
        return
    state.probes_out = state.backoff = 0
    state.probes_stamp = None
    if fate == "reset":
        connection.finish_reset(bucket, effect, "the data")
    elif fate == "answered":
        state.is_queued, state.delivered = False, bucket
        state.on_acknowledgement(bucket)
        state.measure_round_trip(0)
    else:
        state.is_in_flight, state.is_queued, state.is_on_wire = True, False, fate != "lost-locally"
        report(connection, effect, bucket)
        connection.set_write_timer("retransmit", state.rto, bucket)


def _try_later(connection: ModelConnection, effect: Effect, bucket: int) -> None:
    """Set the timer again, with back-off (include/net/tcp.h:tcp_probe0_when,
    tcp_clamp_probe0_to_user_timeout).
    """
    case, state = connection.case, connection.state
    state.probes_out += 1
    state.soft_errno = effect.errno or state.soft_errno
    state.backoff = min(state.backoff + 1, case.settings.retries2)
    wait = min(state.base << min(state.backoff, _MOST_DOUBLINGS), case.longest)
    if case.user_timeout:
        assert state.probes_stamp is not None
        wait = min(wait, max(state.probes_stamp + case.user_timeout - bucket, LEAST_WAIT))
    connection.set_write_timer("probe", wait, bucket)
