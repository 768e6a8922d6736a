"""The peer's window is closed and data waits: net/ipv4/tcp_timer.c:tcp_probe_timer, and the peer
dies meanwhile.

A living peer answers every probe and is probed for ever, at distances that double from the RTO (200
ms and the round trip) up to 120 s. Once it is dead, the expiry after tcp_retries2 unanswered probes
gives up. How long that takes depends on how far the distances had grown, and that on how many
probes had been answered: 16 to 33 minutes.

TCP_USER_TIMEOUT counts from the first probe, answered or not (icsk_probes_tstamp is cleared by an
open window only): it ends the connection to a living peer, too. Keepalive has no say as long as
data waits.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import msgspec

from harness.oracle import timerwheel
from harness.oracle.backoff import LONGEST_TIMEOUT_S
from harness.oracle.effects import Effect, Unpredictable
from harness.oracle.prediction import MAX_PROBE_WINDOWS, Machine, Prediction
from harness.oracle.window_union import Gathering

RETRIES = 15
"""net.ipv4.tcp_retries2."""
LEAST_TIMEOUT_US = 200_000
"""tcp_rto_min_us: the least that the variance of the round trip counts for."""
LEAST_DISTANCE_JIFFIES = 2
"""TCP_TIMEOUT_MIN: what tcp_clamp_probe0_to_user_timeout leaves at least."""
ENDLESS = 1 << 60
"""More probes than any connection lives."""
LONGEST_NS = (RETRIES + 1) * LONGEST_TIMEOUT_S * 1_250_000_000
"""More than it takes to give up, without a user timeout."""
FILLING_NS = 500_000_000
"""How long a small buffer takes to fill at most, with the acknowledgements delayed of segments that
move no window.
"""
DELAYED_US = 40_000
"""TCP_DELACK_MIN: how long those are delayed.

