"""A program writes a few bytes, or shuts its writing direction: what is sent at once, and which
timer is set.
"""

from __future__ import annotations

from harness.oracle.connection import LONGEST_DELAY_NS, ModelConnection
from harness.oracle.effects import Unpredictable
from harness.oracle.icmp_limits import report
from harness.oracle.moment import Moment
from harness.oracle.probe_timer import keep_unsent, write_more
from harness.oracle.retransmit_timer import refuse_lost_echo


def write(connection: ModelConnection, moment: Moment) -> None:
    """Data is sent at once, or queued while other data is in flight (Nagle, RFC 1122 4.2.3.4)."""
    state = connection.state
    if state.write_timer is not None and state.write_timer.handler == "loss-probe":
        raise Unpredictable(
            "data is written again before the loss probe of what was written before"
        )
    if state.is_in_flight:
        state.is_queued = True
        return
    fate, effect = connection.path.send(moment, 0)
    if state.is_queued:
        write_more(connection, fate, effect)
    elif fate == "reset":
        connection.finish_reset(moment, effect, "the data")
    elif fate == "answered" and state.is_fin:
        _acknowledge_fin(connection, moment)
    elif fate == "answered":
        state.is_loss_probe_counted = False
        connection.exchange(
            _delayed(connection, moment) if _is_delayed(connection, moment) else moment
        )
        state.measure_round_trip(0)
    elif effect is not None and fate == "lost-locally" and not effect.swallowed:
        _set_timeout(connection)
        keep_unsent(connection, effect, moment)
    else:
        _set_timeout(connection)
        if connection.case.echoes:
            refuse_lost_echo(effect)
        state.is_in_flight, state.is_on_wire = True, fate != "lost-locally"
        report(connection, effect, moment)
        connection.set_write_timer("loss-probe", state.rto, moment)


def _acknowledge_fin(connection: ModelConnection, moment: Moment) -> None:
    """Delayed, on a connection without data until the next jiffy only
    (tcp_output.c:tcp_send_delayed_ack).
    """
    case = connection.case
    if connection.state.exchanges and case.settings.keepalive:
        raise Unpredictable(
            "the FIN comes after data, and its acknowledgement is delayed by an unknown time"
        )
    connection.exchange(Moment(moment.ns + case.tick, moment.slack_ns))
    connection.state.measure_round_trip(0)


def _is_delayed(connection: ModelConnection, moment: Moment) -> bool:
    """Whether the peer's kernel waits, in vain, for its program to answer before it acknowledges.

    It does so after a first answer (tcp_output.c:tcp_event_data_sent, inet_csk_inc_pingpong_cnt).
    """
    case = connection.case
    return case.echoes and connection.state.exchanges > 0 and case.network.may_stand_still(moment)


def _delayed(connection: ModelConnection, moment: Moment) -> Moment:
    if connection.case.machine.phase_ns is not None:
        raise Unpredictable(
            "the peer's program stands still, and its kernel acknowledges at an unknown time"
        )
    connection.state.is_ack_delayed = True
    connection.state.drift_ns = moment.slack_ns + LONGEST_DELAY_NS
    return Moment(moment.ns, connection.state.drift_ns)


def _set_timeout(connection: ModelConnection) -> None:
    """Set the retransmission timeout as it is now.

    In real time any round trip that is allowed may have been measured.

    Forks over all timeouts that the round trips allow.
    """
    case, state = connection.case, connection.state
    if state.is_ack_delayed or (not case.echoes and case.peer_writes_ns and state.exchanges > 1):
        raise Unpredictable(
            "the peer delays its acknowledgements, which raises the timeout by an unknown time"
        )
    longest = case.timeout(case.machine.rtt_ns // 1000)
    shortest = case.timeout(0)
    state.base = case.timeout(state.srtt >> 3)
    if longest > shortest:
        state.base = shortest
        while state.base < longest and not connection.phase.fork():
            state.base += 1
    state.rto, state.backoff = state.base, 0
