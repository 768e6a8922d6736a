"""The keepalive timer of an established connection: net/ipv4/tcp_timer.c:tcp_keepalive_timer."""

from __future__ import annotations

from harness.oracle.connection import ModelConnection
from harness.oracle.established_query import Asked, NoticedAt
from harness.oracle.icmp_limits import spend
from harness.oracle.moment import Moment


def next_bucket(connection: ModelConnection) -> int | None:
    """When the timer comes next.

    It is put off for the full idle time as often as it comes while data waits.
    """
    state, phase, idle = connection.state, connection.phase, connection.case.idle
    while (
        state.keepalive is not None
        and state.delivered is not None
        and state.keepalive < state.delivered
    ):
        state.keepalive = phase.fire(state.keepalive + state.late + idle, state.keepalive + 1)
    return state.keepalive


def on_keepalive(connection: ModelConnection, bucket: int) -> None:
    """The timer's handler: wait for the rest of the idle time, give up, or send a probe."""
    case, phase, state = connection.case, connection.phase, connection.state
    # Before the first answer the elapsed time holds the idle time, and after an answer to the
    # first probe it does wherever there are several rows: the interval is the longer one then.
    # A timer that was set for the rest of the idle time comes when all of it is over.
    received = state.received
    if (
        isinstance(received, Moment)
        and not state.is_rearmed
        and not phase.decide_waited(bucket, received, case.idle)
    ):
        state.keepalive, state.is_rearmed = phase.fire_after(received, case.idle, bucket + 1), True
    elif isinstance(received, int) and bucket - received < case.idle:
        state.keepalive = phase.fire(received + state.late + case.idle, bucket + 1)
    elif _gives_up(connection, bucket):
        _abort(connection, bucket)
    else:
        _probe(connection, bucket)
        ended = connection.end is not None
        state.keepalive = (
            None if ended else phase.fire(bucket + state.late + case.interval, bucket + 1)
        )


def _gives_up(connection: ModelConnection, bucket: int) -> bool:
    """Whether this expiry is the last.

    TCP_USER_TIMEOUT replaces the count, and needs one unanswered probe.
    """
    case, state = connection.case, connection.state
    if case.user_timeout:
        return state.probes_out > 0 and connection.phase.decide_waited(
            bucket, state.received, case.user_timeout
        )
    return state.probes_out >= case.settings.count


def _abort(connection: ModelConnection, bucket: int) -> None:
    """Send RST, then report the error.

    An RST that its own host cannot send sets the soft error (inet6_csk_xmit).
    """
    state, local = connection.state, connection.path.lost_at_the_end(bucket)
    state.soft_errno = (local.errno if local else None) or state.soft_errno
    why = _reason(connection)
    errno = state.soft_errno or "ETIMEDOUT"
    connection.finish("detected", errno=errno, end=NoticedAt(bucket), rst=local is None, why=why)


def _probe(connection: ModelConnection, bucket: int) -> None:
    state, phase = connection.state, connection.phase
    if phase.first_probe is None and not connection.asked:
        phase.first_probe = bucket
    fate, effect = connection.path.send(bucket, state.probes_out)
    local = fate == "lost-locally"
    connection.asked.append(Asked(bucket, "probe", not local))
    if fate == "reset":
        connection.finish_reset(bucket, effect, f"probe {state.probes_out + 1}")
    elif fate == "answered":
        state.on_acknowledgement(bucket)
    else:
        state.probes_out += 1
        state.soft_errno = (effect.errno if effect and local else None) or state.soft_errno
        if effect is not None:
            spend(
                connection, effect, bucket
            )  # an idle connection ignores the error, which counts all the same


def _reason(connection: ModelConnection) -> str:
    settings, state = connection.case.settings, connection.state
    text = f"{state.probes_out} {'probe' if state.probes_out == 1 else 'probes'} unanswered"
    if settings.user_timeout_ms:
        text = f"TCP_USER_TIMEOUT of {settings.user_timeout_ms / 1000:g} s passed with {text}"
    if state.soft_errno:
        text += f"; the soft error {state.soft_errno} of the last failed probe is reported"
    return text
