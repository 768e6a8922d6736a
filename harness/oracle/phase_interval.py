"""Comparisons of one replay, and the interval of arming instants for which each comes out the same.

What the timers do depends on where in the timer wheel's period the connection was armed, to the
jiffy, and on where in relation to the faults, to the nanosecond. Trying every instant would take
minutes. Trying some would miss things: a probe's distance from arming falls as arming moves on,
then jumps up by a bucket, so an outage may be met by phases in the middle and by none at either
end. So a replay of one instant asks a `PhaseInterval` for every comparison, and so learns up to
which later instant its history holds.

The methods `decide_...` and `fork` are no plain predicates. Each returns a `Branch`: the way that
this replay takes. `decide_...` narrows the interval to the instants that take the same way. Where
an unknown delay leaves both ways open, `fork` takes one now, and another replay takes the other.
"""

from __future__ import annotations

from harness.oracle import timerwheel
from harness.oracle.connection_state import ConnectionState
from harness.oracle.moment import Moment, When

_AMPLE = 1 << 62
"""More than any number of nanoseconds or jiffies here."""

Branch = bool
"""The way that a replay takes at a comparison.

It holds in this replay only, and for the narrowed interval.
"""


class PhaseInterval:
    """The interval of arming instants that share one replay's history.

    Jiffy 0 begins at 0 ns; arming happens at `armed_ns`. `script`: the branch of each fork, in
    order; a fork beyond its end adds True to it. `state`: of the connection, whose `drift_ns`
    counts in comparisons. `late`: how many jiffies after its bucket a handler may run. `lag`: how
    many jiffies before arming the last segment may have come. `rows`: the limits that the first
    expiry sets are kept apart.

    `room_ns`: how much later arming may be. `first_room_ns`: the same as far as the first expiry
    goes, where `rows`. `first_later`: by how many jiffies the first bucket alone could be later
    while all other buckets stay. `first_probe`: the bucket of the first probe. `widest`: the width
    of the widest bucket that mattered. `forks`: how many forks there were.
    """

    def __init__(
        self,
        armed_ns: int,
        script: list[Branch],
        state: ConnectionState,
        *,
        tick: int,
        late: int,
        lag: int,
        rows: bool = True,
    ) -> None:
        self.tick, self.late, self.lag = tick, late, lag
        self.armed_ns, self.armed = armed_ns, armed_ns // tick
        self.first_room_ns = self.room_ns = self.first_later = _AMPLE
        self.first_probe: int | None = None
        self.widest = 1
        self._state = state
        self._script, self.forks, self._fired, self._rows = script, 0, 0, rows

    def fire_armed(self, jiffies: int) -> int:
        """The bucket of a timer that was set for so many jiffies when the connection was armed."""
        bucket = timerwheel.fire(self.armed + jiffies, self.armed)
        self.widest = max(self.widest, timerwheel.granularity(jiffies))
        self._fired += 1
        self.limit((bucket - jiffies) * self.tick - 1 - self.armed_ns, of_first=True)
        return bucket

    def fire(self, expires: int, clock: int) -> int:
        """As timerwheel.fire, for an expiry that is counted from a bucket."""
        bucket = timerwheel.fire(expires, clock)
        self.widest = max(self.widest, timerwheel.granularity(expires - clock))
        self._fired += 1
        if self._fired == 2:
            self.first_later = bucket - 1 - expires
        return bucket

    def fire_after(self, since: Moment, jiffies: int, clock: int | None = None) -> int:
        """The same for an expiry so many jiffies after a moment.

        `clock` None: the timer is set at that moment.

        A timer that is set later, for the rest of the time, is set no earlier than in jiffy
        `clock`. Forks where the moment may be later by up to a jiffy and the bucket depends on it;
        more than a jiffy is `drift_ns`.
        """
        soonest = self._fire_after(since.ns, jiffies, clock)
        if not 0 < since.slack_ns <= self.tick:
            return soonest
        latest = self._fire_after(since.ns + since.slack_ns, jiffies, clock)
        return soonest if soonest == latest or self.fork() else latest

    def _fire_after(self, ns: int, jiffies: int, clock: int | None) -> int:
        at_ns = self.armed_ns + ns
        expires = max(at_ns // self.tick + jiffies, clock or 0)
        reads = at_ns // self.tick if clock is None else clock
        bucket = timerwheel.fire(expires, reads)
        width = timerwheel.granularity(expires - reads)
        self.widest = max(self.widest, width)
        last = bucket - 1
        if (
            clock is not None
        ):  # a later expiry is further from the clock, and may be for a wider bucket
            last = min(last, clock + timerwheel.LEVEL_SPAN * width - 1)
        self.limit((last - jiffies + 1) * self.tick - 1 - at_ns)
        return bucket

    def limit(self, room_ns: int, *, of_first: bool = False) -> None:
        """Narrow the interval: arming may be so much later and no more.

        `of_first`: the first probe sets this limit.
        """
        if self._rows and (of_first or self._fired == 1):
            self.first_room_ns = min(self.first_room_ns, room_ns)
        else:
            self.room_ns = min(self.room_ns, room_ns)

    def start_over(self) -> None:
        """Forget the limits and the widest bucket so far, to learn those of what follows."""
        self.room_ns, self.widest = _AMPLE, 1

    def fork(self) -> Branch:
        """Take one of two ways that are both possible; another replay takes the other."""
        if self.forks == len(self._script):
            self._script.append(True)
        self.forks += 1
        return self._script[self.forks - 1]

    def decide_past(self, when: When, ns: int, slack_ns: int = 0) -> Branch:
        """Decide whether arming is `ns` ago at a moment, or when the handler of a bucket runs.

        Forks where that depends on how late either is, or on whether it must be up to `slack_ns`
        longer ago.
        """
        if isinstance(when, Moment):
            if when.ns + when.slack_ns < ns:
                return False
            return when.ns >= ns + slack_ns or self.fork()
        slack_ns += self.late * self.tick + self._state.drift_ns
        over = (when + self.late) * self.tick + self._state.drift_ns - self.armed_ns - ns
        if over < 0:
            return False
        self.limit(over - slack_ns if over >= slack_ns else over)
        return over >= slack_ns or self.fork()

    def decide_surely_past(self, when: When, ns: int) -> Branch:
        """Decide whether arming is `ns` ago at least, however late anything is.

        Never forks; False decides nothing.
        """
        if isinstance(when, Moment):
            return when.ns >= ns
        over = when * self.tick - self.armed_ns - ns
        if over >= 0:
            self.limit(over)
        return over >= 0

    def decide_waited(self, when: When, since: When | None, jiffies: int) -> Branch:
        """Decide whether so many jiffies lie between `since` and `when`.

        `since` None: the last segment before arming.

        Forks where that depends on how late one of the handlers is, or on when the last segment
        before arming came: up to `lag` jiffies earlier.
        """
        if since is None:
            since = Moment(-self.lag * self.tick, self.lag * self.tick)
        if isinstance(when, Moment):
            return self._decide_waited_by(when, since, jiffies)
        if isinstance(since, Moment):
            return self.decide_past(when, since.ns + (jiffies - 1) * self.tick + 1, since.slack_ns)
        over = when - since - jiffies
        if over + self.late < 0:
            return False
        sure = over >= self.late
        if since == self.first_probe:
            self.first_later = min(self.first_later, over - self.late if sure else over + self.late)
        return sure or self.fork()

    def _decide_waited_by(self, when: Moment, since: When, jiffies: int) -> Branch:
        """The same where it ends at a moment of the program."""
        at_ns = self.armed_ns + when.ns
        if isinstance(since, int):
            slack_ns = when.slack_ns + self.late * self.tick + self._state.drift_ns
            begins_ns = since * self.tick
        else:
            slack_ns = when.slack_ns + since.slack_ns
            begins_ns = self.armed_ns + since.ns
            begins_ns -= begins_ns % self.tick
            self.limit(self.tick - 1 - (self.armed_ns + since.ns) % self.tick)
            self.limit(self.tick - 1 - at_ns % self.tick)
        over = at_ns - begins_ns - jiffies * self.tick
        if over + slack_ns < 0:
            self.limit(-over - slack_ns - 1)
            return False
        if over >= slack_ns:
            return True
        self.limit(slack_ns - over - 1)
        return self.fork()

    def elapsed_ms(self, bucket: int, since: int) -> tuple[int, ...]:
        """Between two handlers, as TCP keeps time: in whole milliseconds, rounded one way or the
        other.
        """
        whole_ms, rest_ns = divmod((bucket - since) * self.tick, 1_000_000)
        return (whole_ms, whole_ms + 1) if rest_ns else (whole_ms,)

    def decide_waited_ms(self, bucket: int, since: int, limit_ms: int) -> Branch:
        """Decide whether so many milliseconds lie between two handlers.

        Forks where their lateness decides.
        """
        late_ms = -(-self.late * self.tick // 1_000_000)
        least = (bucket - since) * self.tick // 1_000_000
        most = least + (1 if self.tick % 1_000_000 else 0)
        if least - late_ms >= limit_ms:
            return True
        return most + late_ms >= limit_ms and self.fork()
