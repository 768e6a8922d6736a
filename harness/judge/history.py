"""What a timeline says about the observed side: found once, checked, in the order of time. Pure.

Events are written down in the order in which they were learnt of, which is not that of their times:
a captured segment is read after the wake-up that it caused. So everything here goes by the times
alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import msgspec

from harness.judge.facts import (
    KINDS,
    Alive,
    Armed,
    Broken,
    CapturedPacket,
    CaptureEnded,
    Detected,
    Ended,
    Eof,
    Exited,
    Fact,
    GivenUp,
    Healed,
    Injected,
    Noticed,
    OfFault,
    Printed,
    Proof,
    Reconnected,
    Shut,
    SignOfLife,
    Stalled,
    Waited,
    Wrote,
)
from harness.judge.watched_segments import (
    is_from_living_peer,
    is_of_closing,
    is_watched,
    last_read_ns,
    may_be_watched,
)
from harness.oracle.prediction import OutcomeKind
from harness.oracle.timerwheel import tick_ns
from harness.plan.plan import Plan
from harness.timeline import Event

AFTERMATH_NS = 20_000_000
"""How long after a detection segments may still belong to it, such as the RST of an abort."""

T = TypeVar("T")
F = TypeVar("F", bound=OfFault)
R = TypeVar("R", bound=msgspec.Struct)


class InvalidTimeline(Exception):
    """No run can have left this timeline; the text says what is wrong with it."""


class History:
    """The observed side's run.

    What did not happen is None, or absent; of two events alike the earlier one counts.

    `injected`, `healed`, `proofs`: by the fault's index. `captured`: on the observer's host;
    `segments`: those of the watched connection; `lost`: how many frames more passed there, None
    where its capture did not come to an end. `last_read`: when the last data came to that host.
    `sent_ns`: when anything was sent on the watched connection, or given to a socket, on either
    side. `reconnections`: those that take the place of the watched connection.
    `signs_of_life`: when the command showed that it works. `printed`: the lines that the observed
    side's command printed. `exited`: whose programs have ended, and which built-in ends have seen
    the end of the connection. `armed_ns`: when each side was armed. `stalls`: from when to when the
    harness did not run. `waited_ns`: how long the lab's programs waited for a CPU, all together.
    Raises InvalidTimeline.
    """

    def __init__(self, plan: Plan, events: Sequence[Event]) -> None:
        self.plan = plan
        side = plan.scenario.expect.side
        order = sorted(range(len(events)), key=lambda place: events[place].t_ns)
        facts = [
            _checked(plan, events[place], place) for place in order if events[place].kind in KINDS
        ]
        mine = [fact for fact in facts if getattr(fact.what, "side", side) == side]
        self.is_empty = not events
        self.armed = next(_of(mine, Armed), None)
        self.end = next(_of(mine, Noticed), None)
        self.armed_ns = [fact.t_ns for fact in _of(facts, Armed)]
        self.stalls = [(fact.t_ns, fact.t_ns + fact.what.took_ns) for fact in _of(facts, Stalled)]
        self.waited_ns = sum(fact.what.took_ns for fact in _of(facts, Waited))
        self.alive = next(_of(facts, Alive), None)
        self.signs_of_life = [fact.t_ns for fact in _of(mine, SignOfLife)]
        self.printed = [fact.what.line for fact in _of(mine, Printed)]
        self.exited = _exited(plan, facts)
        self.writes = list(_of(facts, Wrote))
        self.shuts = list(_of(facts, Shut))
        self.ended = next(_of(facts, Ended), None)
        self.broken = next(_of(facts, Broken), None)
        self.injected = _by_fault(_of(facts, Injected))
        self.healed = _by_fault(_of(facts, Healed))
        self.proofs = _by_fault(_of(facts, Proof))
        self.sent_ns = self._segments_ns(facts, events)
        self.sent_ns += [fact.t_ns for fact in self.writes if fact.what.written]
        self.sent_ns += [fact.t_ns for fact in self.shuts if fact.what.done]
        packets = _of(facts, CapturedPacket)
        captured = [fact for fact in packets if events[fact.place].source == side]
        captured = [fact for fact in captured if not is_of_closing(fact, self.ended)]
        self.segments = [fact for fact in captured if is_watched(fact.what, self.armed)]
        self.last_read = last_read_ns(captured, self.end)
        again = list(_of(mine, Reconnected))
        self.reconnected = None if self.end is None else _since(self.end.t_ns, again)
        ends = [fact for fact in _of(facts, CaptureEnded) if events[fact.place].source == side]
        self.reconnections = again
        self.captured = captured
        self.lost = sum(fact.what.dropped for fact in ends) if ends else None
        healing = self.origin if plan.scenario.expect.origin == "healed" else None
        self.restored = None if healing is None else _since(healing[0], again)
        if self.armed is not None and self.end is not None and self.end.t_ns < self.armed.t_ns:
            raise InvalidTimeline(
                f"event {self.end.place} ({events[self.end.place].kind}) is older than arming"
            )

    def _segments_ns(self, facts: list[Fact[Any]], events: Sequence[Event]) -> list[int]:
        """When segments that may be of the watched connection passed either host."""
        side = self.plan.scenario.expect.side
        far = next((fact for fact in _of(facts, Armed) if fact.what.side != side), None)
        found = []
        for fact in _of(facts, CapturedPacket):
            here = self.armed if events[fact.place].source == side else far
            if fact.what.role != "icmp" and may_be_watched(self.plan, fact.what, self.armed, here):
                found.append(fact.t_ns)
        return found

    @property
    def kind(self) -> OutcomeKind | None:
        """What was measured: detected, eof, quiet; None when the run says nothing."""
        if self.end is not None:
            kinds: dict[type[Noticed], OutcomeKind] = {
                Detected: "detected",
                GivenUp: "noticed",
                Eof: "eof",
            }
            return kinds[type(self.end.what)]
        return "quiet" if self.armed is not None and self.ended is not None else None

    @property
    def errno(self) -> str | None:
        """The errno's name, where there was one."""
        return (
            self.end.what.errno
            if self.end is not None and isinstance(self.end.what, Detected)
            else None
        )

    @property
    def given_up(self) -> GivenUp | None:
        """How the program gave its peer up, where it did by itself."""
        return (
            self.end.what if self.end is not None and isinstance(self.end.what, GivenUp) else None
        )

    @property
    def took_ns(self) -> int:
        """How long the arming call took: times since arming are known to within this."""
        return 0 if self.armed is None else self.armed.what.took_ns

    @property
    def late_count_ns(self) -> int:
        """How far the kernel's count of jiffies was behind when the side set its timers: they go
        off so much earlier.

        One CPU counts for all of them; the others go on with the old count while its hypervisor
        holds it up.
        """
        set_by: list[Armed | Wrote] = [fact.what for fact in self.writes]
        set_by += [] if self.armed is None else [self.armed.what]
        side = self.plan.scenario.expect.side
        lag_ns = max((fact.lag_ns for fact in set_by if fact.side == side), default=0)
        return max(0, lag_ns - tick_ns(self.plan.machine.hz))

    def since_armed(self, t_ns: int) -> int:
        """Nanoseconds from arming to a moment of the timeline."""
        assert self.armed is not None
        return t_ns - self.armed.t_ns

    @property
    def origin(self) -> tuple[int, int] | None:
        """When the scenario's times count from, and to within how many ns that is known.

        None where it never came.
        """
        if self.armed is None:
            return None
        origin = self.plan.scenario.expect.origin
        if origin == "armed":
            return self.armed.t_ns, self.armed.what.took_ns
        if origin == "fault":
            timed = [
                f for index, f in self.injected.items() if not self.plan.faults[index].standing
            ]
            first = min(timed, key=lambda fact: fact.t_ns, default=None)
            return None if first is None else (first.t_ns, first.what.took_ns)
        if origin == "healed":
            return self._healing
        received = [
            s.t_ns for s in self.segments if is_from_living_peer(s.what) and self.before_end(s.t_ns)
        ]
        return (received[-1], 0) if received else None

    @property
    def _healing(self) -> tuple[int, int] | None:
        """When the last fault that ends was undone; None where the run was over before all were."""
        undone = []
        for index, fault in enumerate(self.plan.faults):
            if fault.restored_ns is None:
                continue
            change = (self.injected if fault.until_ns is None else self.healed).get(index)
            if change is None or (self.ended is not None and change.t_ns > self.ended.t_ns):
                return None
            undone.append((change.t_ns, change.what.took_ns))
        return max(undone, default=None)

    @property
    def counts_from(self) -> tuple[str, int]:
        """What the result's times count from, and when that was, after arming: arming where the
        origin never came.
        """
        if self.origin is None or self.armed is None:
            return "armed", 0
        return self.plan.scenario.expect.origin, self.since_armed(self.origin[0])

    @property
    def detected_ns(self) -> int | None:
        """From the origin to the wake-up of the observing program."""
        return None if self.end is None or self.origin is None else self.end.t_ns - self.origin[0]

    @property
    def probes(self) -> list[Fact[CapturedPacket]]:
        """What was sent to get an answer, between arming and the end, or the prediction's horizon
        where there is none.

        Keepalive probes, or retransmissions, or both, as is predicted.
        """
        if self.armed is None:
            return []
        most_ns = self.plan.watch_ns
        asking = "probe" if self.plan.prediction is None else self.plan.prediction.asking
        if self.end is None and self.plan.prediction is not None:
            most_ns = min(most_ns, self.plan.prediction.horizon_ns)
        roles = {"probe", "retransmit"} if asking == "both" else {asking}
        asked = [
            segment
            for segment in self.segments
            if segment.what.role in roles and segment.what.way == "out"
            if 0 <= self.since_armed(segment.t_ns) <= most_ns and self.before_end(segment.t_ns)
        ]
        return asked[1:] if asking == "syn" else asked

    @property
    def round_trip_ns(self) -> int | None:
        """What the handshake measured at the observer: from its SYN, or SYN-ACK, to the answer.

        None without both.
        """
        asked: int | None = None
        for segment in self.segments:
            if segment.what.way == "out" and "S" in segment.what.flags:
                asked = segment.t_ns
            elif segment.what.way == "in" and "A" in segment.what.flags and asked is not None:
                return segment.t_ns - asked
        return None

    @property
    def sent_rst(self) -> bool:
        """Whether an RST left the observer's host between arming and the end of the run."""
        return bool(self.resets("out"))

    def resets(self, way: str) -> list[int]:
        """When RST segments left ("out") or reached ("in") the observer's host while it was
        watched, and until shortly after it has detected something.

        A run that awaits the other end goes on, and closed sockets answer with RST.
        """
        if self.armed is None or self.ended is None:
            return []
        until_ns = self.ended.t_ns
        if self.end is not None:
            until_ns = min(until_ns, self.end.t_ns + AFTERMATH_NS)
        return [
            segment.t_ns
            for segment in self.segments
            if segment.what.role == "rst" and segment.what.way == way
            if self.armed.t_ns <= segment.t_ns <= until_ns
        ]

    @property
    def kernel_moment_ns(self) -> int | None:
        """When the kernel decided, where the wire shows it: an RST either way, or the peer's
        FIN.
        """
        last = [
            s.t_ns
            for s in self.segments
            if set("RF") & set(s.what.flags) and self.before_end(s.t_ns)
        ]
        return last[-1] if last else None

    def before_end(self, t_ns: int) -> bool:
        """Whether a moment is not after what was detected."""
        return self.end is None or t_ns <= self.end.t_ns

    def counts(self, t_ns: int) -> bool:
        """Whether a moment belongs to what is judged.

        That goes on until something was detected or, for a claim of a connection after the healing,
        until that is made. Where nothing is claimed, or data is to pass again, it has no end.
        """
        expect = self.plan.scenario.expect
        if expect.outcome == "any" or expect.recovers_s is not None:
            return True
        if expect.origin == "healed" and expect.reconnects_s is not None:
            return self.restored is None or t_ns <= self.restored.t_ns
        return self.before_end(t_ns)

    def crossed(self, from_ns: int, until_ns: int) -> bool:
        """Whether, between two moments, a segment passed the observer's host or something was
        detected.
        """
        moments = [s.t_ns for s in self.segments if self.before_end(s.t_ns)]
        moments += [] if self.end is None else [self.end.t_ns]
        return any(from_ns < moment < until_ns for moment in moments)

    @property
    def cites(self) -> tuple[int, ...]:
        """The events a verdict rests on: arming, faults with their evidence, what was detected, the
        end.
        """
        single = (self.armed, self.end, self.reconnected, self.alive, self.broken, self.ended)
        places = [fact.place for fact in single if fact is not None]
        places += [f.place for facts in (self.injected, self.healed) for f in facts.values()]
        places += [fact.place for fact in (*self.proofs.values(), *self.writes, *self.shuts)]
        return tuple(sorted(places))


