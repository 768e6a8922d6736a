"""The settings of keepalive with the least probe traffic that meet what is needed, found without
trying all of them.

Least traffic: the longest idle time, as a live peer is sent one probe in each; then the fewest
probes until a dead peer is given up; then the longest interval, as it outlives the longest outage.
The interval is no longer than the idle time, as it would then be the time between two probes.

No expiry comes earlier as the idle time, the interval or the count grow
(`harness.oracle.idle_bounds.Expiries`). That is why, for each interval, the longest idle time can
be found by bisection, and why the fewest probes are the best ones.
"""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Callable

import msgspec

from harness.oracle import timerwheel
from harness.oracle.idle_bounds import Expiries
from harness.policy.answers import SECOND_NS

MOST_S = 32767
"""The longest idle time and interval that the kernel takes."""
MOST_PROBES = 127
LEAST_PROBES = 2
"""One lost probe must not end the connection."""


class UserTimeouts(msgspec.Struct, frozen=True):
    """From the least to the most, in multiples of `grid_ms`."""

    least_ms: int
    most_ms: int
    grid_ms: int

    def within(self, least_ms: int, most_ms: int) -> int | None:
        """The longest of them between two limits, or None."""
        most = min(self.most_ms, most_ms) // self.grid_ms * self.grid_ms
        return most if most >= max(self.least_ms, least_ms) else None


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """What keepalive must do at every `hz`, in nanoseconds after the peer's last segment.

    `silence_ns`: a probe is sent before. `end_ns`: a silent peer is given up until then. Both None
    for no limit. `outage_ns`: an outage that long is survived. `patience_ns`: a silent peer is not
    given up before. `user_timeouts`: one of these must
    be set, and must leave it to the count when to give up; None: none is set.
    """

    hz: tuple[int, ...]
    silence_ns: int | None = None
    end_ns: int | None = None
    outage_ns: int = 0
    patience_ns: int = 0
    user_timeouts: UserTimeouts | None = None


class Found(msgspec.Struct, frozen=True):
    """Settings that do it. `user_timeout_ms` 0: none."""

    idle_s: int
    interval_s: int
    count: int
    user_timeout_ms: int = 0


def least_traffic(needs: Needs, known: Found | None = None) -> Found | None:
    """The settings with the least traffic; None: there are none.

    `known`: settings that do, which are returned where none have less.
    """
    search = _Search(needs)
    best = search.longest_idle(known)
    return None if best is None else search.fewest_probes(best)


def is_possible(needs: Needs) -> bool:
    """Whether there are any."""
    return _Search(needs).longest_idle(None, is_any_enough=True) is not None


class _Limits(msgspec.Struct, frozen=True):
    """The needs at one HZ, in jiffies."""

    hz: int
    silence: float
    end: float
    outage: int
    patience: int


class _Timer(msgspec.Struct, frozen=True):
    """The keepalive timer at one HZ, in jiffies.

    `probe`: the first expiry at the latest, on which one probe is sent. `early`, `late`: the next
    one. More of them are a `step` apart.
    """

    probe: int
    early: int
    late: int
    step: int

    def latest(self, number: int) -> int:
        """Of an expiry, from number 1 on."""
        return self.late + (number - 1) * self.step

    def earliest(self, number: int) -> int:
        """The same."""
        return self.early + (number - 1) * self.step


@functools.lru_cache(256)
def _timers(idle_s: int, interval_s: int, every_hz: tuple[int, ...]) -> tuple[_Timer, ...]:
    timers = [Expiries(idle_s, interval_s, hz) for hz in every_hz]
    return tuple(
        _Timer(each.latest(0), each.earliest(1), each.latest(1), each.step) for each in timers
    )


