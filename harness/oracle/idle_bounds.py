"""What an idle connection does after the last segment that its peer sent, whatever came before that
segment.

`harness.oracle.established` follows one history: a connection that was armed, and what happens
then. A fleet has all histories: the last segment was that of the handshake, or data that came while
the timer ran, or the answer to a probe. Here are the bounds over all of them, in closed form. They
come from three facts of net/ipv4/tcp_timer.c and the timer wheel (D, I: idle and interval in
jiffies; w(x): the width of the bucket of a timer for x):

- The first probe is sent when the idle time is over, in the handler of a timer that was set for the
  idle time, for the rest of it, or for an interval after an answered probe: D to D + w(D) after the
  segment, or up to I + w(I) where that is longer.
- The next expiry is I + 1 to I + w(I) later, in a bucket of the interval. From such a bucket on
  expiries are s = (I // w(I) + 1) * w(I) apart.
- The last expiry is the one after `count` probes; or with TCP_USER_TIMEOUT the first one at which
  the timeout is over.
"""

from __future__ import annotations

import msgspec

from harness.oracle import timerwheel
from harness.oracle.prediction import Settings


class Bounds(msgspec.Struct, frozen=True):
    """In nanoseconds after the last segment from the peer, as (earliest, latest).

    The earliest itself is excluded.

    `first_probe_ns`: of an idle connection; with a live peer nothing is longer without a packet.
    `outage_ns`: an outage that lasts no longer is survived, whenever it begins: at least so long
    after the first probe the last one comes. `end_ns`: when a silent peer is given up. `probes`:
    how many are sent before, least and most.
    """

    first_probe_ns: tuple[int, int]
    outage_ns: int
    end_ns: tuple[int, int]
    probes: tuple[int, int]


def bounds(settings: Settings, hz: int) -> Bounds:
    """Of a connection with keepalive, on any phase of the timer wheel, with no handler late."""
    expiries = Expiries(settings.idle_s, settings.interval_s, hz)
    timeout = timerwheel.milliseconds_to_jiffies(settings.user_timeout_ms, hz)
    if timeout:
        least, most, low, high = expiries.until(timeout)
    else:
        least = most = settings.count
        low, high = expiries.earliest(most), expiries.latest(most)
    tick = timerwheel.tick_ns(hz)
    return Bounds(
        first_probe_ns=((expiries.earliest(0) - 1) * tick, expiries.latest(0) * tick),
        outage_ns=expiries.first_to_last(least) * tick,
        end_ns=((low - 1) * tick, high * tick),
        probes=(least, most),
    )


def counted_ms(settings: Settings, hz: int) -> tuple[int, int]:
    """The least and the most user timeout, in milliseconds, that changes nothing: the connection
    ends at the expiry after `count` probes, as without it. There is none where the least is more.

    The timeout must be over at that expiry, however early it is, and not at the one before.
    """
    timer, count = Expiries(settings.idle_s, settings.interval_s, hz), settings.count
    least = timer.latest(count - 1) * 1000 // hz + 1 if count > 1 else 1
    return least, timer.earliest(count) * 1000 // hz


class Expiries:
    """The expiries of the timer from the first probe on, numbered from 0, in jiffies after the
    peer's last segment.

    None comes earlier as idle time or interval grow, and none later. From the second on (number 1)
    they are `step` apart, the earliest ones and the latest ones.
    """

    def __init__(self, idle_s: int, interval_s: int, hz: int) -> None:
        self.idle = timerwheel.seconds_to_jiffies(idle_s, hz)
        self.interval = timerwheel.seconds_to_jiffies(interval_s, hz)
        self.width = timerwheel.granularity(self.interval - 1)
        self.step = (self.interval // self.width + 1) * self.width

    def earliest(self, number: int) -> int:
        """Of an expiry."""
        return (
            self.idle if number == 0 else self.idle + self.interval + 1 + (number - 1) * self.step
        )

    def latest(self, number: int) -> int:
        """Of an expiry: in a wide bucket of the idle time, which the interval's buckets follow, or
        in a narrow one.
        """
        longest = self.interval + self.width
        answered = [longest + number * self.step] if longest >= self.idle else []
        return max([*answered, *(self._latest_in(width, number) for width in self._idle_widths())])

    def _idle_widths(self) -> list[int]:
        """Of the buckets that a timer for the idle time, or for the rest of it, may be in."""
        level = timerwheel.level(self.idle)
        return [1 << (timerwheel.SHIFT * each) for each in range(level + 1)]

    def _latest_in(self, width: int, number: int) -> int:
        """Of an expiry where the first one is in a bucket of a width."""
        if number == 0 or width >= self.width:
            return self.idle + width + number * self.step
        rounded = self.interval + self.width - self.interval % width
        return self.idle + width + rounded + (number - 1) * self.step

    def first_to_last(self, probes: int) -> int:
        """How long the last of so many probes is sent after the first one, at least."""
        return self.interval + (probes - 2) * self.step if probes > 1 else 0

    def until(self, timeout: int) -> tuple[int, int, int, int]:
        """With a user timeout: probes least and most, the earliest and the latest end."""
        # From the second one on expiries are a step apart, the earliest ones and the latest ones.
        least, most = (
            1 + max(0, -((first - timeout) // self.step))
            for first in (self.latest(1), self.earliest(1))
        )
        low = max(self.earliest(least), timeout)
        high = self.latest(most) if most == 1 else min(self.latest(most), timeout - 1 + self.step)
        if most > least:
            high = max(high, self.latest(most - 1))
        return least, most, low, high
