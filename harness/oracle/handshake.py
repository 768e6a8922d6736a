"""A connection attempt that nobody answers: the SYN's timer, net/ipv4/tcp_timer.c:tcp_retransmit_timer in SYN_SENT.

The SYN is sent again after 1 s, some times at that distance (tcp_syn_linear_timeouts, from Linux 6.5 on), then at
distances that double, until so many have been sent again (tcp_syn_retries and the linear ones). TCP_USER_TIMEOUT ends
it sooner; it counts from the call, since tcp_output.c:tcp_connect sets retrans_stamp, but not before one repetition.
"""

from __future__ import annotations

from harness.oracle import backoff
from harness.oracle.prediction import Machine, Prediction

RETRIES = 6
"""net.ipv4.tcp_syn_retries."""
LINEAR = 4
"""net.ipv4.tcp_syn_linear_timeouts; there is none before Linux 6.5."""
FIRST_TIMEOUT_S = 1
"""TCP_TIMEOUT_INIT, RFC 6298 2.1."""


def predict(user_timeout_ms: int, machine: Machine, linear: int = LINEAR) -> Prediction:
    """When connect(2) fails, counted from its call, where every SYN is lost in silence."""
    first = FIRST_TIMEOUT_S * machine.hz
    limit_ms = user_timeout_ms or backoff.model_timeout_ms(RETRIES, first, machine.hz)
    why = f"{RETRIES + linear} repetitions of the SYN go unanswered (tcp_syn_retries = {RETRIES})"
    if user_timeout_ms:
        why = "the user timeout passes without an answer to the SYN"
    timer = _Syn(machine, limit_ms, clamped=user_timeout_ms > 0)
    timer.linear = linear
    return backoff.predict(timer, "ETIMEDOUT", why, 2_000 * limit_ms * 1000)


class _Syn(backoff.Backoff):
    linear = LINEAR
    counts_from_call = True

    def first_timeouts(self) -> tuple[int, ...]:
        return (FIRST_TIMEOUT_S * self.hz,)

    def next_timeout(self, timeout: int, repetitions: int) -> int:
        return timeout if repetitions <= self.linear else min(2 * timeout, self.longest)

    def most_repetitions(self) -> int:
        return RETRIES + self.linear
