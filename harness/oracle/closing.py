"""What close(2) and shutdown(2) do when nobody answers: how long the socket stays, and what becomes
of it.

FIN_WAIT1 and LAST_ACK: the FIN is sent again as data is, with a loss probe and a timeout that
doubles (net/ipv4/tcp_timer.c:tcp_write_timeout). After close(2) the socket is an orphan: it goes by
itself after what tcp_orphan_retries doublings take (0 means 8: 102.2 s), and nobody is told. After
shutdown(2) it still belongs to the program: tcp_retries2 decides, 924.6 s, and the error is
ETIMEDOUT. TCP_USER_TIMEOUT replaces both.

FIN_WAIT2, the FIN acknowledged and no FIN from the peer: an orphan goes after tcp_fin_timeout; a
socket that still belongs to the program stays for ever, unless keepalive is on. TIME_WAIT: 60 s.
Memory shortage, which ends orphans sooner (tcp_out_of_resources), is left out. close(2) with unread
data sends RST and leaves nothing.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from harness.oracle import backoff, timerwheel
from harness.oracle.prediction import Machine, Prediction, hull
from harness.oracle.zerowindow import RETRIES, timeouts

ORPHAN_RETRIES = 8
"""What net.ipv4.tcp_orphan_retries = 0, the default, stands for
(tcp_timer.c:tcp_orphan_retries).
"""
FIN_TIMEOUT_S = 60
"""net.ipv4.tcp_fin_timeout; TCP_LINGER2 on a socket."""
TIME_WAIT_S = 60
"""TCP_TIMEWAIT_LEN."""

State = Literal["FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT"]


class Stay(msgspec.Struct, frozen=True, kw_only=True):
    """How long a socket stays in a state with nobody there, in nanoseconds after it entered it.

    LAST_ACK is FIN_WAIT1.

    `errno` is what the program gets at the end, None where it is gone. `resent_ns`: the windows of
    the FIN's repetitions, `resent` their number at least and at most.
    """

    state: State
    over_ns: tuple[int, int]
    errno: str | None = None
    resent_ns: tuple[tuple[int, int], ...] = ()
    resent: tuple[int, int] = (0, 0)
    why: str


def fin_wait1(
    machine: Machine, user_timeout_ms: int = 0, retries: int | None = None, *, orphan: bool = True
) -> Stay:
    """The FIN is sent and all is lost in silence, nothing else in flight.

    `retries`: tcp_orphan_retries of an orphan, else tcp_retries2; None for the defaults.
    """
    number = (retries or ORPHAN_RETRIES) if orphan else (RETRIES if retries is None else retries)
    limit_ms = user_timeout_ms or backoff.model_timeout_ms(number, machine.hz // 5, machine.hz)
    timer = _Fin(machine, limit_ms, clamped=user_timeout_ms > 0)
    prediction: Prediction = backoff.predict(
        timer, "ETIMEDOUT", "", (2 * limit_ms + 10_000) * 1_000_000
    )
    (outcome,) = prediction.outcomes
    assert outcome.window_ns is not None
    sysctl = "tcp_orphan_retries" if orphan else "tcp_retries2"
    said = "0, which means 8" if orphan and not retries else str(number)
    why = f"the FIN goes unacknowledged for {limit_ms / 1000:g} s ({sysctl} = {said})"
    if user_timeout_ms:
        why = "the user timeout passes without an acknowledgement of the FIN"
    return Stay(
        state="FIN_WAIT1",
        over_ns=outcome.window_ns,
        errno=None if orphan else "ETIMEDOUT",
        resent_ns=prediction.probe_windows_ns,
        resent=outcome.probes,
        why=why,
    )


def fin_wait2(machine: Machine, fin_timeout_s: int = FIN_TIMEOUT_S) -> Stay:
    """An orphan whose FIN was acknowledged, and whose peer never sends its own.

    Beyond 60 s the time is made of two equal parts, each what it exceeds 60 s by:
    tcp_input.c:tcp_rcv_state_process sets a timer for the first, tcp_timer.c:tcp_keepalive_timer
    takes the second. So 120 s are 120 s, but 61 s are 2 s. At least 3.5 RTO (tcp_fin_time).
    """
    rows = []
    for rto in timeouts(machine):
        least = 4 * rto - rto // 2
        whole = max(fin_timeout_s * machine.hz, least)
        beyond = whole - TIME_WAIT_S * machine.hz
        rows.append(_timers(machine, [beyond, max(beyond, least)] if beyond > 0 else [whole]))
    why = f"tcp_fin_timeout = {fin_timeout_s} s"
    if fin_timeout_s > TIME_WAIT_S:
        why = f"{why}: twice what that is beyond {TIME_WAIT_S} s"
    return Stay(state="FIN_WAIT2", over_ns=hull(rows), why=why)


def time_wait(machine: Machine) -> Stay:
    """Both FINs were acknowledged, the peer's last."""
    return Stay(
        state="TIME_WAIT",
        over_ns=_timers(machine, [TIME_WAIT_S * machine.hz]),
        why=f"always {TIME_WAIT_S} s",
    )


def _timers(machine: Machine, waits: list[int]) -> tuple[int, int]:
    """When the last of some timers fires, each set by the one before it, the first in any jiffy."""
    tick, late = timerwheel.tick_ns(machine.hz), machine.late_jiffies
    period = max(timerwheel.granularity(wait) for wait in waits)
    windows = []
    for behind in range(late + 1):
        for begun in range(4 * period, 5 * period):
            bucket = timerwheel.fire(begun + waits[0], begun)
            for wait in waits[1:]:
                bucket = timerwheel.fire(bucket + behind + wait, bucket + 1)
            windows.append(((bucket - begun - 1) * tick, (bucket - begun + late) * tick))
    least, most = hull(windows)
    return least, most + machine.injection_ns


class _Fin(backoff.Backoff):
    loss_probe = True

    def first_timeouts(self) -> range:
        return timeouts(self.machine)
