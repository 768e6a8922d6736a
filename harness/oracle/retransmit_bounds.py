"""When data in flight is sent again after an outage, and when it is given up, at the latest: in
closed form, on any phase of the timer wheel.

The loss probe and the first retransmission come one timeout after what was before them, and each
further one twice as far from the one before as that was, 120 s at most. Each is rounded up to a
bucket of the timer wheel. `harness.oracle.established` follows each phase instead.
"""

from __future__ import annotations

from harness.oracle import timerwheel
from harness.oracle.backoff import LEAST_TIMEOUT_US, LONGEST_TIMEOUT_S

_MANY = 16
"""After so many of the longest timeouts it is left open where the last one begins."""


def sent_again_ns(outage_ns: int, hz: int) -> int:
    """How long after data was sent it is repeated for the first time beyond an outage that began as
    it was sent, at most.

    Of a short round trip, which adds a jiffy to the timeout at most. That nobody gives up before is
    taken for granted.
    """
    tick = timerwheel.tick_ns(hz)
    least = timerwheel.milliseconds_to_jiffies(LEAST_TIMEOUT_US // 1000, hz)
    longest, outage = LONGEST_TIMEOUT_S * hz, -(-outage_ns // tick)
    shorter, longer = least, least + 1
    early, late, is_loss_probe = 0, 0, True
    while True:
        width = timerwheel.granularity(longer)
        after_outage = outage + longer + width
        early, late = early + shorter, late + longer + width
        if early > outage:
            return min(late, after_outage) * tick
        if not is_loss_probe:
            shorter, longer = min(2 * shorter, longest), min(2 * longer, longest)
        is_loss_probe = False


def given_up_ns(user_timeout_ms: int, hz: int) -> int:
    """How long after it was sent data in flight is given up with TCP_USER_TIMEOUT, at most.

    The timeout counts from the first retransmission after the loss probe. The timer is set for no
    longer than what is left of it (tcp_clamp_rto_to_user_timeout), and is rounded up to the width
    of its bucket. Of a short round trip, as above.
    """
    least = timerwheel.milliseconds_to_jiffies(LEAST_TIMEOUT_US // 1000, hz)
    limit = timerwheel.milliseconds_to_jiffies(user_timeout_ms, hz)
    longest = LONGEST_TIMEOUT_S * hz
    begins = 2 * (least + 1 + timerwheel.granularity(least + 1))
    early, late, widest = 0, 0, 0
    if limit > _MANY * longest:  # all of the last ones are alike
        early, widest = limit, timerwheel.granularity(longest)
    shorter, longer = min(2 * least, longest), min(2 * (least + 1), longest)
    while early < limit:
        late += longer + timerwheel.granularity(longer)
        if late >= limit:  # the one before may be the last
            widest = max(widest, timerwheel.granularity(min(longer, limit - early)))
        early += shorter
        shorter, longer = min(2 * shorter, longest), min(2 * longer, longest)
    rounded = 2  # milliseconds to jiffies: of the timeout, and of what is left of it
    return (begins + limit + widest + rounded) * timerwheel.tick_ns(hz)
