"""What one replay of an established connection is asked, in the kernel's units, and what it
answers.
"""

from __future__ import annotations

import itertools
from typing import Literal

import msgspec

from harness.oracle import timerwheel
from harness.oracle.backoff import LEAST_TIMEOUT_US, LONGEST_TIMEOUT_S, model_timeout_ms
from harness.oracle.connection_state import StateKey
from harness.oracle.effects import Effect, Unpredictable
from harness.oracle.moment import Moment, When
from harness.oracle.network_path import Network
from harness.oracle.prediction import Machine, OutcomeKind, Settings

MOST_EXPIRIES = 3_000_000
"""Over all phases of one prediction: what takes half a minute."""

Ask = Literal["probe", "retransmit"]
Kind = Literal["write", "shut", "peer-writes", "fin", "rst"]


class Planned(msgspec.Struct, frozen=True):
    """Something that happens at a moment of the program's or the peer's choosing."""

    moment: Moment
    kind: Kind


class Question(msgspec.Struct, frozen=True):
    """What becomes of a connection whose peer falls silent: `settings` are the observed side's,
    times after arming.

    `horizon_ns`: how far to look. `writes_ns`, `peer_writes_ns`: when the observed side, and its
    peer, write a few bytes; `echoes`: the peer sends back what it reads; `shuts_ns`: when the
    observed side shuts its writing direction, which sends FIN.
    """

    settings: Settings
    machine: Machine
    effects: tuple[Effect, ...]
    horizon_ns: int
    writes_ns: tuple[int, ...] = ()
    peer_writes_ns: tuple[int, ...] = ()
    echoes: bool = False
    shuts_ns: int | None = None