class _Search:
    def __init__(self, needs: Needs) -> None:
        self.needs = needs
        self.limits = [_in_jiffies(needs, hz) for hz in needs.hz]
        self.most_idle_s = self._most_idle_s()

    def longest_idle(self, best: Found | None, *, is_any_enough: bool = False) -> Found | None:
        """Interval by interval: settings with a longer idle time than the best ones so far, or just
        any.
        """
        for interval_s in range(1, MOST_S + 1):
            floor_s = max(interval_s, 1 if best is None else best.idle_s + 1)
            if floor_s > self._ceiling_s(interval_s):
                break
            best = self._longest_idle_with(interval_s, floor_s) or best
            if best is not None and is_any_enough:
                break
        return best

    def fewest_probes(self, best: Found) -> Found:
        """Those of the same idle time with the fewest probes, and the longest interval of these."""
        longest_s = largest(
            lambda each: best.idle_s <= self._ceiling_s(each), best.interval_s, best.idle_s
        )
        for interval_s in range(longest_s, 0, -1):
            least = self._least_count(interval_s)
            if (least, -interval_s) >= (best.count, -best.interval_s):
                break  # a shorter interval needs no fewer
            for count in range(least, best.count + 1):
                found = self._complete(best.idle_s, interval_s, count)
                if found and (count, -interval_s) < (best.count, -best.interval_s):
                    best = found
        return best

    def _ceiling_s(self, interval_s: int) -> float:
        """No idle time above it can do: the last probe comes after the outage, the end an interval
        later, and there are two probes at least. It falls as the interval grows.
        """
        ceiling_s: float = self.most_idle_s
        lasts_s = max(self.needs.outage_ns / SECOND_NS, interval_s)
        if self.needs.end_ns is not None:
            ceiling_s = min(ceiling_s, self.needs.end_ns / SECOND_NS - lasts_s - interval_s)
        if self.needs.user_timeouts is not None:
            ceiling_s = min(ceiling_s, self.needs.user_timeouts.most_ms / 1000 - lasts_s)
        return ceiling_s

    def _most_idle_s(self) -> int:
        """The longest idle time whose probe comes in time, whatever follows; 0: none."""
        return largest(
            lambda idle_s: (
                idle_s == 0
                or all(
                    Expiries(idle_s, 1, limit.hz).latest(0) <= limit.silence
                    for limit in self.limits
                )
            ),
            0,
            MOST_S,
        )

    def _longest_idle_with(self, interval_s: int, floor_s: int) -> Found | None:
        """Of an interval: the longest idle time from so many seconds on."""
        if not self._leaves_room(self._timers(floor_s, interval_s)):
            return None
        for count in range(self._least_count(interval_s), MOST_PROBES + 1):
            if not self._is_in_time(floor_s, interval_s, count):
                return None  # more probes only take longer
            if not self._fits(floor_s, interval_s, count):
                if self._spreads(self._timers(floor_s, interval_s), count):
                    return None
                continue
            fits = functools.partial(self._fits, interval_s=interval_s, count=count)
            idle_s = largest(fits, floor_s, MOST_S)
            found = self._complete(idle_s, interval_s, count)
            if found is not None:
                return found
        return None

    def _least_count(self, interval_s: int) -> int:
        """The fewest probes with which the outage is survived, and the loss of one probe."""
        least = LEAST_PROBES
        for limit in self.limits:
            timer = Expiries(1, interval_s, limit.hz)
            missing = limit.outage - timer.first_to_last(LEAST_PROBES)
            least = max(least, LEAST_PROBES - (-missing // timer.step))
        return least

    def _timers(self, idle_s: int, interval_s: int) -> tuple[_Timer, ...]:
        return _timers(idle_s, interval_s, self.needs.hz)

    def _leaves_room(self, timers: tuple[_Timer, ...]) -> bool:
        """Whether a user timeout may leave it to the count at each HZ alone, with however many
        probes: the latest expiry is not later than the earliest next one.
        """
        return self.needs.user_timeouts is None or all(
            each.late < each.earliest(2) for each in timers
        )

    def _spreads(self, timers: tuple[_Timer, ...], count: int) -> bool:
        """Whether no user timeout leaves it to the count, and none does with more probes either.

        Expiries are a step apart, which differs by HZ. The gap between the latest expiry at one HZ
        and the earliest next one at another is therefore convex in the number of probes: once it
        grows, it goes on growing. Rounding moves it by less than two milliseconds.
        """
        gaps = [
            least - most
            for least, most in (self._counted_ms(timers, n) for n in (count, count + 1))
        ]
        return gaps[0] > 0 and gaps[0] + 2 < gaps[1]

    def _is_in_time(self, idle_s: int, interval_s: int, count: int) -> bool:
        """Whether the probe and the end come in time, and the last expiry before it comes in a user
        timeout. Shorter times and fewer probes do, too.
        """
        timers = self._timers(idle_s, interval_s)
        timeouts = self.needs.user_timeouts
        return all(
            timer.probe <= limit.silence and timer.latest(count) <= limit.end
            for timer, limit in zip(timers, self.limits, strict=True)
        ) and (timeouts is None or self._counted_ms(timers, count)[0] <= timeouts.most_ms)

    def _fits(self, idle_s: int, interval_s: int, count: int) -> bool:
        """The same, and some user timeout, however long, leaves it to the count at every HZ.

        A shorter idle time does, too.
        """
        if not self._is_in_time(idle_s, interval_s, count):
            return False
        timeouts = self.needs.user_timeouts
        if timeouts is None:
            return True
        least_ms, most_ms = self._counted_ms(self._timers(idle_s, interval_s), count)
        grid_ms = timeouts.grid_ms
        return -(-least_ms // grid_ms) * grid_ms <= min(most_ms, timeouts.most_ms)

    def _complete(self, idle_s: int, interval_s: int, count: int) -> Found | None:
        """With the longest user timeout, where one is needed."""
        timers, timeouts = self._timers(idle_s, interval_s), self.needs.user_timeouts
        if not self._fits(idle_s, interval_s, count) or not self._is_patient(timers, count):
            return None
        if timeouts is None:
            return Found(idle_s, interval_s, count)
        chosen = timeouts.within(*self._counted_ms(timers, count))
        return None if chosen is None else Found(idle_s, interval_s, count, chosen)

    def _is_patient(self, timers: tuple[_Timer, ...], count: int) -> bool:
        return all(
            timer.earliest(count) > limit.patience
            for timer, limit in zip(timers, self.limits, strict=True)
        )

    def _counted_ms(self, timers: tuple[_Timer, ...], count: int) -> tuple[int, int]:
        """`harness.oracle.idle_bounds.counted_ms` at every HZ, for two probes or more."""
        pairs = list(zip(timers, self.limits, strict=True))
        return (
            max(each.latest(count - 1) * 1000 // limit.hz + 1 for each, limit in pairs),
            min(each.earliest(count) * 1000 // limit.hz for each, limit in pairs),
        )


def _in_jiffies(needs: Needs, hz: int) -> _Limits:
    tick = timerwheel.tick_ns(hz)
    return _Limits(
        hz,
        math.inf if needs.silence_ns is None else (needs.silence_ns - 1) // tick,
        math.inf if needs.end_ns is None else needs.end_ns // tick,
        -(-needs.outage_ns // tick),
        -(-needs.patience_ns // tick),
    )


def largest(is_so: Callable[[int], bool], least: int, most: int) -> int:
    """The largest number of which something is so that is so of `least` and of all up to it."""
    return least + first(range(least + 1, most + 1), lambda each: not is_so(each))


def first(numbers: range, is_so: Callable[[int], bool]) -> int:
    """The place of the first number of which something is so that is so of all after it, too; the
    number of them where there is none.
    """
    return bisect.bisect_left(numbers, 1, key=lambda each: int(is_so(each)))
