"""The peer's window is closed and data waits: net/ipv4/tcp_timer.c:tcp_probe_timer, and the peer dies meanwhile.

A living peer answers every probe and is probed for ever, at distances that double from the RTO (200 ms and the round
trip) up to 120 s. Once it is dead, the expiry after tcp_retries2 unanswered probes gives up. How long that takes
depends on how far the distances had grown, and that on how many probes had been answered: 16 to 33 minutes.

TCP_USER_TIMEOUT counts from the first probe, answered or not (icsk_probes_tstamp is cleared by an open window only): it
ends the connection to a living peer, too. Keepalive has no say as long as data waits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.oracle import timerwheel
from harness.oracle.backoff import LONGEST_TIMEOUT_S
from harness.oracle.prediction import MAX_PROBE_WINDOWS, Machine, Outcome, Prediction, hull

RETRIES = 15
"""net.ipv4.tcp_retries2."""
LEAST_TIMEOUT_US = 200_000
"""tcp_rto_min_us: the least that the variance of the round trip counts for."""
LEAST_DISTANCE_JIFFIES = 2
"""TCP_TIMEOUT_MIN: what tcp_clamp_probe0_to_user_timeout leaves at least."""

Windows = tuple[tuple[int, int], ...]


def predict(user_timeout_ms: int, machine: Machine, answered: int = 0, retries: int = RETRIES) -> Prediction:
    """When the sender gives up, in nanoseconds after the timer is set or after the last probe that was answered.

    Without `answered` probes it counts from the write that finds the window closed and nothing in flight, or from the
    ACK that closes it. Raises ValueError for answered probes and a user timeout, which does not care about answers.
    """
    if answered and user_timeout_ms:
        raise ValueError("expected no answered probes: the user timeout counts from the first one, answered or not")
    timer = _Timer(user_timeout_ms, machine, answered, retries)
    rows = list(timer.rows())
    counts = [len(row) - 1 for row in rows]
    ends = [row[-1] for row in rows]
    by_number = {n: hull([end for end, count in zip(ends, counts, strict=True) if count == n]) for n in set(counts)}
    why = f"{retries} zero-window probes go unanswered (tcp_retries2 = {retries})"
    if user_timeout_ms and max(counts) < retries:
        why = "the user timeout has passed since the first zero-window probe"
    elif user_timeout_ms and min(counts) < retries:
        why = f"the user timeout has passed since the first zero-window probe, or {why}, whichever is first"
    outcome = Outcome(
        kind="detected",
        errno="ETIMEDOUT",
        window_ns=hull(ends),
        probes=(min(counts), max(counts)),
        probes_seen=(min(counts), max(counts)),
        rst=False,
        why=why,
        window_by_probes=dict(sorted(by_number.items())),
    )
    return Prediction(
        outcomes=(outcome,),
        probe_windows_ns=_by_place([row[:-1][:MAX_PROBE_WINDOWS] for row in rows]),
        horizon_ns=2 * hull(ends)[1] + 10_000_000_000,
    )


def timeouts(machine: Machine) -> range:
    """What the RTO may be, in jiffies: round trip + 200 ms, rounded up (tcp_input.c:__tcp_set_rto)."""
    shortest, longest = (
        -(-(LEAST_TIMEOUT_US + rtt_us) * machine.hz // 1_000_000) for rtt_us in (0, machine.rtt_ns // 1000)
    )
    return range(shortest, longest + 1)


class _Timer:
    """The timer's rules, in jiffies."""

    def __init__(self, user_timeout_ms: int, machine: Machine, answered: int, retries: int) -> None:
        self.hz, self.late, self.tick = machine.hz, machine.late_jiffies, timerwheel.tick_ns(machine.hz)
        self.user_timeout = timerwheel.milliseconds_to_jiffies(user_timeout_ms, machine.hz)
        self.bases, self.prompt = timeouts(machine), not machine.rtt_ns
        self.injection_ns = machine.injection_ns
        self.answered, self.retries = answered, retries
        self.longest = LONGEST_TIMEOUT_S * machine.hz
        self.period = timerwheel.granularity(self.longest)

    def rows(self) -> Iterator[Windows]:
        """The windows of the probes and of the end, for every phase, round trip and lateness."""
        for late in range(self.late + 1):
            for base in self.bases:
                for begun in range(4 * self.period, 5 * self.period, self._step(base)):
                    expiries = self._expiries(begun, base, late)
                    yield tuple(self._window(expiry - begun) for expiry in expiries)

    def _step(self, base: int) -> int:
        """The answer to a probe comes in the jiffy of a bucket, unless it takes its time."""
        if not self.answered or not self.prompt or self.late:
            return 1
        return timerwheel.granularity(self.distance(base, self.answered - 1))

    def _window(self, jiffies: int) -> tuple[int, int]:
        """The lower end is excluded; a write comes anywhere within its jiffy, an answer just after the handler."""
        earliest = (jiffies - self.late) * self.tick - 1 if self.answered else (jiffies - 1) * self.tick
        return earliest, (jiffies + self.late) * self.tick + self.injection_ns

    def distance(self, base: int, backoff: int) -> int:
        """From a probe to the next one (include/net/tcp.h:tcp_probe0_when); no doubling beyond tcp_retries2."""
        return min(base << min(backoff, self.retries, 10), self.longest)

    def _expiries(self, begun: int, base: int, late: int) -> list[int]:
        """Of each unanswered probe and of the end."""
        first = self.distance(base, self.answered)
        clock = begun + 1 if self._step(base) > 1 else begun
        expiries = [timerwheel.fire(begun + first, clock)]
        while len(expiries) <= self.retries:
            bucket, elapsed = expiries[-1], expiries[-1] - expiries[0]
            if self.user_timeout and len(expiries) > 1 and elapsed >= self.user_timeout:
                break
            wait = self.distance(base, self.answered + len(expiries))
            if self.user_timeout:
                wait = min(wait, max(self.user_timeout - elapsed, LEAST_DISTANCE_JIFFIES))
            expiries.append(timerwheel.fire(bucket + late + wait, bucket + 1))
        return expiries


def _by_place(rows: Sequence[Windows]) -> Windows:
    """The hull of all first windows, of all second ones and so on; rows may end early."""
    longest = max(len(row) for row in rows)
    return tuple(hull([row[place] for row in rows if place < len(row)]) for place in range(longest))