class Case:
    """A question in the kernel's units: jiffies, and nanoseconds after arming.

    A FIN is data like any other here.
    """

    def __init__(self, question: Question) -> None:
        settings, machine = question.settings, question.machine
        hz = machine.hz
        self.settings, self.machine, self.horizon_ns, self.hz = (
            settings,
            machine,
            question.horizon_ns,
            hz,
        )
        self.idle = timerwheel.seconds_to_jiffies(settings.idle_s, hz)
        self.interval = timerwheel.seconds_to_jiffies(settings.interval_s, hz)
        self.user_timeout = timerwheel.milliseconds_to_jiffies(settings.user_timeout_ms, hz)
        self.longest = LONGEST_TIMEOUT_S * hz
        self.tick = timerwheel.tick_ns(hz)
        self.late = machine.late_jiffies
        self.lag = -(-machine.arming_lag_ns // self.tick)
        self.network = Network(question.effects, hz, machine.injection_ns, question.horizon_ns)
        self.limit_ms = limit_ms(settings, hz)
        self.is_idle = (
            not question.writes_ns and not question.peer_writes_ns and question.shuts_ns is None
        )
        self.shuts_ns, self.echoes, self.peer_writes_ns = (
            question.shuts_ns,
            question.echoes,
            question.peer_writes_ns,
        )
        self.write_slack_ns = machine.write_ns
        self.left, self._price = MOST_EXPIRIES, 1 + len(question.effects) // 4
        self.known: dict[StateKey, Tail] = {}
        thaws_ns = self._thaws_ns(question.writes_ns) if question.echoes else ()
        self.planned = self._plan(question.writes_ns, question.peer_writes_ns, thaws_ns)

    def _thaws_ns(self, writes_ns: tuple[int, ...]) -> tuple[int, ...]:
        """When a peer that stood still reads what was written meanwhile, and echoes it."""
        frozen = [
            span for span in self.network.spans.get("peer-frozen", []) if span.until_ns is not None
        ]
        for span in frozen:
            if any(
                span.from_ns <= ns < span.from_ns + self.machine.injection_ns for ns in writes_ns
            ):
                raise Unpredictable("data is written in the moment in which the peer is stopped")
        ends = [
            span.until_ns
            for span in frozen
            if any(span.from_ns <= ns < (span.until_ns or 0) for ns in writes_ns)
        ]
        return tuple(end for end in ends if end is not None)

    def _plan(
        self, writes_ns: tuple[int, ...], peer_writes_ns: tuple[int, ...], thaws_ns: tuple[int, ...]
    ) -> tuple[Planned, ...]:
        slack, delay = self.write_slack_ns, self.machine.injection_ns
        planned = [Planned(Moment(ns, slack), "write") for ns in writes_ns]
        planned += [Planned(Moment(ns, slack), "shut") for ns in (self.shuts_ns,) if ns is not None]
        planned += [Planned(Moment(ns, slack), "peer-writes") for ns in peer_writes_ns]
        planned += [Planned(Moment(ns, delay), "peer-writes") for ns in thaws_ns]
        arrivals: tuple[tuple[int | None, Kind], ...] = (
            (self.network.closing_ns, "fin"),
            (self.network.reset_ns, "rst"),
        )
        planned += [Planned(Moment(ns, delay), kind) for ns, kind in arrivals if ns is not None]
        planned.sort(key=lambda each: each.moment.ns)
        for earlier, later in itertools.pairwise(planned):
            if earlier.moment.ns + earlier.moment.slack_ns > later.moment.ns:
                raise Unpredictable(
                    f"which comes first decides, {earlier.kind} or {later.kind}; move one of them"
                )
        return tuple(each for each in planned if each.moment.ns <= self.horizon_ns)

    def spend(self) -> None:
        """One expiry more.

        Raises Unpredictable where there have been so many that it would take minutes.
        """
        self.left -= self._price
        if self.left < 0:
            raise Unpredictable(
                "too many expiries of timers would have to be followed: shorten what is "
                "watched, or leave faults out"
            )

    def timeout(self, round_trip_us: int) -> int:
        """The retransmission timeout in jiffies, without back-off (tcp_input.c:__tcp_set_rto)."""
        return -(-(LEAST_TIMEOUT_US + round_trip_us) * self.hz // 1_000_000)


def limit_ms(settings: Settings, hz: int) -> int:
    """How long retransmissions go on, from the timer's first one."""
    base = timerwheel.milliseconds_to_jiffies(LEAST_TIMEOUT_US // 1000, hz)
    return settings.user_timeout_ms or model_timeout_ms(settings.retries2, base, hz)


def longest_ns(settings: Settings, hz: int) -> int:
    """More than giving up data in flight can take, from the write on.

    Without a user timeout, which would cut it, the last timeout may begin just before the limit.
    """
    limit = limit_ms(settings, hz)
    most_ms = limit * 5 // 4
    if not settings.user_timeout_ms:
        most_ms = max(most_ms, limit + min(limit, LONGEST_TIMEOUT_S * 1000) * 9 // 8)
    return most_ms * 1_000_000 + 10_000_000_000


class Asked(msgspec.Struct, frozen=True):
    """A segment that asks for a sign of life; `seen`: it reached the wire."""

    bucket: int
    role: Ask
    seen: bool


class NoticedAt(msgspec.Struct, frozen=True):
    """When something was detected: in a bucket's handler or at a moment, and `after_ns` later, plus
    at most `slack_ns`.
    """

    when: When
    after_ns: int = 0
    slack_ns: int = 0


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one replay, and what was asked before it.

    `drift_ns`: how much later all of it may have been.
    """

    kind: OutcomeKind
    errno: str | None = None
    end: NoticedAt | None = None
    asked: tuple[Asked, ...] = ()
    rst: bool = False
    why: str = "nothing reaches the application"
    drift_ns: int = 0

    @property
    def seen(self) -> tuple[int, ...]:
        """The buckets of what reached the wire."""
        return tuple(each.bucket for each in self.asked if each.seen)


class Tail(msgspec.Struct, frozen=True):
    """What follows a state of a replay wherever arming lies from one instant to another."""

    run: Run
    from_ns: int
    until_ns: int
    widest: int
