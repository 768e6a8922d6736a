"""A connection being made with nobody there, from both ends: the SYN's timer and the SYN-ACK's.

Connecting (net/ipv4/tcp_timer.c:tcp_retransmit_timer in SYN_SENT): the SYN is sent again after 1 s,
some times at that distance (tcp_syn_linear_timeouts, from Linux 6.5 on), then at distances that
double, until so many have been sent again (tcp_syn_retries and the linear ones) or what
tcp_syn_retries doublings take has passed. TCP_USER_TIMEOUT ends it sooner; it counts from the call,
since tcp_output.c:tcp_connect sets retrans_stamp, but not before one repetition.

Answering (net/ipv4/inet_connection_sock.c:reqsk_timer_handler): the SYN-ACK is sent again after 1 s
and at distances that double, tcp_synack_retries times; the next expiry forgets the request.
accept(2) never hears of it. A queue that is more than half full forgets sooner; that is left out.
"""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from harness.oracle import backoff
from harness.oracle.prediction import Machine, Outcome, Prediction

RETRIES = 6
"""net.ipv4.tcp_syn_retries; TCP_SYNCNT on a socket."""
LINEAR = 4
"""net.ipv4.tcp_syn_linear_timeouts; there is none before Linux 6.5."""
SYNACK_RETRIES = 5
"""net.ipv4.tcp_synack_retries; TCP_SYNCNT on the listening socket."""
FIRST_TIMEOUT_S = 1
"""TCP_TIMEOUT_INIT, RFC 6298 2.1."""

Answer = Literal["ECONNREFUSED", "ENETUNREACH", "EHOSTUNREACH", "ENOPROTOOPT", "EACCES"]
"""What connect(2) fails with where the SYN is answered by RST (ECONNREFUSED) or by an ICMP
error.
"""
ANSWERS: tuple[Answer, ...] = get_args(Answer)


def predict(
    user_timeout_ms: int, machine: Machine, linear: int = LINEAR, retries: int = RETRIES
) -> Prediction:
    """When connect(2) fails, counted from its call, where every SYN is lost in silence."""
    unhurried = _connecting(0, machine, linear, retries)
    (outcome,) = unhurried.outcomes
    assert outcome.window_ns is not None
    if not user_timeout_ms:
        return unhurried
    limit_ns = user_timeout_ms * 1_000_000
    if limit_ns >= outcome.window_ns[1]:
        return msgspec.structs.replace(unhurried, horizon_ns=_horizon_ns(user_timeout_ms))
    prediction = _connecting(user_timeout_ms, machine, linear, retries)
    why = "the user timeout passes without an answer to the SYN"
    if limit_ns > outcome.window_ns[0]:
        why = f"{why}, or {outcome.why}, whichever is first"
    return msgspec.structs.replace(
        prediction, outcomes=(msgspec.structs.replace(prediction.outcomes[0], why=why),)
    )


def refused(
    silence: Prediction, errno: Answer, number: int, machine: Machine, by: str = "RST"
) -> Prediction:
    """As `silence` predicts, but SYN `number` (1: the first) is answered: connect(2) fails with
    that.

    tcp_input.c:tcp_rcv_synsent_state_process for an RST; tcp_ipv4.c:tcp_v4_err and its like for
    IPv6 take every ICMP error in SYN_SENT for the end. Raises ValueError where so many SYNs are not
    sure to be sent.
    """
    if not 1 <= number <= silence.outcomes[0].probes[0] + 1:
        most = silence.outcomes[0].probes[0] + 1
        raise ValueError(f"expected one of the {most} SYNs that are sent at least, found {number}")
    rtt_ns = machine.rtt_ns + machine.injection_ns
    sent_ns = (0, 0) if number == 1 else silence.probe_windows_ns[number - 2]
    window_ns = (sent_ns[0], sent_ns[1] + rtt_ns)
    outcome = Outcome(
        kind="detected",
        errno=errno,
        window_ns=window_ns,
        probes=(number - 1, number - 1),
        probes_seen=(number - 1, number - 1),
        rst=False,
        why=f"SYN {number} is answered by {by}",
        window_by_probes={number - 1: window_ns},
    )
    return msgspec.structs.replace(
        silence,
        outcomes=(outcome,),
        probe_windows_ns=silence.probe_windows_ns[: number - 1],
        probe_gaps_ns=silence.probe_gaps_ns[: max(0, number - 2)],
    )