def _exited(plan: Plan, facts: list[Fact[Any]]) -> frozenset[str]:
    """Whose programs have ended, and which built-in ends have seen the end of the connection."""
    scenario = plan.scenario
    seen = (fact.what.side for fact in _of(facts, Noticed))
    built_in = (side for side in seen if scenario.endpoint(side).command is None)
    return frozenset([*(fact.what.side for fact in _of(facts, Exited)), *built_in])


def _since(t_ns: int, facts: Sequence[Fact[R]]) -> Fact[R] | None:
    """The first of them that is not before a moment."""
    return next((fact for fact in facts if fact.t_ns >= t_ns), None)


def _checked(plan: Plan, event: Event, place: int) -> Fact[Any]:
    """The event with its data as the type of its kind."""
    try:
        what = msgspec.convert(event.data, KINDS[event.kind])
    except msgspec.ValidationError as error:
        raise InvalidTimeline(f"event {place} ({event.kind}): {error}") from error
    if isinstance(what, OfFault) and what.index >= len(plan.faults):
        raise InvalidTimeline(
            f"event {place} ({event.kind}): the scenario has no fault {what.index}"
        )
    return Fact(place, event.t_ns, what)


def _of(facts: list[Fact[Any]], kind: type[T]) -> Iterator[Fact[T]]:
    return (fact for fact in facts if isinstance(fact.what, kind))


def _by_fault(facts: Iterator[Fact[F]]) -> dict[int, Fact[F]]:
    found: dict[int, Fact[F]] = {}
    for fact in facts:
        found.setdefault(fact.what.index, fact)
    return found
