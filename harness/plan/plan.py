"""A plan: the scenario resolved against a machine, with all that the judge needs, fixed before
anything runs.

The judge decides by the plan and the timeline alone, also by a saved plan (`plan_file`): it asks no
fault for anything.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from harness.model.machine import MachineFacts
from harness.model.topology import Side
from harness.oracle import established
from harness.oracle.prediction import Outcome, OutcomeKind, Prediction, Settings
from harness.oracle.timerwheel import tick_ns
from harness.scenario.schema import Scenario

FORMAT = 3
"""Of a saved plan: one more after each change with which an older plan cannot be judged."""
LEAST_PERIOD = 8**4
"""In jiffies: that of the longest retransmission timeout, 120 s, up to HZ=2000."""
FIRST_JIFFIES_S = 300
"""So long before its first wrap the kernel's count of jiffies begins (INIT_JIFFIES,
include/linux/jiffies.h).
"""
BEGINS_NS = (FIRST_JIFFIES_S + 1) * 1_000_000_000
"""Virtual time: no plan begins before this moment of CLOCK_MONOTONIC: the kernel's count of jiffies
has then passed 0.

In the 20 ms after that a network namespace sends no ICMP error: net/ipv4/icmp.c:icmp_global_allow
takes the stamp 0 of one that has sent none for the present moment.
"""
GRACE_NS = 2_000_000_000
"""How long after the last acceptable moment the run goes on watching, so that "late" can be told
from "never".
"""

Demand = Literal["must-act", "must-stand", "may-act"]
KIND_OF: dict[str, OutcomeKind] = {
    "detected": "detected",
    "noticed": "noticed",
    "eof": "eof",
    "survives": "quiet",
    "never": "quiet",
}
"""The kind of outcome that satisfies each claim but "as-predicted"."""


class Ending(msgspec.Struct, frozen=True):
    """An outcome by its name."""

    kind: OutcomeKind
    errno: str | None


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """What the judge must know of one fault. Times are nanoseconds after arming.

    `demand`: "must-act": its evidence must be "bit", or that of a fault in `instead` (by index),
    which would do the same. "must-stand": "in-place" is enough. "may-act": "in-place" is enough
    unless the run ends in one of `decides`. `why`: the reason for the demand, in words.
    `restored_ns`: when what it took away is there again. That is when it wears off or, for a reboot
    after which the program is started again, when it sets in. `late_ns`: how much later than
    planned it may set in or wear off. `starts_timer`: it counts time from its onset.
    `hides_probes`: probes that it swallows are not on the wire. `needs_traffic`: it wears off, and
    means nothing to a connection on which nothing is sent while it is on. `due_ns`: of one that
    hides probes: when they would be on the wire, from the least to the most.
    """

    kind: str
    standing: bool
    at_ns: int
    until_ns: int | None
    restored_ns: int | None
    late_ns: int
    starts_timer: bool
    hides_probes: bool
    demand: Demand
    why: str
    decides: tuple[Ending, ...] = ()
    instead: tuple[int, ...] = ()
    needs_traffic: bool = False
    due_ns: tuple[tuple[int, int], ...] = ()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What will be run and what must come of it. All times are nanoseconds after arming.

    `prediction` is None, and `unpredictable` says why, where the oracle has no model; the
    scenario's own expectation then decides alone. `allowance_ns` is added to the upper end of
    windows (0 in virtual time). `watch_ns` is how long the subject is watched before "nothing
    happened" is the answer. `faults`: what is expected of each of the scenario's faults, by index.
    `must_echo`: whether data must still pass where nothing was detected. `contradicts`: no outcome
    that the oracle predicts, in time or in kind, can satisfy the claim. `ends`: where both ends are
    judged, a plan for each of them, with the claim about that end alone, by which it is judged; the
    prediction, the expected outcomes and what is expected of the faults are then the first one's.
    """

    scenario: Scenario
    machine: MachineFacts
    prediction: Prediction | None
    unpredictable: str | None
    expected: tuple[Outcome, ...]
    allowance_ns: int
    watch_ns: int
    faults: tuple[Expectation, ...]
    must_echo: bool
    notes: tuple[str, ...] = ()
    contradicts: bool = False
    ends: tuple[Plan, ...] = ()
    format: int = FORMAT

    @property
    def name(self) -> str:
        """The scenario's name."""
        return self.scenario.name

    @property
    def judged(self) -> tuple[Plan, ...]:
        """A plan for each end that is judged: this one, where that is one end."""
        return self.ends or (self,)

    @property
    def side(self) -> Side:
        """The side that is judged; of both the first."""
        return self.judged[0].scenario.expect.side

    @property
    def period_ns(self) -> int:
        """The timer wheel's period, as far as this plan's timers have one: arming so much later
        changes nothing.
        """
        if self.ends:
            return max(end.period_ns for end in self.ends)
        settings = settings_of(self.scenario, self.scenario.expect.side)
        return max(LEAST_PERIOD, established.phases(settings, self.machine.hz)) * tick_ns(
            self.machine.hz
        )

    @property
    def reconnects_within_ns(self) -> int:
        """How long after being detected to wait for the connection that takes the lost one's place.

        0: not at all.
        """
        if self.ends:
            return max(end.reconnects_within_ns for end in self.ends)
        claim = self.scenario.expect.reconnects_s
        healed_s = (
            last_restored_s(self.scenario) if self.scenario.expect.origin == "healed" else 0.0
        )
        latest = [] if claim is None else [round((healed_s + claim[1]) * 1e9)]
        latest += [
            outcome.reconnects_ns[1]
            for outcome in self.expected
            if outcome.reconnects_ns is not None
        ]
        return max(latest) + GRACE_NS if latest else 0

    @property
    def claims_recovery_alone(self) -> bool:
        """Whether nothing is claimed or predicted but that data passes again."""
        expect = self.scenario.expect
        named = expect.outcome != "as-predicted" or self.prediction is not None
        return expect.recovers_s is not None and not named

    @property
    def recovers_until_ns(self) -> int:
        """How long after arming to wait for data that passes again; 0: not at all."""
        return max(recovers_until_ns(end.scenario) for end in self.judged)

    def arming_ns(self, now_ns: int) -> int:
        """When to arm, from `now_ns` on, both of CLOCK_MONOTONIC in virtual time: at the phase that
        is asked for.

        The first jiffy began with the clock, and had the number INIT_JIFFIES.
        """
        phase_ns = self.scenario.expect.phase_ns + FIRST_JIFFIES_S * 1_000_000_000
        return now_ns + (phase_ns - now_ns) % self.period_ns


