"""A timer that sends again and again, waiting longer each time: what retransmissions and connection
attempts share.

Every expiry is rounded up by the timer wheel. All phases in which the first one may fall are
followed, one by one: they are few, because everything after it depends on its own place alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import msgspec

from harness.oracle import timerwheel
from harness.oracle.prediction import MAX_PROBE_WINDOWS, Machine, Outcome, Prediction, hull

LONGEST_TIMEOUT_S = 120
"""TCP_RTO_MAX_SEC."""
LEAST_TIMEOUT_US = 200_000
"""tcp_rto_min_us: the least that the variance of the round trip counts for; also TCP_RTO_MIN."""
RETRIES = 15
"""net.ipv4.tcp_retries2."""


class Backoff:
    """A timer's rules in the kernel's units; subclasses say what differs.

    All times in jiffies unless named otherwise.

    `limit_ms`: for how long it goes on. `clamped`: timeouts are cut so that the limit is not
    overslept, as TCP_USER_TIMEOUT does (tcp_timer.c:tcp_clamp_rto_to_user_timeout). `begun_ns`:
    when the first segment is sent, in nanoseconds after arming.
    """

    loss_probe = False
    """Whether one segment is sent again before repetitions count
    (tcp_output.c:tcp_send_loss_probe).
    """

    counts_from_call = False
    """Whether the limit counts from the first segment, sent by a system call, or else from the
    first repetition.
    """

    def __init__(
        self, machine: Machine, limit_ms: int, *, clamped: bool, begun_ns: int = 0
    ) -> None:
        self.machine, self.limit_ms, self.clamped, self.begun_ns = (
            machine,
            limit_ms,
            clamped,
            begun_ns,
        )
        self.hz, self.late = machine.hz, machine.late_jiffies
        self.tick = timerwheel.tick_ns(machine.hz)
        self.longest = LONGEST_TIMEOUT_S * machine.hz
        self.period = timerwheel.granularity(self.longest)

    def first_timeouts(self) -> Sequence[int]:
        """All that the first timeout may be."""
        raise NotImplementedError

    def next_timeout(self, timeout: int, repetitions: int) -> int:
        """The timeout after so many repetitions."""
        del repetitions
        return min(2 * timeout, self.longest)

    def most_repetitions(self) -> int | None:
        """The number after which the next expiry gives up, whatever the time."""
        return None

    def waits(self, timeout: int, elapsed: int) -> set[int]:
        """The timeout as it is set, `elapsed` after the first repetition."""
        if not self.clamped:
            return {timeout}
        remaining = {self.limit_ms - elapsed_ms for elapsed_ms in self._elapsed_ms(elapsed)}
        return {
            min(timeout, timerwheel.milliseconds_to_jiffies(ms, self.hz)) if ms > 0 else 1
            for ms in remaining
        }

    def gives_up(self, repetitions: int, elapsed: int) -> set[bool]:
        """Whether an expiry is the last (tcp_timer.c:tcp_write_timeout).

        Both where lateness or rounding decides.
        """
        most = self.most_repetitions()
        if most is not None and repetitions >= most:
            return {True}
        late_ms = -(-self.late * self.tick // 1_000_000)
        least_ms, most_ms = (
            self._elapsed_ms(elapsed)[0] - late_ms,
            self._elapsed_ms(elapsed)[-1] + late_ms,
        )
        return {least_ms >= self.limit_ms, most_ms >= self.limit_ms}

    def _elapsed_ms(self, jiffies: int) -> range:
        """In milliseconds, as TCP keeps time: rounded down or up where a jiffy is no whole number
        of them.

        A system call comes anywhere within its jiffy, so that up to one jiffy less has gone by
        since.
        """
        whole = self.tick % 1_000_000 == 0
        most = jiffies * self.tick // 1_000_000 + (0 if whole else 1)
        if not self.counts_from_call:
            return range(most if whole else most - 1, most + 1)
        least = (jiffies - 1) * self.tick // 1_000_000
        return range(least + 1 if whole else least, most + 1)


def model_timeout_ms(boundary: int, base: int, hz: int) -> int:
    """How long `boundary` doublings from `base` jiffies take, each at most 120 s
    (tcp_timer.c:tcp_model_timeout).
    """
    longest = LONGEST_TIMEOUT_S * hz
    doublings = (longest // base).bit_length() - 1
    jiffies = ((2 << min(boundary, doublings)) - 1) * base + max(0, boundary - doublings) * longest
    return jiffies * 1000 // hz


def predict(timer: Backoff, errno: str, why: str, horizon_ns: int) -> Prediction:
    """What comes when nothing is ever answered, over all phases, first timeouts and delays.

    The last window may end beyond the horizon: it is the caller's to refuse that.
    """
    runs = list(_runs(timer))
    ends = [run.window_ns(run.end) for run in runs]
    counts = [len(run.sent) for run in runs]
    by_number = {
        number: hull(
            [window for window, count in zip(ends, counts, strict=True) if count == number]
        )
        for number in sorted(set(counts))
    }
    outcome = Outcome(
        kind="detected",
        errno=errno,
        window_ns=hull(ends),
        probes=(min(counts), max(counts)),
        probes_seen=(min(counts), max(counts)),
        rst=False,
        why=why,
        window_by_probes=dict(by_number),
    )
    return Prediction(
        outcomes=(outcome,),
        probe_windows_ns=_by_place([run.windows_ns for run in runs]),
        horizon_ns=horizon_ns,
        probe_gaps_ns=_by_place([run.gaps_ns for run in runs]),
        asking="retransmit",
    )


class _Run(msgspec.Struct, frozen=True):
    """One way to go: the jiffies of repetitions and of the end.

    The first segment was sent from jiffy `begun[0]` to `begun[1]`: all these had the same first
    expiry.
    """

    timer: Backoff
    begun: tuple[int, int]
    sent: tuple[int, ...]
    end: int

    def window_ns(self, bucket: int) -> tuple[int, int]:
        """When after arming the handler of `bucket` runs; the lower end itself is excluded."""
        timer = self.timer
        earliest = (bucket - self.begun[1] - 1) * timer.tick
        latest = (bucket - self.begun[0] + timer.late) * timer.tick
        return timer.begun_ns + earliest, timer.begun_ns + latest + timer.machine.injection_ns

    @property
    def windows_ns(self) -> list[tuple[int, int]]:
        """Of each repetition."""
        return [self.window_ns(bucket) for bucket in self.sent[:MAX_PROBE_WINDOWS]]

    @property
    def gaps_ns(self) -> list[tuple[int, int]]:
        """From each repetition to the next."""
        sent = self.sent[:MAX_PROBE_WINDOWS]
        lengths = [
            (later - earlier) * self.timer.tick for earlier, later in itertools.pairwise(sent)
        ]
        return [(length, length) for length in lengths]


def _by_place(rows: list[list[tuple[int, int]]]) -> tuple[tuple[int, int], ...]:
    """The hull of all first ones, of all second ones and so on; rows may end early."""
    longest = max(len(row) for row in rows)
    return tuple(hull([row[place] for row in rows if place < len(row)]) for place in range(longest))


def _runs(timer: Backoff) -> Iterator[_Run]:
    """Every phase of the first expiry, for every first timeout and lateness."""
    for late in range(timer.late + 1):
        for timeout in timer.first_timeouts():
            # Where the moment of the call matters, each of its jiffies is followed by itself.
            alone = timer.counts_from_call and timer.clamped
            width = timerwheel.granularity(timeout)
            for begun in range(4 * timer.period, 5 * timer.period, 1 if alone else width):
                first = timerwheel.fire(begun + timeout, begun)
                together = (
                    (begun, begun) if alone else (first - width - timeout, first - 1 - timeout)
                )
                for sent, end in _replays(timer, together[0], first, timeout, late):
                    yield _Run(timer, together, sent, end)


def _replays(
    timer: Backoff, begun: int, first: int, timeout: int, late: int
) -> Iterator[tuple[tuple[int, ...], int]]:
    """From the first expiry to the last; every handler runs `late` jiffies after its bucket.

    Yields more than once where some of the handlers being late, or how a jiffy divides into
    milliseconds, decides between one expiry and the next.
    """
    sent: tuple[int, ...] = (first,)
    if timer.loss_probe:
        sent = (first, timerwheel.fire(first + late + timeout, first + 1))
    counted_from, before = begun if timer.counts_from_call else sent[-1], len(sent) - 1
    pending = [(sent, timeout)]
    while pending:
        sent, timeout = pending.pop()
        repetitions = len(sent) - before
        timeout, bucket = timer.next_timeout(timeout, repetitions), sent[-1]
        for wait in timer.waits(timeout, bucket - counted_from):
            expiry = timerwheel.fire(bucket + late + wait, bucket + 1)
            last = timer.gives_up(repetitions, expiry - counted_from)
            if True in last:
                yield sent, expiry
            if False in last:
                pending.append(((*sent, expiry), timeout))
