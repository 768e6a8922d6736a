"""Comparisons in a replay, with how much later arming could be for each to come out the same.

What the keepalive timer does depends on where in the timer wheel's period it was armed, to the jiffy, and
on where in relation to the faults, to the nanosecond. Trying every instant would take minutes, and
sampling would miss things: a probe's distance from arming falls as arming moves on, then jumps up by a
bucket, so an outage may be met by phases in the middle and by none at either end. So a replay of one
instant asks a `Course` for every comparison, and learns for how long its history holds, jiffy for jiffy.
"""

from __future__ import annotations

from harness.oracle import timerwheel

_AMPLE = 1 << 62
"""More than any number of nanoseconds or jiffies here."""


class Course:
    """Comparisons of one replay, and how much later its arming could be for all to come out the same.

    Jiffy 0 begins at 0 ns; arming happens at `armed_ns`. What a delay that is not known leaves open goes
    either way, as `script` says; new forks are added to it, taken as True. `late`: how many jiffies after
    its bucket a handler may run. `lag`: how many jiffies before arming the last segment may have come.

    `first_room_ns`: how much later arming may be as far as the first expiry goes, all rows alike.
    `room_ns`: the same for everything after that. `first_later`: by how many jiffies the first bucket
    alone could be later and all other buckets stay.
    """

    def __init__(self, armed_ns: int, script: list[bool], *, tick: int, late: int, lag: int) -> None:
        self.tick, self.late, self.lag = tick, late, lag
        self.armed_ns, self.armed = armed_ns, armed_ns // tick
        self.first_room_ns = self.room_ns = self.first_later = _AMPLE
        self.first_probe: int | None = None
        self._script, self._forks, self._fired = script, 0, 0

    def fire(self, expires: int, clock: int) -> int:
        """As timerwheel.fire, for one expiry after the other."""
        bucket = timerwheel.fire(expires, clock)
        self._fired += 1
        if self._fired == 1:
            until_ns = (self.armed + bucket - expires) * self.tick - 1
            self.first_room_ns = until_ns - self.armed_ns
        elif self._fired == 2:
            self.first_later = bucket - 1 - expires
        return bucket

    def limit(self, room_ns: int, *, of_first: bool = False) -> None:
        """Arming may be so much later and no more; `of_first`: it is the first probe that says so."""
        if of_first or self._fired == 1:
            self.first_room_ns = min(self.first_room_ns, room_ns)
        else:
            self.room_ns = min(self.room_ns, room_ns)

    def either(self) -> bool:
        """Both ways, one replay each."""
        if self._forks == len(self._script):
            self._script.append(True)
        self._forks += 1
        return self._script[self._forks - 1]

    def passed(self, bucket: int, ns: int, slack_ns: int = 0) -> bool:
        """Whether arming is `ns` ago when the handler of `bucket` runs.

        What is left open: how late the handler is, and that it must be up to `slack_ns` longer ago.
        """
        slack_ns += self.late * self.tick
        over = (bucket + self.late) * self.tick - self.armed_ns - ns
        if over < 0:
            return False
        self.limit(over - slack_ns if over >= slack_ns else over)
        return over >= slack_ns or self.either()

    def waited(self, bucket: int, since: int | None, jiffies: int) -> bool:
        """Whether so many jiffies lie between the handlers of two buckets (`since` None: after arming).

        Either handler may be late where the other is not; the last segment before arming came up to
        `lag` jiffies earlier.
        """
        if since is None:
            jiffy_begins_ns = (jiffies - self.lag - 1) * self.tick + 1
            return self.passed(bucket, jiffy_begins_ns, self.lag * self.tick)
        over = bucket - since - jiffies
        if over + self.late < 0:
            return False
        sure = over >= self.late
        if since == self.first_probe:
            self.first_later = min(self.first_later, over - self.late if sure else over + self.late)
        return sure or self.either()