def settings_of(scenario: Scenario, side: Side) -> Settings:
    """The socket options of a side, as the oracle takes them."""
    endpoint = scenario.endpoint(side)
    alive = endpoint.keepalive_settings
    timeout_ms = round(endpoint.user_timeout_s * 1000)
    if alive is None:
        return Settings(keepalive=False, user_timeout_ms=timeout_ms, retries2=endpoint.retries2)
    return Settings(
        idle_s=alive.idle_s,
        interval_s=alive.interval_s,
        count=alive.count,
        user_timeout_ms=timeout_ms,
        retries2=endpoint.retries2,
    )


def spell_outcomes(outcomes: tuple[Outcome, ...]) -> str:
    """Outcomes in words, for messages."""
    words = {
        "eof": "end of file",
        "quiet": "that nothing is detected",
        "noticed": "the program to give its peer up",
    }
    return " or ".join(dict.fromkeys(o.errno or words.get(o.kind, o.kind) for o in outcomes))


def recovers_until_ns(scenario: Scenario) -> int:
    """How long after arming to wait for data that passes again; 0: not at all.

    As long as is claimed after the removal of the last fault, or after the injection of a later
    one, which may be what makes data pass.
    """
    claim = scenario.expect.recovers_s
    if claim is None:
        return 0
    onsets = (fault.at_s for fault in scenario.faults if not fault.standing)
    changed_s = max(last_restored_s(scenario), *onsets)
    return round((changed_s + claim[1]) * 1e9) + GRACE_NS


def last_restored_s(scenario: Scenario) -> float:
    """When the last fault that ends is undone, in seconds after arming; 0 where none ends."""
    return max(
        (fault.restored_s for fault in scenario.faults if fault.restored_s is not None), default=0.0
    )
