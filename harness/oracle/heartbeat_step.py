"""One event between two programs with heartbeats: its effect on them, on the path and on pending
events. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from harness.model.topology import Side, other
from harness.oracle.difference_bounds import Zone
from harness.oracle.effects import Unpredictable
from harness.oracle.heartbeat_events import (
    FLOW_EXPIRES,
    LAST_READ,
    NOW,
    PEER_FORGETS,
    Arrives,
    Begins,
    Ends,
    Event,
    Paused,
    PeerForgets,
    PingDue,
    Point,
    Repeats,
    TimerExpires,
    Unacknowledged,
    Writes,
    is_of_program,
)
from harness.oracle.heartbeat_model import (
    BOX_SLACK_NS,
    Disturbance,
    Kind,
    Message,
    SideState,
)
from harness.oracle.heartbeat_situation import Situation, next_repetition_ns


class Step(Situation):
    """The effect of one event, which happens at the moment NOW of the zone.

    `state` and `zone` become those after the event; or `ended` is set, and nothing comes after it.
    """

    def carry_out(self, event: Event) -> Iterator[Step]:
        """Yield all steps that may come of the event; mostly one."""
        self.refuse_impatience()
        match event:
            case TimerExpires(side=side):
                self._miss(side)
            case PingDue(side=side):
                self._beat(side)
            case Writes(side=side):
                self._write(side)
            case Arrives(side=side):
                self._arrive(side, self._landed(event))
            case Repeats(side=side):
                self._repeat(side)
            case Begins(number=number):
                self._begin(number)
            case Ends(number=number):
                yield from self._end(number)
                return
            case PeerForgets():
                self.state = msgspec.structs.replace(self.state, forgot="yes")
            case _:
                self._forget_flow()
        yield self

    # --- programs ---

    def _miss(self, side: Side) -> None:
        """A timer expires."""
        rules, own = self.world.rules[side], self.state.of(side)
        if own.missed == rules.misses:
            self._give_up(side)
            return
        self.change(side, missed=own.missed + 1)
        self.schedule(TimerExpires(side), rules.next_ns)
        if rules.beats:
            self._beat(side)

    def _give_up(self, side: Side) -> None:
        if side == self.world.observer:
            self.finish("noticed", why=self.world.rules[side].why)
            return
        if self.state.is_flying_to(side):
            raise Unpredictable(
                "the peer gives up while something is on its way to it: FIN or RST comes first"
            )
        self._send(side, "fin")
        is_fin_lost = "fin" in self.state.of(side).owed
        self._stop(side)
        self.state = msgspec.structs.replace(self.state, peer_gave_up=is_fin_lost)

    def _beat(self, side: Side) -> None:
        self._send(side, "beat")
        self._wrote(side)

    def _write(self, side: Side) -> None:
        if not self.state.of(side).runs:
            return
        self._send(side, "data")
        if self.world.rules[side].writing_restarts:
            self.change(side, missed=0)
            self.schedule(TimerExpires(side), self.world.rules[side].first_ns)
        self._wrote(side)

    def _wrote(self, side: Side) -> None:
        ping_ns = self.world.rules[side].ping_ns
        if ping_ns is not None and self.ended is None:
            self.schedule(PingDue(side), ping_ns)

    def _arrive(self, side: Side, kind: Kind) -> None:
        """A program finds something in its socket."""
        own, rules, is_observer = (
            self.state.of(side),
            self.world.rules[side],
            side == self.world.observer,
        )
        if not own.runs:
            return
        if own.frozen or own.not_reading:
            self.change(side, waiting=own.waiting | {kind})
            return
        if kind == "fin":
            self.finish("eof", why="the peer gives up first, and its kernel says FIN")
            return
        if is_observer:
            self._note_reading()
        if rules.restarts:
            self.change(side, missed=0)
            self.schedule(TimerExpires(side), rules.first_ns, rules.slack_ns)
        elif kind != "data":
            self.change(side, missed=0)
        if kind == "beat":
            self._send(side, "answer")

    def _note_reading(self) -> None:
        self.zone = self.zone.without([LAST_READ]).with_moment(
            LAST_READ, NOW, -self.world.late_ns, 0
        )

    def _stop(self, side: Side) -> None:
        """The program is gone, or nothing that it does matters from here on."""
        self.zone = self.zone.without(
            [point for point in self.zone.names if is_of_program(point, side)]
        )
        self.change(side, runs=False, owed=frozenset(), waiting=frozenset())

    # --- TCP and the path ---

    def _send(self, side: Side, kind: Kind) -> None:
        """The program writes, and TCP sends what it may."""
        cut, own = self.cut(side), self.state.of(side)
        if cut:
            if any(
                side in each.own and each.until_ns is not None for each in self.disturbances(cut)
            ):
                raise Unpredictable(
                    "its own host cannot send a heartbeat, and repeats it at times of its own"
                )
            self._owe(side, kind)
        elif self.state.box_gone:
            self._owe(side, kind)
        elif side == self.world.observer and self.state.forgot != "no":
            self._meet_stranger()
        elif Unacknowledged(side) in self.zone:
            self._send_on(side, kind, own)
        else:
            self._fly(side, kind)
            if self.cut(other(side)):
                self._owe(side, None)

    def _send_on(self, side: Side, kind: Kind, own: SideState) -> None:
        """More is sent while something has not been acknowledged."""
        if Repeats(side) in self.zone:
            self.change(side, owed=own.owed | {kind})
        elif self.state.of(other(side)).runs:
            raise Unpredictable(
                "acknowledgements are lost, and TCP holds back what is written after that"
            )

    def _meet_stranger(self) -> None:
        if self.state.forgot == "maybe":
            raise Unpredictable(
                "a heartbeat falls into the moment in which the peer changes; move the fault's time"
            )
        latest_ns = self.world.flight_ns + self.world.late_ns
        self.finish(
            "detected",
            "ECONNRESET",
            most_ns=latest_ns,
            why="the next segment that is sent meets RST",
        )

    def _owe(self, side: Side, kind: Kind | None) -> None:
        """A segment is lost, or only its acknowledgement (no kind)."""
        if Unacknowledged(side) not in self.zone:
            self.zone = self.zone.with_moment(Unacknowledged(side), NOW, 0, 0)
        if kind is not None:
            self.change(side, owed=self.state.of(side).owed | {kind})
        elif side == self.world.peer:
            self.state = msgspec.structs.replace(self.state, repeated=True)

    def _fly(self, side: Side, kind: Kind) -> None:
        """A message is sent: it arrives after those sent before it, and the middlebox has seen
        it.
        """
        to, before = other(side), [message.arrival for message in self.state.flying]
        arrivals = (Arrives(to, number) for number in range(len(before) + 1))
        arrival = next(each for each in arrivals if each not in before)
        zone: Zone[Point] | None = self.zone.with_moment(
            arrival, NOW, 0, self.world.flight_ns + self.world.late_ns
        )
        for each in before:
            if each.side == to:
                zone = None if zone is None else zone.where(each, arrival, 0)
        assert zone is not None
        self.zone = zone
        self.state = msgspec.structs.replace(
            self.state, flying=(*self.state.flying, Message(arrival, kind))
        )
        if FLOW_EXPIRES in self.zone and self.world.box_ns is not None:
            self.zone = self.zone.without([FLOW_EXPIRES])
            self.schedule(FLOW_EXPIRES, self.world.box_ns, BOX_SLACK_NS)

    def _landed(self, arrival: Arrives) -> Kind:
        (kind,) = (message.kind for message in self.state.flying if message.arrival == arrival)
        left = tuple(message for message in self.state.flying if message.arrival != arrival)
        self.state = msgspec.structs.replace(self.state, flying=left)
        return kind

    def _repeat(self, side: Side) -> None:
        """What was owed arrives at last."""
        owed = self.state.of(side).owed
        self.zone = self.zone.without([Unacknowledged(side)])
        self.change(side, owed=frozenset())
        if other(side) == self.world.observer:
            self._note_reading()
        for kind in sorted(owed):
            if self.ended is None:
                self._arrive(other(side), kind)

    # --- disturbances ---

    def _begin(self, number: int) -> None:
        each = self.world.disturbances[number]
        self.state = msgspec.structs.replace(self.state, on=self.state.on | {number})
        if each.ending:
            self._strike(each)
        elif each.until_ns is None and self.world.peer in each.cuts:
            self._stop(self.world.peer)  # nothing of it is ever seen again

    def _strike(self, each: Disturbance) -> None:
        """Something happens to the peer itself."""
        peer = self.world.peer
        if not self.state.of(peer).runs:
            return
        if each.ending == "not-reading":
            self.change(peer, not_reading=True)
        elif each.ending == "frozen":
            self._freeze(peer)
        elif each.ending == "forgot":
            self._refuse_midstream("when the peer's host changes")
            self._forget(each)
            self._stop(peer)
        else:
            self._end_connection(each)

    def _freeze(self, side: Side) -> None:
        self.change(side, frozen=True)
        for timer in (TimerExpires(side), PingDue(side)):
            if timer in self.zone:
                self.zone = self.zone.renamed(timer, Paused(timer))

    def _forget(self, each: Disturbance) -> None:
        self.state = msgspec.structs.replace(
            self.state, forgot="maybe" if each.unsettled_ns else "yes"
        )
        if each.unsettled_ns:
            self.schedule(PEER_FORGETS, 0, each.unsettled_ns + self.world.delay_ns)

    def _end_connection(self, each: Disturbance) -> None:
        """The peer's kernel, or somebody in its name, ends the connection."""
        if self.cut(self.world.peer):
            raise Unpredictable("the connection ends while the path is cut")
        self._refuse_midstream("when the connection ends")
        latest_ns = self.world.flight_ns + self.world.late_ns
        if each.ending == "closed":
            self.finish("eof", most_ns=latest_ns, why="the peer's kernel says FIN")
        else:
            self.finish("detected", "ECONNRESET", most_ns=latest_ns, why="an RST comes")

    def _refuse_midstream(self, when: str) -> None:
        peer = self.world.peer
        waits = self.state.of(peer).waiting or Unacknowledged(self.world.observer) in self.zone
        if waits or self.state.is_flying_to(peer):
            raise Unpredictable(
                f"a heartbeat may be on its way, or unread, {when}; move the fault's time"
            )

    def _forget_flow(self) -> None:
        """The middlebox has seen nothing for too long."""
        if self.world.box_resets:
            self.state = msgspec.structs.replace(self.state, forgot="yes")
        else:
            self.state = msgspec.structs.replace(self.state, box_gone=True)
        self._stop(self.world.peer)

    def _end(self, number: int) -> Iterator[Step]:
        """A disturbance is over."""
        each, peer = self.world.disturbances[number], self.world.peer
        self.state = msgspec.structs.replace(self.state, on=self.state.on - {number})
        if self.state.peer_gave_up and each.cuts:
            raise Unpredictable(
                "the peer gave up during the outage: FIN or RST, and when, is not known"
            )
        for side in each.cuts:
            self._schedule_repetition(side)
            self._schedule_repetition(other(side))
        if each.ending and self.state.of(peer).runs:
            waiting = self.state.of(peer).waiting
            self.change(peer, frozen=False, not_reading=False, waiting=frozenset())
            for kind in sorted(waiting):
                self._arrive(peer, kind)
            yield from self._thaw((TimerExpires(peer), PingDue(peer)))
        else:
            yield self

    def _thaw(self, timers: tuple[TimerExpires | PingDue, ...]) -> Iterator[Step]:
        """A program goes on: timers that expired meanwhile do so at once, others in their time."""
        if not timers or self.ended is not None:
            yield self
            return
        timer, *rest = timers
        paused = Paused(timer)
        if paused not in self.zone or timer in self.zone:
            self.zone = self.zone.without([paused])
            yield from self._thaw(tuple(rest))
            return
        overdue, later = self.zone.where(paused, NOW, 0), self.zone.where(NOW, paused, 0)
        if overdue is not None:
            step = Step(self.world, self.state, overdue.without([paused]))
            step.schedule(timer, 0)
            yield from step._thaw(tuple(rest))
        if later is not None:
            step = Step(self.world, self.state, later.renamed(paused, timer))
            yield from step._thaw(tuple(rest))

    def _schedule_repetition(self, side: Side) -> None:
        """The path is whole again: what was lost comes at the latest when the timer that runs
        expires.
        """
        unacked, repeat = Unacknowledged(side), Repeats(side)
        if unacked not in self.zone or self.cut(side) or repeat in self.zone:
            return
        if self.cut(other(side)):
            raise Unpredictable("one direction is whole again before the other")
        wait_ns, since_ns = next_repetition_ns(self.zone.bounds(NOW, unacked)[1], self.world.rtt_ns)
        slack_ns = self.world.flight_ns + 3 * self.world.late_ns
        self.zone = self.zone.with_moment(repeat, NOW, 0, wait_ns + slack_ns)
        self.zone = self.zone.where(repeat, unacked, since_ns + slack_ns) or self.zone