def _connecting(user_timeout_ms: int, machine: Machine, linear: int, retries: int) -> Prediction:
    limit_ms = user_timeout_ms or backoff.model_timeout_ms(
        retries, FIRST_TIMEOUT_S * machine.hz, machine.hz
    )
    timer = _Syn(machine, limit_ms, linear=linear, retries=retries, clamped=user_timeout_ms > 0)
    prediction = backoff.predict(timer, "ETIMEDOUT", "", _horizon_ns(limit_ms))
    (outcome,) = prediction.outcomes
    least, most = outcome.probes
    count = str(most) if least == most else f"{least} to {most}"
    why = f"{count} repetitions of the SYN go unanswered (tcp_syn_retries = {retries})"
    return msgspec.structs.replace(
        prediction, outcomes=(msgspec.structs.replace(outcome, why=why),)
    )


def _horizon_ns(limit_ms: int) -> int:
    return (2 * limit_ms + 10_000) * 1_000_000


class _Syn(backoff.Backoff):
    counts_from_call = True

    def __init__(
        self, machine: Machine, limit_ms: int, *, linear: int, retries: int, clamped: bool
    ) -> None:
        super().__init__(machine, limit_ms, clamped=clamped)
        self.linear, self.retries = linear, retries

    def first_timeouts(self) -> tuple[int, ...]:
        return (FIRST_TIMEOUT_S * self.hz,)

    def next_timeout(self, timeout: int, repetitions: int) -> int:
        return timeout if repetitions <= self.linear else min(2 * timeout, self.longest)

    def most_repetitions(self) -> int:
        return self.retries + self.linear


# --- the listening side -------------------------------------------------------------------------


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request socket whose handshake never ends. Nanoseconds after the SYN that made it.

    `resent_ns`: the window of each repetition of the SYN-ACK; `forgotten_ns`: when the kernel drops
    the request. `deferred_ns`: until then a bare ACK does not make it a connection
    (TCP_DEFER_ACCEPT).
    """

    resent_ns: tuple[tuple[int, int], ...]
    forgotten_ns: tuple[int, int]
    deferred_ns: tuple[int, int] | None
    why: str


def answering(
    machine: Machine,
    retries: int = SYNACK_RETRIES,
    defer_accept_s: int = 0,
    *,
    acknowledged: bool = False,
) -> Request:
    """A SYN was taken by a listening socket, and nothing comes after it.

    `acknowledged`: the ACK that ends the handshake came, but no data, and the path is cut then:
    only with TCP_DEFER_ACCEPT is it still a request (tcp_minisocks.c:tcp_check_req drops the bare
    ACK, which stops the SYN-ACKs until the last expiry of the deferring period: syn_ack_recalc).
    """
    deferring = deferred_expiries(defer_accept_s)
    acknowledged = acknowledged and deferring > 0
    last = max(retries, deferring) if acknowledged else retries
    timer = _SynAck(machine, expiries=last)
    prediction = backoff.predict(timer, "", "", 0)
    (outcome,) = prediction.outcomes
    assert outcome.window_ns is not None
    expiries = (*prediction.probe_windows_ns, outcome.window_ns)
    first = deferring - 1 if acknowledged else 0
    why = f"{retries} repetitions of the SYN-ACK go unanswered (tcp_synack_retries = {retries})"
    if acknowledged:
        why = (
            f"no data comes in the {deferring} expiries that TCP_DEFER_ACCEPT = {defer_accept_s} "
            "s stands for"
        )
        if retries > deferring:
            why = f"{why}, nor an ACK of a later SYN-ACK (tcp_synack_retries = {retries})"
    return Request(
        resent_ns=expiries[first:last],
        forgotten_ns=expiries[last],
        deferred_ns=expiries[deferring - 1] if deferring and deferring <= last else None,
        why=why,
    )


def deferred_expiries(seconds: int) -> int:
    """TCP_DEFER_ACCEPT is kept as a number of the timer's expiries, at most 255
    (tcp.c:secs_to_retrans).
    """
    number, timeout, period = 0, FIRST_TIMEOUT_S, 0
    while period < seconds and number < 255:
        number, period, timeout = (
            number + 1,
            period + timeout,
            min(2 * timeout, backoff.LONGEST_TIMEOUT_S),
        )
    return number


class _SynAck(backoff.Backoff):
    """Its timer is a plain one of the wheel (timer_setup, mod_timer).

    The SYN's reception sets it.
    """

    def __init__(self, machine: Machine, *, expiries: int) -> None:
        # The number alone decides, never the time.
        super().__init__(machine, 1 << 62, clamped=False)
        self.expiries = expiries

    def first_timeouts(self) -> tuple[int, ...]:
        return (FIRST_TIMEOUT_S * self.hz,)

    def most_repetitions(self) -> int:
        return self.expiries
