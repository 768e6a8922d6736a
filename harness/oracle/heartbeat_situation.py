"""Two programs with heartbeats between two events: their state, what is pending, and how either
changes. Pure.
"""

from __future__ import annotations

import msgspec

from harness.model.topology import Side
from harness.oracle.difference_bounds import Zone
from harness.oracle.effects import Unpredictable
from harness.oracle.heartbeat_events import (
    ARMED,
    LAST_READ,
    NOW,
    Event,
    Point,
    Unacknowledged,
)
from harness.oracle.heartbeat_model import (
    Disturbance,
    Ended,
    State,
    Window,
    World,
)
from harness.oracle.prediction import OutcomeKind

LEAST_TIMEOUT_NS = 200_000_000
"""TCP_RTO_MIN."""
MEASURED_NS = 50_000_000
"""What the measured round trip may add to that: an ACK that was delayed by 40 ms, and some more."""
LONGEST_TIMEOUT_NS = 120_000_000_000
"""TCP_RTO_MAX."""
ROUNDED = 8 / 63
"""By which part the timer wheel prolongs a timer at most."""


class Situation:
    """Where both programs stand at the moment NOW of the zone.

    `state` and `zone` change with each event; or `ended` is set, and nothing comes after it.
    """

    def __init__(self, world: World, state: State, zone: Zone[Point]) -> None:
        self.world, self.state, self.zone = world, state, zone
        self.ended: Ended | None = None

    def cut(self, side: Side) -> set[int]:
        """The disturbances in force in which a side's segments are lost."""
        return {number for number in self.state.on if side in self.world.disturbances[number].cuts}

    def disturbances(self, numbers: set[int]) -> list[Disturbance]:
        """Those with these numbers."""
        return [self.world.disturbances[number] for number in numbers]

    def change(self, side: Side, **values: object) -> None:
        """Give fields of one side's state other values."""
        own = msgspec.structs.replace(self.state.of(side), **values)
        self.state = msgspec.structs.replace(self.state, **{side: own})

    def schedule(self, event: Event, after_ns: int, slack_ns: int = 0) -> None:
        """Move an event to `after_ns` from now, plus at most `slack_ns`, whenever it was due
        before.
        """
        latest_ns = after_ns + slack_ns + self.world.late_ns
        self.zone = self.zone.without([event]).with_moment(event, NOW, after_ns, latest_ns)

    def finish(
        self, kind: OutcomeKind, errno: str | None = None, most_ns: int = 0, why: str = ""
    ) -> None:
        """The observer gives up, at most `most_ns` after now."""
        low, high = self.zone.bounds(NOW, ARMED)
        since: Window | None = None
        if LAST_READ in self.zone and not self.state.repeated:
            read_low, read_high = self.zone.bounds(NOW, LAST_READ)
            since = read_low, read_high + most_ns
        self.ended = Ended(
            kind=kind, errno=errno, window_ns=(low, high + most_ns), since_read_ns=since, why=why
        )

    def refuse_impatience(self) -> None:
        """Raise Unpredictable where TCP itself may give up what it has repeated for too long."""
        for side, patience_ns in self.world.patience_ns.items():
            unacked = Unacknowledged(side)
            if unacked in self.zone and self.zone.bounds(NOW, unacked)[1] > patience_ns:
                raise Unpredictable(f"the {side}'s TCP may give up before a heartbeat decides")


def next_repetition_ns(elapsed_ns: int, rtt_ns: int) -> tuple[int, int]:
    """The latest moment at which a segment lost so long ago at most is sent again: from now, and
    from when it was sent.

    The loss probe comes first or not at all, then timeouts that double.
    """
    timeout_ns = LEAST_TIMEOUT_NS + rtt_ns + MEASURED_NS
    starts_ns, wait_ns, whole_ns, number = (
        0,
        _rounded_ns(timeout_ns),
        2 * _rounded_ns(timeout_ns),
        0,
    )
    while True:
        following_ns = (
            LEAST_TIMEOUT_NS * ((1 << number) - 1)
            if number < 12
            else starts_ns + LONGEST_TIMEOUT_NS
        )
        if following_ns > elapsed_ns:
            return wait_ns, whole_ns
        starts_ns, number = following_ns, number + 1
        wait_ns = _rounded_ns(min(timeout_ns << (number - 1), LONGEST_TIMEOUT_NS))
        whole_ns += wait_ns


def _rounded_ns(timeout_ns: int) -> int:
    """At the latest, by the timer wheel, at HZ=100 with a timer handler that is a jiffy late."""
    return round(timeout_ns * (1 + ROUNDED)) + 20_000_000
