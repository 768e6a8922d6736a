"""Data in flight that stays unacknowledged: the loss probe, then
net/ipv4/tcp_timer.c:tcp_retransmit_timer.
"""

from __future__ import annotations

from harness.oracle import timerwheel
from harness.oracle.connection import ModelConnection
from harness.oracle.effects import Effect, Unpredictable
from harness.oracle.established_query import Asked
from harness.oracle.icmp_limits import report

RETRANSMITTED_SAMPLE_US = 1000
"""The round trip that the echo of a timestamp tells is at least one of its ticks
(tcp_input.c:tcp_rtt_tsopt_us).
"""
COUNTED = 256
"""icsk_retransmits has 8 bits: after so many retransmissions there seem to have been none, once."""


def on_loss_probe(connection: ModelConnection, bucket: int) -> None:
    """Send the data again, or queued data in its place, and set the timer in full
    (tcp_output.c:tcp_send_loss_probe).

    There is one loss probe at a time. One that repeated the data and was acknowledged to the octet
    still counts until more is acknowledged (tcp_input.c:tcp_process_tlp_ack); then the
    retransmission comes at once in its place.
    """
    state = connection.state
    if state.is_loss_probe_counted:
        connection.set_write_timer("retransmit", 1, bucket)
        return
    again = not state.is_queued
    if _resend(connection, bucket):
        connection.set_write_timer("retransmit", state.rto, bucket)
    else:
        state.is_loss_probe_counted = again


def on_retransmit(connection: ModelConnection, bucket: int) -> None:
    """The timer's handler: give up, or send the data again and double the timeout."""
    case, state = connection.case, connection.state
    began = state.retrans_stamp if state.retransmits % COUNTED else None
    if began is not None and connection.phase.decide_waited_ms(bucket, began, case.limit_ms):
        connection.finish_timed_out(bucket, _reason(connection))
        return
    state.is_loss_probe_counted = False  # tcp_input.c:tcp_enter_loss
    if state.retrans_stamp is None:
        state.retrans_stamp = bucket
    state.retransmits += 1
    if not _resend(connection, bucket):
        return
    state.backoff += 1
    state.rto = min(2 * state.rto, case.longest)
    if state.is_reverted and state.retransmits % COUNTED:
        state.backoff -= 1
        state.rto = min(state.base << state.backoff, case.longest)
        wait = state.rto
    else:
        wait = _clamped(connection, bucket) if case.settings.user_timeout_ms else state.rto
    connection.set_write_timer("retransmit", wait, bucket)


def refuse_lost_echo(effect: Effect | None) -> None:
    """Raise Unpredictable where an echo is lost that the peer's own timer sends again: it
    acknowledges the data.
    """
    if effect is not None and effect.mechanism == "answers-lost" and effect.until_s is not None:
        raise Unpredictable(
            "the peer's echo is lost on a way that heals: its retransmission decides"
        )


def _clamped(connection: ModelConnection, bucket: int) -> int:
    """The timeout, cut to what is left of the user timeout
    (tcp_timer.c:tcp_clamp_rto_to_user_timeout).
    """
    state, phase, limit_ms = (
        connection.state,
        connection.phase,
        connection.case.settings.user_timeout_ms,
    )
    assert state.retrans_stamp is not None
    elapsed_ms = phase.elapsed_ms(bucket, state.retrans_stamp)
    waits = [_clamp(state.rto, limit_ms - each_ms, connection.case.hz) for each_ms in elapsed_ms]
    return waits[0] if waits[0] == waits[-1] or phase.fork() else waits[-1]


def _clamp(rto: int, left_ms: int, hz: int) -> int:
    return min(rto, timerwheel.milliseconds_to_jiffies(left_ms, hz)) if left_ms > 0 else 1


def _resend(connection: ModelConnection, bucket: int) -> bool:
    """Send what is in flight again; returns whether it is still unanswered."""
    state = connection.state
    fate, effect = connection.path.send(bucket, state.retransmits)
    local = fate == "lost-locally"
    if effect is not None and local and not effect.swallowed:
        raise Unpredictable("data is in flight when its own host cannot send any more")
    # What never left the host before does not look like something sent again, and a FIN looks like
    # a FIN.
    connection.asked.append(
        Asked(bucket, "retransmit", not local and state.is_on_wire and not state.is_fin)
    )
    state.is_on_wire = state.is_on_wire or not local
    state.is_reverted = False
    if connection.case.echoes:
        refuse_lost_echo(effect)
    if fate == "reset":
        what = f"retransmission {state.retransmits}" if state.retransmits else "the loss probe"
        connection.finish_reset(bucket, effect, what)
    elif fate == "answered":
        _deliver(connection, bucket)
    else:
        state.is_reverted = (
            report(connection, effect, bucket) and effect is not None and effect.reverts
        )
        return True
    return False


def _deliver(connection: ModelConnection, bucket: int) -> None:
    """All data in flight is acknowledged; queued data follows at once and is acknowledged, too."""
    state = connection.state
    state.on_acknowledgement(bucket)
    state.measure_round_trip(RETRANSMITTED_SAMPLE_US)
    if state.is_queued:
        state.measure_round_trip(0)
    state.is_in_flight = state.is_queued = False
    state.delivered = bucket
    state.retransmits, state.retrans_stamp = 0, None


def _reason(connection: ModelConnection) -> str:
    case, state = connection.case, connection.state
    retries = case.settings.retries2
    text = (
        f"retransmissions go unanswered for {case.limit_ms / 1000:g} s (tcp_retries2 = {retries})"
    )
    if case.settings.user_timeout_ms:
        text = "the user timeout passes without an acknowledgement of the data"
    return text + (f"; the ICMP error says {state.soft_errno}" if state.soft_errno else "")
