"""The kernel's timer wheel: when a timer that was asked for a jiffy really fires.

kernel/time/timer.c keeps timers in levels of 64 buckets. Level L has a granularity of 8**L jiffies
and takes timers whose distance from the wheel's clock is below 63 * 8**L; the expiry is rounded
*up* to the next bucket boundary, so a timer fires 1 to 8**L jiffies after the jiffy it was asked
for (calc_index, calc_wheel_index). A keepalive of 7200 s at HZ=1000 is therefore up to 262 s late,
always, on every Linux since 4.8.
"""

from __future__ import annotations

LEVELS = 9
"""LVL_DEPTH for HZ > 100; the last level is only reached by timers beyond 24 days at HZ=1000."""
LEVEL_SPAN = 63
"""Distances below 63 * 8**L go to level L (LVL_START of the next level)."""
SHIFT = 3


def level(distance: int) -> int:
    """The wheel level for a timer `distance` jiffies ahead of the wheel's clock
    (calc_wheel_index).
    """
    for number in range(LEVELS):
        if distance < LEVEL_SPAN << (SHIFT * number):
            return number
    return LEVELS - 1


def granularity(distance: int) -> int:
    """The bucket width, in jiffies, of a timer `distance` jiffies ahead of the wheel's clock."""
    return 1 << (SHIFT * level(distance))


def fire(expires: int, clock: int) -> int:
    """The jiffy at which a timer for jiffy `expires`, armed when the wheel's clock read `clock`,
    runs.

    `clock` is jiffies when arming from a system call or from packet reception, and the running
    bucket's jiffy + 1 inside a timer handler (__run_timers advances base->clk before it calls
    handlers).
    """
    width = granularity(expires - clock)
    return (expires // width + 1) * width


def tick_ns(hz: int) -> int:
    """The length of a jiffy in nanoseconds (TICK_NSEC in include/linux/jiffies.h)."""
    return (1_000_000_000 + hz // 2) // hz


def seconds_to_jiffies(seconds: int, hz: int) -> int:
    """As `val * HZ` in tcp_sock_set_keepidle_locked: exact."""
    return seconds * hz


def milliseconds_to_jiffies(milliseconds: int, hz: int) -> int:
    """As msecs_to_jiffies: rounded up."""
    return -(-milliseconds * hz // 1000)