The round trip that they tell, smoothed, is part of the RTO.
"""


def predict_give_up(
    user_timeout_ms: int, machine: Machine, answered: int = 0, retries: int = RETRIES
) -> Prediction:
    """When the sender gives up a peer that answers no more, whatever else happened to the
    connection before.

    In nanoseconds after the last of the `answered` probes. Where there is none: after the timer is
    set, by the write that finds the window closed and nothing in flight, or by the ACK that closes
    it. Raises ValueError for answered probes together with a user timeout, which counts from the
    first probe in any case.
    """
    if answered and user_timeout_ms:
        raise ValueError(
            "expected no answered probes: the user timeout counts from the first one, "
            "answered or not"
        )
    timer, found, latest_ns = _Timer(user_timeout_ms, machine, retries), Gathering(), 0
    for begun in timer.beginnings(answered):
        last, why = begun.probes.gives_up(retries)
        window = begun.window_ns(begun.probes.at(last))
        latest_ns = max(latest_ns, window[1])
        found.add("detected", "ETIMEDOUT", window, sent=last, seen=last, why=why)
        begun.gather(found, last, MAX_PROBE_WINDOWS)
    return found.prediction(2 * latest_ns + 10_000_000_000, "probe")


def predict_connection(
    user_timeout_ms: int,
    machine: Machine,
    effects: tuple[Effect, ...],
    write_ns: int,
    horizon_ns: int,
) -> Prediction:
    """What happens under faults to a connection whose peer never reads, after a write that fills
    the peer's buffer.

    In nanoseconds after arming. How the last segments were acknowledged is not known: the window
    closes up to 0.5 s after the write, and the round trip may seem up to 40 ms longer. So the
    windows are wider than the timer wheel makes them. Raises Unpredictable for effects other than
    one that ends the path for good.
    """
    path = _Path.of(effects, machine, write_ns)
    latest_ns = max((round(effect.from_s * 1e9) for effect in effects), default=0)
    timer, found = _Timer(user_timeout_ms, machine, RETRIES), Gathering()
    for begun in timer.fillings(write_ns):
        if begun.may_end_before(latest_ns):
            raise Unpredictable(
                "the user timeout may pass before all faults have happened; leave them out"
            )
        for part, met in begun.meetings(path):
            part.follow(found, path, met, horizon_ns)
    return found.prediction(horizon_ns, "probe")


def timeouts(machine: Machine, delayed_us: int = 0) -> range:
    """What the RTO may be, in jiffies: round trip + 200 ms, rounded up
    (tcp_input.c:__tcp_set_rto).
    """
    longest_us = LEAST_TIMEOUT_US + machine.rtt_ns // 1000 + delayed_us
    shortest, longest = (
        -(-rto_us * machine.hz // 1_000_000) for rto_us in (LEAST_TIMEOUT_US, longest_us)
    )
    return range(shortest, longest + 1)


class _Path(msgspec.Struct, frozen=True):
    """When the path ends, after arming and up to `slack_ns` later, if ever.

    `resets`: probes then meet RST.
    """

    from_ns: int | None
    resets: bool
    slack_ns: int

    @staticmethod
    def of(effects: tuple[Effect, ...], machine: Machine, write_ns: int) -> _Path:
        """Raises Unpredictable."""
        ends = [effect for effect in effects if effect.mechanism != "peer-frozen"]
        if not ends:
            return _Path(None, resets=False, slack_ns=0)
        end = ends[0]
        if (
            len(ends) > 1
            or end.mechanism not in ("lost", "answers-lost", "peer-forgot")
            or end.until_s is not None
        ):
            raise Unpredictable(
                "the peer does not read, and something else happens than one end of the path"
            )
        from_ns = round(end.from_s * 1e9)
        if from_ns < write_ns + machine.write_ns + FILLING_NS:
            raise Unpredictable(
                "the path ends before, or in the half second in which, the peer's window is filled"
            )
        return _Path(from_ns, resets=end.mechanism == "peer-forgot", slack_ns=machine.injection_ns)


class _Probes:
    """The jiffies of all expiries from the first one on, as if the timer went on for ever.

    `late`: every handler is.
    """

    def __init__(self, timer: _Timer, first: int, base: int, late: int, backoff: int) -> None:
        self._timer, self.early = timer, [first]
        self._stride = timerwheel.fire(timer.distance(base, timer.retries) + late, 1)
        bucket = first
        if not timer.user_timeout:
            for distance, width in timer.growing(base, backoff, late):
                bucket = ((bucket + distance) // width + 1) * width  # timerwheel.fire
                self.early.append(bucket)
            return
        while len(self.early) == 1 or bucket - first < timer.user_timeout:
            backoff += 1
            left = max(timer.user_timeout - (bucket - first), LEAST_DISTANCE_JIFFIES)
            distance = min(timer.distance(base, backoff), left) + late
            bucket = timerwheel.fire(bucket + distance, bucket + 1)
            self.early.append(bucket)

    def at(self, place: int) -> int:
        """Of the expiry at a place, from 0 on."""
        beyond = place - len(self.early) + 1
        return self.early[place] if beyond <= 0 else self.early[-1] + beyond * self._stride

    def number_until(self, bucket: int) -> int:
        """How many come by then."""
        if self.early[-1] <= bucket:
            return len(self.early) + (bucket - self.early[-1]) // self._stride
        return sum(each <= bucket for each in self.early)

    def gives_up(self, unanswered_place: int) -> tuple[int, str]:
        """The place of the expiry that ends it: there, or where the user timeout has passed, and
        which of them.
        """
        if self._timer.user_timeout and len(self.early) - 1 < unanswered_place:
            return len(
                self.early
            ) - 1, "the user timeout has passed since the first zero-window probe"
        return (
            unanswered_place,
            f"{self._timer.retries} zero-window probes go unanswered (tcp_retries2)",
        )

    def is_unanswered(self, place: int) -> bool:
        """Whether even a living peer leaves a probe unanswered: right after an answer
        (tcp_invalid_ratelimit).
        """
        return place == 1 and self.early[1] - self.early[0] < self._timer.hz // 2


class _Begun(msgspec.Struct, frozen=True):
    """One sequence of probes, begun from `earliest_ns` to `latest_ns`, in nanoseconds of the
    wheel's own clock.
    """

    timer: _Timer
    probes: _Probes
    late: int
    earliest_ns: int
    latest_ns: int

    def window_ns(self, bucket: int) -> tuple[int, int]:
        """When after the beginning the handler of a bucket runs.

        The lower end itself is excluded.
        """
        tick = self.timer.tick
        return bucket * tick - self.latest_ns - 1, (bucket + self.late) * tick - self.earliest_ns

    def gather(self, found: Gathering, number: int, listed: int = 0) -> None:
        """So many probes on the wire, with windows of `listed`.

        0: until their distances double no more.
        """
        tick, before = self.timer.tick, 0
        earliest_ns, latest_ns = self.earliest_ns - self.late * tick, self.latest_ns + 1
        for place in range(min(number, listed or min(len(self.probes.early), MAX_PROBE_WINDOWS))):
            bucket = self.probes.at(place)
            found.probes.add(place, bucket * tick - latest_ns, bucket * tick - earliest_ns)
            if before:
                found.gaps.add(place - 1, (bucket - before) * tick, (bucket - before) * tick)
            before = bucket

    def may_end_before(self, ns: int) -> bool:
        """Whether the user timeout may have passed so long after arming, with a peer that
        answers.
        """
        if not self.timer.user_timeout:
            return False
        last, _ = self.probes.gives_up(ENDLESS)
        return self.probes.at(last) * self.timer.tick - self.latest_ns <= ns

    def meetings(self, path: _Path) -> Iterator[tuple[_Begun, int | None]]:
        """The place of the first probe that finds the path ended, and those beginnings for which it
        is that one.
        """
        if path.from_ns is None:
            yield self, None
            return
        tick = self.timer.tick
        begins_ns, ends_ns = (
            self.earliest_ns + path.from_ns,
            self.latest_ns + path.from_ns + path.slack_ns,
        )
        first = self.probes.number_until(begins_ns // tick - self.late - 1)
        for place in range(first, self.probes.number_until(ends_ns // tick) + 1):
            before_ns = (
                self.probes.at(place - 1) * tick - path.from_ns - path.slack_ns
                if place
                else self.earliest_ns
            )
            after_ns = (self.probes.at(place) + self.late) * tick - path.from_ns
            earliest_ns, latest_ns = max(self.earliest_ns, before_ns), min(self.latest_ns, after_ns)
            if earliest_ns <= latest_ns:
                yield (
                    msgspec.structs.replace(self, earliest_ns=earliest_ns, latest_ns=latest_ns),
                    place,
                )

    def follow(self, found: Gathering, path: _Path, met: int | None, horizon_ns: int) -> None:
        """To the end, or to the horizon."""
        probes = self.probes
        unanswered = met is not None and met > 0 and probes.is_unanswered(met - 1)
        last, why = probes.gives_up(
            ENDLESS if met is None else met + self.timer.retries - unanswered
        )
        errno, sent = "ETIMEDOUT", last
        if path.resets and met is not None and met < last:
            last, why, errno, sent = (
                met,
                f"the peer's host answers probe {met + 1} with RST",
                "ECONNRESET",
                met + 1,
            )
        over_ns = self.earliest_ns + horizon_ns, self.latest_ns + horizon_ns
        number = [self.probes.number_until(over // self.timer.tick) for over in over_ns]
        if last < number[1]:
            found.add(
                "detected", errno, self.window_ns(probes.at(last)), sent=sent, seen=sent, why=why
            )
        if last >= number[0]:
            for seen in number:
                found.add(
                    "quiet",
                    None,
                    None,
                    sent=seen,
                    seen=seen,
                    why="the peer answers every zero-window probe",
                )
        self.gather(found, min(sent, number[1]))


class _Timer:
    """The timer's rules, in jiffies."""

    def __init__(self, user_timeout_ms: int, machine: Machine, retries: int) -> None:
        self.machine, self.retries = machine, retries
        self.hz, self.tick = machine.hz, timerwheel.tick_ns(machine.hz)
        self.user_timeout = timerwheel.milliseconds_to_jiffies(user_timeout_ms, machine.hz)
        self.longest = LONGEST_TIMEOUT_S * machine.hz
        self.period = timerwheel.granularity(self.longest)
        self.growing = functools.cache(self._growing)

    def distance(self, base: int, backoff: int) -> int:
        """From a probe to the next one (include/net/tcp.h:tcp_probe0_when).

        No doubling beyond tcp_retries2.
        """
        return min(base << min(backoff, self.retries, 10), self.longest)

    def _growing(self, base: int, backoff: int, late: int) -> list[tuple[int, int]]:
        """The distances after a probe, with `late`, up to the longest, each with its bucket
        width.
        """
        found, longest = list[tuple[int, int]](), self.distance(base, self.retries)
        while not found or found[-1][0] - late != longest:
            backoff += 1
            distance = self.distance(base, backoff) + late
            found.append((distance, timerwheel.granularity(distance - 1)))
        return found

    def beginnings(self, answered: int) -> Iterator[_Begun]:
        """From the moment at which the timer is set, for every phase, round trip and lateness.

        Moments with the same first bucket have all others in common, too, and are one beginning.
        An answer to a probe comes in the jiffy of its bucket, unless it takes its time.
        """
        machine = self.machine
        for late in range(machine.late_jiffies + 1):
            for base in timeouts(machine):
                prompt = answered and not machine.rtt_ns and not machine.late_jiffies
                step = timerwheel.granularity(self.distance(base, answered - 1)) if prompt else 1
                wait = self.distance(base, answered)
                by_bucket: dict[int, list[int]] = {}
                for begun in range(4 * self.period, 5 * self.period, step):
                    bucket = timerwheel.fire(begun + wait, begun + 1 if step > 1 else begun)
                    by_bucket.setdefault(bucket, []).append(begun)
                for bucket, moments in by_bucket.items():
                    probes = _Probes(self, bucket, base, late, answered)
                    # A write comes anywhere within its jiffy, an answer just after the handler.
                    earliest_ns = moments[0] * self.tick - machine.injection_ns
                    latest_ns = (moments[-1] + 1) * self.tick - 1
                    if answered:
                        latest_ns = (moments[-1] + late) * self.tick
                    yield _Begun(self, probes, late, earliest_ns, latest_ns)

    def fillings(self, write_ns: int) -> Iterator[_Begun]:
        """From arming, some time before the write that fills the peer's buffer."""
        machine = self.machine
        for late in range(machine.late_jiffies + 1):
            for base in timeouts(machine, DELAYED_US):
                width = timerwheel.granularity(base)
                for bucket in self._first_buckets(width, base, write_ns):
                    latest_ns = (bucket - base) * self.tick - 1 - write_ns
                    earliest_ns = latest_ns + 1 - width * self.tick - machine.write_ns - FILLING_NS
                    if machine.phase_ns is not None:
                        armed_ns = self.origin_ns + machine.phase_ns
                        earliest_ns = max(earliest_ns, armed_ns)
                        latest_ns = min(latest_ns, armed_ns + machine.phase_slack_ns)
                    if earliest_ns <= latest_ns:
                        yield _Begun(
                            self, _Probes(self, bucket, base, late, 0), late, earliest_ns, latest_ns
                        )

    @property
    def origin_ns(self) -> int:
        """A multiple of every bucket's width."""
        return (1 << timerwheel.SHIFT * timerwheel.LEVELS) * self.tick

    def _first_buckets(self, width: int, base: int, write_ns: int) -> range:
        """Of a whole period, or after a write whose phase is known."""
        machine = self.machine
        if machine.phase_ns is None:
            return range(4 * self.period, 5 * self.period, width)
        least_ns = self.origin_ns + machine.phase_ns + write_ns
        most_ns = least_ns + machine.phase_slack_ns + machine.write_ns + FILLING_NS
        least, most = least_ns // self.tick + base, most_ns // self.tick + base
        return range(
            timerwheel.fire(least, least - base), timerwheel.fire(most, most - base) + 1, width
        )
