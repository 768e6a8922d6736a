"""The timers of an established connection, followed from one arming instant: net/ipv4/tcp_timer.c
as a replay.

Three timers watch a peer that says nothing. `keepalive_timer` asks while nothing is to be sent.
Data in flight has the loss probe and then the `retransmit_timer`. Data that its own host cannot
send has the `probe_timer`. Keepalive stands back for the other two, which share one timer, the
write timer. As in the kernel the three have some state in common: unanswered probes, the time of
the last segment received, the soft error. Data is a few bytes, less than a segment.

This module says what comes next: a timer, or something that a program does.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from harness.oracle.connection import ModelConnection
from harness.oracle.connection_state import (
    ConnectionState,
    Handler,
    MiddleboxMemory,
    StateKey,
    WriteTimer,
)
from harness.oracle.effects import Unpredictable
from harness.oracle.established_query import Case, NoticedAt, Planned, Run, Tail
from harness.oracle.icmp_limits import ICMP_BURST
from harness.oracle.keepalive_timer import next_bucket, on_keepalive
from harness.oracle.moment import Moment, When
from harness.oracle.phase_interval import Branch, PhaseInterval
from harness.oracle.probe_timer import on_probe
from harness.oracle.retransmit_timer import on_loss_probe, on_retransmit
from harness.oracle.written_data import write

HANDLERS: dict[Handler, Callable[[ModelConnection, int], None]] = {
    "loss-probe": on_loss_probe,
    "retransmit": on_retransmit,
    "probe": on_probe,
}
NEVER = WriteTimer("probe", 1 << 61)
"""Stands for a write timer that does not run."""


def armed(case: Case, late: int) -> ConnectionState:
    """The state at the moment of arming.

    Every handler sets the next timer as if it ran `late` jiffies late.
    """
    return ConnectionState(
        late=late,
        is_first_keepalive=case.settings.keepalive,
        icmp_tokens=ICMP_BURST * case.longest,
        middleboxes=(MiddleboxMemory(),) * len(case.network.boxes),
    )


def follow(case: Case, phase: PhaseInterval, state: ConnectionState) -> Run:
    """Follow the timers from arming until something is detected or the horizon passes."""
    return _follow(ModelConnection(case, phase, state))


def _follow(connection: ModelConnection) -> Run:
    while connection.end is None:
        connection.case.spend()
        step(connection)
    return connection.end


def step(connection: ModelConnection) -> None:
    """Carry out what comes next: a timer's handler, something planned, or the end at the
    horizon.
    """
    case, phase, state = connection.case, connection.phase, connection.state
    timer = _due_write_timer(connection)
    bucket = state.keepalive if timer is None else timer.bucket
    over = bucket is None or phase.decide_past(bucket, case.horizon_ns + 1)
    planned = case.planned[state.next_planned] if state.next_planned < len(case.planned) else None
    if planned is not None and (over or _decide_first(phase, planned.moment, bucket)):
        state.next_planned += 1
        _on_planned(connection, planned)
    elif over:
        if not case.network.boxes or not _middlebox_resets(connection, Moment(case.horizon_ns)):
            connection.finish("quiet")
    elif bucket is not None and (
        not case.network.boxes or not _middlebox_resets(connection, bucket)
    ):
        if timer is None:
            on_keepalive(connection, bucket)
        elif timer.handler == "retransmit" and state.retrans_stamp is None:
            _recall(connection, timer)
        else:
            _expire(connection, timer)


def _expire(connection: ModelConnection, timer: WriteTimer) -> None:
    connection.state.write_timer = None
    HANDLERS[timer.handler](connection, timer.bucket)


# --- which timer, or what else, is next ---------------------------------------------------------


def _due_write_timer(connection: ModelConnection) -> WriteTimer | None:
    """The write timer where it is due first.

    Else None, and keepalive's bucket is known if there is one.

    Where keepalive's bucket lies is asked for no earlier than it matters, since that narrows the
    phases: not before other moments that come first for sure, and not while there is data to be
    sent.
    """
    case, phase, state = connection.case, connection.phase, connection.state
    timer = state.write_timer
    if state.is_in_flight or state.is_queued:
        return timer
    earliest = next_bucket(connection)
    if state.is_first_keepalive:
        planned = case.planned[state.next_planned :]
        if planned and planned[0].moment.ns + planned[0].moment.slack_ns <= case.idle * case.tick:
            return timer or NEVER
        earliest = phase.armed + case.idle + 1
    if timer is not None and (earliest is None or timer.bucket <= earliest):
        return timer
    if state.is_first_keepalive:
        state.is_first_keepalive = False
        state.keepalive = phase.fire_armed(case.idle)
        return _due_write_timer(connection)
    return None


def _decide_first(phase: PhaseInterval, moment: Moment, bucket: int | None) -> Branch:
    """Decide whether a moment comes before the handler of a bucket."""
    return bucket is None or phase.decide_past(bucket, moment.ns, moment.slack_ns)


# --- what programs, the peer's kernel and middleboxes do ----------------------------------------


def _on_planned(connection: ModelConnection, planned: Planned) -> None:
    case, state, moment = connection.case, connection.state, planned.moment
    if planned.kind == "fin":
        connection.path.arrive("the peer's FIN", moment.ns)
        connection.finish(
            "eof", why="the peer's kernel sends FIN when its process ends", end=NoticedAt(moment)
        )
        return
    if planned.kind == "rst":
        connection.path.arrive("the RST", moment.ns)
        connection.finish(
            "detected", errno="ECONNRESET", why="an RST arrives", end=NoticedAt(moment)
        )
        return
    if case.network.boxes and _middlebox_resets(connection, moment):
        return
    if moment.slack_ns > case.tick:
        state.drift_ns = moment.slack_ns
    if planned.kind in ("write", "shut"):
        if planned.kind == "shut" and (state.is_in_flight or state.is_queued):
            raise Unpredictable("the writing direction is shut while data is in flight")
        state.is_fin = planned.kind == "shut"
        write(connection, moment)
    elif case.network.is_cut_at(moment.ns):
        raise Unpredictable("the peer writes while the path is cut: its retransmissions decide")
    elif state.is_queued and not state.is_in_flight:
        raise Unpredictable("the peer writes, and what was kept back goes with the acknowledgement")
    else:
        connection.exchange(moment)


def _middlebox_resets(connection: ModelConnection, when: When) -> bool:
    """Whether the nearest middlebox resets both ends, since it has no state of the flow by then."""
    case, box = connection.case, connection.case.network.boxes[0]
    if box.then != "reset-both":
        return False
    last = connection.path.last_seen
    if not connection.phase.decide_waited(when, last, case.network.box_timeout(box)):
        return False
    timeout_ns = round((box.timeout_s or 0) * 1e9)
    # The handshake's last segment comes a little before arming, which takes some readings of the
    # clock.
    lag_ns = max(case.machine.arming_lag_ns, case.write_slack_ns)
    # Its own program sees the last segment some readings later, for which real time has left room
    # already.
    seen_ns = 0 if case.machine.arming_lag_ns else case.write_slack_ns
    end = NoticedAt(Moment(-lag_ns, lag_ns) if last is None else last, timeout_ns, seen_ns)
    why = "the firewall, whose state expired, resets both ends"
    connection.finish("detected", errno="ECONNRESET", why=why, end=end)
    return True


# --- what is remembered from one replay for the next --------------------------------------------


def _recall(connection: ModelConnection, timer: WriteTimer) -> None:
    """Take the rest of the replay from an earlier one that met the same state, or follow it and
    remember it.

    Asked at the first expiry of the retransmission timer: many phases share what follows it.
    """
    case, phase, key = connection.case, connection.phase, connection.state.key()
    known = case.known.get(key)
    if known is not None and known.from_ns <= phase.armed_ns <= known.until_ns:
        phase.widest = max(phase.widest, known.widest)
        phase.limit(known.until_ns - phase.armed_ns)
        connection.end = msgspec.structs.replace(
            known.run, asked=(*connection.asked, *known.run.asked)
        )
    else:
        _follow_and_remember(connection, timer, key)


def _follow_and_remember(connection: ModelConnection, timer: WriteTimer, key: StateKey) -> None:
    phase, before = connection.phase, len(connection.asked)
    forks, widest, room_ns = phase.forks, phase.widest, phase.room_ns
    phase.start_over()
    _expire(connection, timer)
    end = _follow(connection)
    if phase.forks == forks:
        rest = msgspec.structs.replace(end, asked=end.asked[before:])
        connection.case.known[key] = Tail(
            rest, phase.armed_ns, phase.armed_ns + phase.room_ns, phase.widest
        )
    phase.widest = max(phase.widest, widest)
    phase.room_ns = min(phase.room_ns, room_ns)
