"""Data in flight to a silent peer: net/ipv4/tcp_timer.c:tcp_retransmit_timer as a pure function.

What is written once and never acknowledged is sent again by the loss probe (tcp_output.c:tcp_send_loss_probe), then by
the retransmission timer, whose timeout doubles from RTT + 200 ms to 120 s. The connection is given up by the first
expiry that comes so long after the timer's first retransmission: 924.6 s, what tcp_retries2 = 15 doublings from 200 ms
take (tcp_model_timeout), or TCP_USER_TIMEOUT. Keepalive has no say as long as data is in flight.

No percentage, but one thing is not known before: how long a round trip the handshake measured, so every first timeout
that `Machine.rtt_ns` allows is followed.
"""

from __future__ import annotations

from harness.oracle import backoff
from harness.oracle.effects import Effect, Unpredictable, resolve
from harness.oracle.prediction import Machine, Prediction, Settings

RETRIES = 15
"""net.ipv4.tcp_retries2."""
LEAST_TIMEOUT_US = 200_000
"""tcp_rto_min_us: the least that the variance of the round trip counts for."""


def predict(
    settings: Settings, machine: Machine, effects: tuple[Effect, ...], written_ns: int, horizon_ns: int
) -> Prediction:
    """What comes of data written `written_ns` after arming, over all phases, round trips and delays.

    Raises Unpredictable unless the path to the peer or back is cut by then, and for good.
    """
    _refuse(settings, machine, effects, written_ns)
    limit_ms = _limit_ms(settings, machine)
    why = f"retransmissions go unanswered for {limit_ms / 1000:g} s (tcp_retries2 = {RETRIES})"
    if settings.user_timeout_ms:
        why = "the user timeout passes without an acknowledgement of the data"
    timer = _Retransmission(machine, limit_ms, clamped=settings.user_timeout_ms > 0, begun_ns=written_ns)
    prediction = backoff.predict(timer, "ETIMEDOUT", why, horizon_ns)
    window_ns = prediction.outcomes[0].window_ns
    assert window_ns is not None
    if window_ns[1] > horizon_ns:
        raise Unpredictable("the watch may be over before the data is given up; watch for longer")
    return prediction


def longest_ns(settings: Settings, machine: Machine) -> int:
    """More than giving up can take, from the write on."""
    return _limit_ms(settings, machine) * 5_000_000 // 4 + 10_000_000_000


def _limit_ms(settings: Settings, machine: Machine) -> int:
    return settings.user_timeout_ms or backoff.model_timeout_ms(RETRIES, machine.hz // 5, machine.hz)


class _Retransmission(backoff.Backoff):
    # It would wait for two round trips and 200 ms, but never longer than the timeout.
    loss_probe = True

    def first_timeouts(self) -> range:
        """Round trip + 200 ms, rounded up (tcp_input.c:__tcp_set_rto)."""
        shortest, longest = (
            -(-(LEAST_TIMEOUT_US + rtt_us) * self.hz // 1_000_000) for rtt_us in (0, self.machine.rtt_ns // 1000)
        )
        return range(shortest, longest + 1)


def _refuse(settings: Settings, machine: Machine, effects: tuple[Effect, ...], written_ns: int) -> None:
    """Raise Unpredictable for all but a path that is cut before the write and stays so."""
    spans = resolve(effects)
    strange = {span.effect.mechanism for span in spans} - {"lost", "answers-lost", "peer-frozen"}
    if strange:
        raise Unpredictable(f"data is written, and there is no model of that with {', '.join(sorted(strange))}")
    cuts = [span for span in spans if span.effect.mechanism != "peer-frozen"]
    for span in cuts:
        if span.effect.unknown or span.effect.reported:
            raise Unpredictable(f"data is written, and {span.effect.unknown or 'an ICMP error answers it'}")
    if any(span.until_ns is not None for span in cuts):
        raise Unpredictable("data is written, and the path does not stay cut")
    if not cuts:
        raise Unpredictable("data is written, and no fault cuts the path")
    cut_ns = min(span.from_ns for span in cuts) + machine.injection_ns
    if cut_ns > written_ns:
        raise Unpredictable(f"data is written before the path is cut for sure, {cut_ns / 1e9:g} s after arming")
    if settings.keepalive and settings.idle_s * 1_000_000_000 <= written_ns + machine.injection_ns:
        raise Unpredictable("the data is written after keepalive's first probe on the dead path")
