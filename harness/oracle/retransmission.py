"""Data in flight to a silent peer: net/ipv4/tcp_timer.c:tcp_retransmit_timer as a pure function.

What is written once and never acknowledged is sent again by the loss probe (tcp_output.c:tcp_send_loss_probe), then by
the retransmission timer, whose timeout doubles from RTT + 200 ms to 120 s. The connection is given up by the first
expiry that comes so long after the timer's first retransmission: 924.6 s, what tcp_retries2 = 15 doublings from 200 ms
take (tcp_model_timeout), or TCP_USER_TIMEOUT. Keepalive has no say as long as data is in flight.

Every expiry is rounded up by the timer wheel. All phases in which the first one may fall are followed, one by one: they
are few, because everything after it depends on its own place alone. No percentage, but one thing is not known before:
how long a round trip the handshake measured, so every first timeout that `Machine.rtt_ns` allows is followed too.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec

from harness.oracle import timerwheel
from harness.oracle.effects import Effect, Unpredictable, resolve
from harness.oracle.prediction import MAX_PROBE_WINDOWS, Machine, Outcome, Prediction, Settings, hull

RETRIES = 15
"""net.ipv4.tcp_retries2."""
LEAST_TIMEOUT_US = 200_000
"""tcp_rto_min_us: the least that the variance of the round trip counts for."""
LONGEST_TIMEOUT_S = 120
"""TCP_RTO_MAX_SEC."""


def predict(
    settings: Settings, machine: Machine, effects: tuple[Effect, ...], written_ns: int, horizon_ns: int
) -> Prediction:
    """What comes of data written `written_ns` after arming, over all phases, round trips and delays.

    Raises Unpredictable unless the path to the peer or back is cut by then, and for good.
    """
    _refuse(settings, machine, effects, written_ns)
    case = _Case(settings, machine, written_ns)
    runs = list(_runs(case))
    windows = _by_place([run.windows_ns for run in runs])
    gaps = _by_place([run.gaps_ns for run in runs])
    ends = [run.window_ns(run.end) for run in runs]
    counts = [len(run.sent) for run in runs]
    whole = hull(ends)
    if whole[1] > horizon_ns:
        raise Unpredictable("the watch may be over before the data is given up; watch for longer")
    outcome = Outcome(
        kind="detected",
        errno="ETIMEDOUT",
        window_ns=whole,
        probes=(min(counts), max(counts)),
        probes_seen=(min(counts), max(counts)),
        rst=False,
        why=_reason(case),
        window_by_probes={
            number: hull([window for window, count in zip(ends, counts, strict=True) if count == number])
            for number in sorted(set(counts))
        },
    )
    return Prediction(
        outcomes=(outcome,),
        probe_windows_ns=windows,
        horizon_ns=horizon_ns,
        probe_gaps_ns=gaps,
        asking="retransmit",
    )


def longest_ns(settings: Settings, machine: Machine) -> int:
    """More than giving up can take, from the write on."""
    limit_ms = settings.user_timeout_ms or model_timeout_ms(RETRIES, machine.hz)
    return limit_ms * 5_000_000 // 4 + 10_000_000_000


def model_timeout_ms(boundary: int, hz: int) -> int:
    """How long so many doublings from HZ / 5 take, each at most 120 s (tcp_model_timeout)."""
    base, longest = hz // 5, LONGEST_TIMEOUT_S * hz
    doublings = (longest // base).bit_length() - 1
    jiffies = ((2 << min(boundary, doublings)) - 1) * base + max(0, boundary - doublings) * longest
    return jiffies * 1000 // hz


def _reason(case: _Case) -> str:
    if case.settings.user_timeout_ms:
        return "the user timeout passes without an acknowledgement of the data"
    return f"retransmissions go unanswered for {case.limit_ms / 1000:g} s (tcp_retries2 = {RETRIES})"


def _refuse(settings: Settings, machine: Machine, effects: tuple[Effect, ...], written_ns: int) -> None:
    """Raise Unpredictable for all but a path that is cut before the write and stays so."""
    spans = resolve(effects)
    strange = {span.effect.mechanism for span in spans} - {"lost", "answers-lost", "peer-frozen"}
    if strange:
        raise Unpredictable(f"data is written, and there is no model of that with {', '.join(sorted(strange))}")
    cuts = [span for span in spans if span.effect.mechanism != "peer-frozen"]
    if any(span.effect.reported for span in cuts):
        raise Unpredictable("data is written, and an ICMP error or a neighbour that is not found may answer it")
    if any(span.until_ns is not None for span in cuts):
        raise Unpredictable("data is written, and the path does not stay cut")
    if not cuts:
        raise Unpredictable("data is written, and no fault cuts the path")
    cut_ns = min(span.from_ns for span in cuts) + machine.injection_ns
    if cut_ns > written_ns:
        raise Unpredictable(f"data is written before the path is cut for sure, {cut_ns / 1e9:g} s after arming")
    if settings.keepalive and settings.idle_s * 1_000_000_000 <= written_ns + machine.injection_ns:
        raise Unpredictable("the data is written after keepalive's first probe on the dead path")


class _Case:
    """The question in the kernel's units."""

    def __init__(self, settings: Settings, machine: Machine, written_ns: int) -> None:
        self.settings, self.machine, self.written_ns = settings, machine, written_ns
        self.hz, self.late = machine.hz, machine.late_jiffies
        self.tick = timerwheel.tick_ns(machine.hz)
        self.longest = LONGEST_TIMEOUT_S * machine.hz
        self.limit_ms = settings.user_timeout_ms or model_timeout_ms(RETRIES, machine.hz)
        self.period = timerwheel.granularity(self.longest)

    def first_timeouts(self) -> range:
        """In jiffies: round trip + 200 ms, rounded up (tcp_input.c:__tcp_set_rto)."""
        shortest, longest = (
            -(-(LEAST_TIMEOUT_US + rtt_us) * self.hz // 1_000_000) for rtt_us in (0, self.machine.rtt_ns // 1000)
        )
        return range(shortest, longest + 1)

    def elapsed_ms(self, jiffies: int) -> tuple[int, ...]:
        """The same in milliseconds, as TCP keeps time: rounded down or up where a jiffy is no whole number of them."""
        least = jiffies * self.tick // 1_000_000
        return (least,) if self.tick % 1_000_000 == 0 else (least, least + 1)

    def waits(self, timeout: int, elapsed: int) -> set[int]:
        """The next timeout, clamped so that the user timeout is not overslept (tcp_clamp_rto_to_user_timeout)."""
        if not self.settings.user_timeout_ms:
            return {timeout}
        remaining = {self.limit_ms - elapsed_ms for elapsed_ms in self.elapsed_ms(elapsed)}
        return {min(timeout, timerwheel.milliseconds_to_jiffies(ms, self.hz)) if ms > 0 else 1 for ms in remaining}

    def expired(self, elapsed: int) -> set[bool]:
        """Whether so many jiffies are enough (retransmits_timed_out), where one handler may be late and another not."""
        late_ms = -(-self.late * self.tick // 1_000_000)
        least, most = self.elapsed_ms(elapsed)[0] - late_ms, self.elapsed_ms(elapsed)[-1] + late_ms
        return {least >= self.limit_ms, most >= self.limit_ms}


class _Run(msgspec.Struct, frozen=True):
    """One way to go: the jiffies of retransmissions and of the end.

    The write happened from jiffy `written[0]` to `written[1]`: all these had the same first expiry.
    """

    case: _Case
    written: tuple[int, int]
    sent: tuple[int, ...]
    end: int

    def window_ns(self, bucket: int) -> tuple[int, int]:
        """When after arming the handler of `bucket` runs; the lower end itself is excluded."""
        case = self.case
        earliest = (bucket - self.written[1] - 1) * case.tick
        latest = (bucket - self.written[0] + case.late) * case.tick
        return case.written_ns + earliest, case.written_ns + latest + case.machine.injection_ns

    @property
    def windows_ns(self) -> list[tuple[int, int]]:
        """Of each retransmission."""
        return [self.window_ns(bucket) for bucket in self.sent[:MAX_PROBE_WINDOWS]]

    @property
    def gaps_ns(self) -> list[tuple[int, int]]:
        """From each retransmission to the next."""
        sent = self.sent[:MAX_PROBE_WINDOWS]
        lengths = [(later - earlier) * self.case.tick for earlier, later in itertools.pairwise(sent)]
        return [(length, length) for length in lengths]


def _by_place(rows: list[list[tuple[int, int]]]) -> tuple[tuple[int, int], ...]:
    """The hull of all first ones, of all second ones and so on; rows may end early."""
    longest = max(len(row) for row in rows)
    return tuple(hull([row[place] for row in rows if place < len(row)]) for place in range(longest))


def _runs(case: _Case) -> Iterator[_Run]:
    """Every phase of the first expiry, for every first timeout and lateness."""
    for late in range(case.late + 1):
        for timeout in case.first_timeouts():
            width = timerwheel.granularity(timeout)
            for first in range(4 * case.period, 5 * case.period, width):
                written = first - width - timeout, first - 1 - timeout
                for sent, end in _replays(case, first, timeout, late):
                    yield _Run(case, written, sent, end)


def _replays(case: _Case, first: int, timeout: int, late: int) -> Iterator[tuple[tuple[int, ...], int]]:
    """From the loss probe at jiffy `first` to the end; every handler runs `late` jiffies after its bucket.

    Yields more than once where some of the handlers being late, or how a jiffy divides into milliseconds, decides
    between one expiry and the next.
    """
    # The loss probe would wait for two round trips and 200 ms, but never longer than the timeout.
    begun = timerwheel.fire(first + late + timeout, first + 1)
    pending: list[tuple[tuple[int, ...], int]] = [((first, begun), timeout)]
    while pending:
        sent, timeout = pending.pop()
        timeout, bucket = min(2 * timeout, case.longest), sent[-1]
        for wait in case.waits(timeout, bucket - begun):
            expiry = timerwheel.fire(bucket + late + wait, bucket + 1)
            expired = case.expired(expiry - begun)
            if True in expired:
                yield sent, expiry
            if False in expired:
                pending.append(((*sent, expiry), timeout))
