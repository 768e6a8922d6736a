"""One event between two programs with heartbeats: what it does to them, to the path and to what is pending. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from harness.lab.topology import Side, other
from harness.oracle.effects import Unpredictable
from harness.oracle.prediction import OutcomeKind
from harness.oracle.world import ARMED, BOX, BOX_SLACK_NS, NOW, READ, End, Ended, Happening, Kind, State, Window, World
from harness.oracle.zones import Zone

LEAST_TIMEOUT_NS = 200_000_000
"""TCP_RTO_MIN."""
MEASURED_NS = 50_000_000
"""What the measured round trip may add to that: an ACK that was delayed by 40 ms, and some more."""
LONGEST_TIMEOUT_NS = 120_000_000_000
"""TCP_RTO_MAX."""
ROUNDED = 8 / 63
"""By which part the timer wheel prolongs a timer at most."""


class Scene:
    """What one event does: `state` and `zone` become those after it, or `ended` says that this was all."""

    def __init__(self, world: World, state: State, zone: Zone, event: str) -> None:
        self.world, self.state, self.event = world, state, event
        self.zone = zone if event == NOW else zone.renamed(event, NOW)
        self.ended: Ended | None = None

    def happen(self) -> Iterator[Scene]:
        """Carry it out; usually one scene comes of it."""
        self._refuse_impatience()
        verb, _, rest = self.event.partition(" ")
        side: Side = "server" if rest.startswith("server") else "client"
        match verb:
            case "timer":
                self._miss(side)
            case "ping":
                self._beat(side)
            case "write":
                self._write(side)
            case "arrives":
                self._arrive(side, self._landed())
            case "repeat":
                self._repeat(side)
            case "begins":
                self._begin(int(rest))
            case "ends":
                yield from self._end(int(rest))
                return
            case "settles":
                self.state = msgspec.structs.replace(self.state, forgot="yes")
            case _:
                self._forget_flow()
        yield self

    # --- programs ---

    def _miss(self, side: Side) -> None:
        """A timer goes off."""
        rules, end = self.world.rules[side], self.state.end(side)
        if end.missed == rules.misses:
            self._give_up(side)
            return
        self._change(side, missed=end.missed + 1)
        self._set(f"timer {side}", rules.next_ns)
        if rules.beats:
            self._beat(side)

    def _give_up(self, side: Side) -> None:
        if side == self.world.observer:
            self._over("noticed", why=self.world.rules[side].why)
            return
        if any(to == side for _, to, _ in self.state.flying):
            raise Unpredictable("the peer gives up while something is on its way to it: FIN or RST comes first")
        self._send(side, "fin")
        parted = "fin" in self.state.end(side).owed
        self._stop(side)
        self.state = msgspec.structs.replace(self.state, parted=parted)

    def _beat(self, side: Side) -> None:
        self._send(side, "beat")
        self._wrote(side)

    def _write(self, side: Side) -> None:
        if not self.state.end(side).runs:
            return
        self._send(side, "data")
        if self.world.rules[side].writing_restarts:
            self._change(side, missed=0)
            self._set(f"timer {side}", self.world.rules[side].first_ns)
        self._wrote(side)

    def _wrote(self, side: Side) -> None:
        ping_ns = self.world.rules[side].ping_ns
        if ping_ns is not None and self.ended is None:
            self._set(f"ping {side}", ping_ns)

    def _arrive(self, side: Side, kind: Kind) -> None:
        """A program finds something in its socket."""
        end, rules, is_observer = self.state.end(side), self.world.rules[side], side == self.world.observer
        if not end.runs:
            return
        if end.frozen or end.deaf:
            self._change(side, waiting=end.waiting | {kind})
            return
        if kind == "fin":
            self._over("eof", why="the peer gives up first, and its kernel says FIN")
            return
        if is_observer:
            self._note_reading()
        if rules.restarts:
            self._change(side, missed=0)
            self._set(f"timer {side}", rules.first_ns, rules.slack_ns)
        elif kind != "data":
            self._change(side, missed=0)
        if kind == "beat":
            self._send(side, "answer")

    def _note_reading(self) -> None:
        self.zone = self.zone.without([READ]).with_moment(READ, NOW, -self.world.late_ns, 0)

    def _stop(self, side: Side) -> None:
        """The program is gone, or nothing that it does is of any interest from here on."""
        gone = [name for name in self.zone.names if name.split(" ")[1:2] == [side] and not name.startswith("arrives")]
        self.zone = self.zone.without(gone)
        self._change(side, runs=False, owed=frozenset(), waiting=frozenset())

    # --- TCP and the path ---

    def _cut(self, side: Side) -> set[int]:
        """What is in force that lets a side's segments vanish."""
        return {number for number in self.state.on if side in self.world.happenings[number].cuts}

    def _send(self, side: Side, kind: Kind) -> None:
        """The program writes, and TCP sends what it may."""
        cut, end = self._cut(side), self.state.end(side)
        if cut:
            if any(side in each.own and each.until_ns is not None for each in self._all(cut)):
                raise Unpredictable("its own host cannot send a heartbeat, and repeats it at times of its own")
            self._owe(side, kind)
        elif self.state.box_gone:
            self._owe(side, kind)
        elif side == self.world.observer and self.state.forgot != "no":
            self._meet_stranger()
        elif f"~unacked {side}" in self.zone.names:
            self._send_on(side, kind, end)
        else:
            self._fly(side, kind)
            if self._cut(other(side)):
                self._owe(side, None)

    def _send_on(self, side: Side, kind: Kind, end: End) -> None:
        """More, while something has not been acknowledged."""
        if f"repeat {side}" in self.zone.names:
            self._change(side, owed=end.owed | {kind})
        elif self.state.end(other(side)).runs:
            raise Unpredictable("acknowledgements are lost, and TCP holds back what is written after that")

    def _meet_stranger(self) -> None:
        if self.state.forgot == "maybe":
            raise Unpredictable("a heartbeat falls into the moment in which the peer changes; move the fault's time")
        latest_ns = self.world.flight_ns + self.world.late_ns
        self._over("detected", "ECONNRESET", most_ns=latest_ns, why="the next segment that is sent meets RST")

    def _owe(self, side: Side, kind: Kind | None) -> None:
        """A segment is lost, or only its acknowledgement (no kind)."""
        if f"~unacked {side}" not in self.zone.names:
            self.zone = self.zone.with_moment(f"~unacked {side}", NOW, 0, 0)
        if kind is not None:
            self._change(side, owed=self.state.end(side).owed | {kind})
        elif side == self.world.peer:
            self.state = msgspec.structs.replace(self.state, doubled=True)

    def _fly(self, side: Side, kind: Kind) -> None:
        """It arrives after what was sent before it, and the middlebox has seen it."""
        taken = {name for name, _, _ in self.state.flying}
        names = (f"arrives {other(side)} {number}" for number in range(len(taken) + 1))
        name = next(each for each in names if each not in taken)
        before = [each for each, to, _ in self.state.flying if to == other(side)]
        zone: Zone | None = self.zone.with_moment(name, NOW, 0, self.world.flight_ns + self.world.late_ns)
        for each in before:
            zone = None if zone is None else zone.where(each, name, 0)
        assert zone is not None
        self.zone = zone
        self.state = msgspec.structs.replace(self.state, flying=(*self.state.flying, (name, other(side), kind)))
        if BOX in self.zone.names and self.world.box_ns is not None:
            self.zone = self.zone.without([BOX])
            self._set(BOX, self.world.box_ns, BOX_SLACK_NS)

    def _landed(self) -> Kind:
        (kind,) = (kind for name, _, kind in self.state.flying if name == self.event)
        left = tuple(each for each in self.state.flying if each[0] != self.event)
        self.state = msgspec.structs.replace(self.state, flying=left)
        return kind

    def _repeat(self, side: Side) -> None:
        """What was owed arrives at last."""
        owed = self.state.end(side).owed
        self.zone = self.zone.without([f"~unacked {side}"])
        self._change(side, owed=frozenset())
        if other(side) == self.world.observer:
            self._note_reading()
        for kind in sorted(owed):
            if self.ended is None:
                self._arrive(other(side), kind)

    # --- what happens to them ---

    def _begin(self, number: int) -> None:
        each = self.world.happenings[number]
        self.state = msgspec.structs.replace(self.state, on=self.state.on | {number})
        if each.ending:
            self._strike(each)
        elif each.until_ns is None and self.world.peer in each.cuts:
            self._stop(self.world.peer)  # nothing of it is ever seen again

    def _strike(self, each: Happening) -> None:
        """Something happens to the peer itself."""
        peer = self.world.peer
        if not self.state.end(peer).runs:
            return
        if each.ending == "deaf":
            self._change(peer, deaf=True)
        elif each.ending == "frozen":
            self._freeze(peer)
        elif each.ending == "forgot":
            self._refuse_midstream("when the peer's host changes")
            self._forget(each)
            self._stop(peer)
        else:
            self._end_connection(each)

    def _freeze(self, side: Side) -> None:
        self._change(side, frozen=True)
        for verb in ("timer", "ping"):
            if f"{verb} {side}" in self.zone.names:
                self.zone = self.zone.renamed(f"{verb} {side}", f"~{verb} {side}")

    def _forget(self, each: Happening) -> None:
        self.state = msgspec.structs.replace(self.state, forgot="maybe" if each.unsettled_ns else "yes")
        if each.unsettled_ns:
            self._set("settles", 0, each.unsettled_ns + self.world.delay_ns)

    def _end_connection(self, each: Happening) -> None:
        """The peer's kernel, or somebody in its name, ends the connection."""
        if self._cut(self.world.peer):
            raise Unpredictable("the connection ends while the path is cut")
        self._refuse_midstream("when the connection ends")
        latest_ns = self.world.flight_ns + self.world.late_ns
        if each.ending == "closed":
            self._over("eof", most_ns=latest_ns, why="the peer's kernel says FIN")
        else:
            self._over("detected", "ECONNRESET", most_ns=latest_ns, why="an RST comes")

    def _refuse_midstream(self, when: str) -> None:
        peer = self.world.peer
        waits = self.state.end(peer).waiting or f"~unacked {self.world.observer}" in self.zone.names
        if waits or any(to == peer for _, to, _ in self.state.flying):
            raise Unpredictable(f"a heartbeat may be on its way, or unread, {when}; move the fault's time")

    def _forget_flow(self) -> None:
        """The middlebox has seen nothing for too long."""
        if self.world.box_resets:
            self.state = msgspec.structs.replace(self.state, forgot="yes")
        else:
            self.state = msgspec.structs.replace(self.state, box_gone=True)
        self._stop(self.world.peer)

    def _end(self, number: int) -> Iterator[Scene]:
        """Something is over."""
        each, peer = self.world.happenings[number], self.world.peer
        self.state = msgspec.structs.replace(self.state, on=self.state.on - {number})
        if self.state.parted and each.cuts:
            raise Unpredictable("the peer gave up during the outage: FIN or RST, and when, is not known")
        for side in each.cuts:
            self._schedule_repetition(side)
            self._schedule_repetition(other(side))
        if each.ending and self.state.end(peer).runs:
            waiting = self.state.end(peer).waiting
            self._change(peer, frozen=False, deaf=False, waiting=frozenset())
            for kind in sorted(waiting):
                self._arrive(peer, kind)
            yield from self._thaw(peer, ("timer", "ping"))
        else:
            yield self

    def _thaw(self, side: Side, verbs: tuple[str, ...]) -> Iterator[Scene]:
        """Timers that ran out meanwhile go off at once, others in their time."""
        if not verbs or self.ended is not None:
            yield self
            return
        (verb, *rest) = verbs
        stopped, timer = f"~{verb} {side}", f"{verb} {side}"
        if stopped not in self.zone.names or timer in self.zone.names:
            self.zone = self.zone.without([stopped])
            yield from self._thaw(side, tuple(rest))
            return
        overdue, later = self.zone.where(stopped, NOW, 0), self.zone.where(NOW, stopped, 0)
        if overdue is not None:
            scene = Scene(self.world, self.state, overdue.without([stopped]), NOW)
            scene._set(timer, 0)
            yield from scene._thaw(side, tuple(rest))
        if later is not None:
            scene = Scene(self.world, self.state, later.renamed(stopped, timer), NOW)
            yield from scene._thaw(side, tuple(rest))

    def _schedule_repetition(self, side: Side) -> None:
        """The path is whole again: what was lost comes at the latest when the timer that runs goes off."""
        unacked, repeat = f"~unacked {side}", f"repeat {side}"
        if unacked not in self.zone.names or self._cut(side) or repeat in self.zone.names:
            return
        if self._cut(other(side)):
            raise Unpredictable("one direction is whole again before the other")
        wait_ns, since_ns = _next_repetition_ns(self.zone.bounds(NOW, unacked)[1], self.world.rtt_ns)
        slack_ns = self.world.flight_ns + 3 * self.world.late_ns
        self.zone = self.zone.with_moment(repeat, NOW, 0, wait_ns + slack_ns)
        self.zone = self.zone.where(repeat, unacked, since_ns + slack_ns) or self.zone

    # --- helpers ---

    def _all(self, numbers: set[int]) -> list[Happening]:
        return [self.world.happenings[number] for number in numbers]

    def _change(self, side: Side, **values: object) -> None:
        end = msgspec.structs.replace(self.state.end(side), **values)
        self.state = msgspec.structs.replace(self.state, **{side: end})

    def _set(self, timer: str, after_ns: int, slack_ns: int = 0) -> None:
        """Start a timer, instead of the one that runs if that is so."""
        latest_ns = after_ns + slack_ns + self.world.late_ns
        self.zone = self.zone.without([timer]).with_moment(timer, NOW, after_ns, latest_ns)

    def _over(self, kind: OutcomeKind, errno: str | None = None, most_ns: int = 0, why: str = "") -> None:
        """The observer has noticed, so much later at most."""
        low, high = self.zone.bounds(NOW, ARMED)
        since: Window | None = None
        if READ in self.zone.names and not self.state.doubled:
            read_low, read_high = self.zone.bounds(NOW, READ)
            since = read_low, read_high + most_ns
        self.ended = Ended(kind=kind, errno=errno, window_ns=(low, high + most_ns), since_read_ns=since, why=why)

    def _refuse_impatience(self) -> None:
        """TCP gives up by itself what it repeats for too long."""
        for side, patience_ns in self.world.patience_ns.items():
            unacked = f"~unacked {side}"
            if unacked in self.zone.names and self.zone.bounds(NOW, unacked)[1] > patience_ns:
                raise Unpredictable(f"the {side}'s TCP may give up before a heartbeat decides")


def _next_repetition_ns(elapsed_ns: int, rtt_ns: int) -> tuple[int, int]:
    """When something lost so long ago at most is sent again: from now, and from when it was first sent, at the latest.

    The loss probe comes first or not at all, then timeouts that double.
    """
    timeout_ns = LEAST_TIMEOUT_NS + rtt_ns + MEASURED_NS
    starts_ns, wait_ns, whole_ns, number = 0, _rounded_ns(timeout_ns), 2 * _rounded_ns(timeout_ns), 0
    while True:
        following_ns = LEAST_TIMEOUT_NS * ((1 << number) - 1) if number < 12 else starts_ns + LONGEST_TIMEOUT_NS
        if following_ns > elapsed_ns:
            return wait_ns, whole_ns
        starts_ns, number = following_ns, number + 1
        wait_ns = _rounded_ns(min(timeout_ns << (number - 1), LONGEST_TIMEOUT_NS))
        whole_ns += wait_ns


def _rounded_ns(timeout_ns: int) -> int:
    """At the latest, by the timer wheel, at HZ=100 with a timer handler that is a jiffy late."""
    return round(timeout_ns * (1 + ROUNDED)) + 20_000_000
