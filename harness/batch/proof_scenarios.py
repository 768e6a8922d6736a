"""From a question about settings to the plan of one run in virtual time.

In a guest the phase of the kernel's timers can be chosen. So a question is planned at many phases,
which takes the oracle a millisecond each, and the worst is carried out: that in which the peer is
detected latest, the first probe is sent latest, or the outage is not survived.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.errors import HarnessError, ScenarioError
from harness.faults import AnyFault, Blackhole, FirewallIdle
from harness.model.machine import MachineFacts
from harness.model.programs import AnyHeartbeat, IdleTimer, Reaper, Simple
from harness.oracle import established, idle_bounds, timerwheel
from harness.plan import planner
from harness.plan.plan import LEAST_PERIOD, Plan
from harness.policy.proof import Question
from harness.scenario.schema import Endpoint, Expect, Keepalive, Scenario

CUT_S, WRITE_S = 0.24, 0.25
"""When the path is cut, and when data is written into it, in seconds after arming: before the first
probe, which comes after a second or later."""
BEFORE_S = 0.02
"""So much before the first probe, or a heartbeat, an outage begins. A fault may take 5 ms to set
in."""
AFTER_S = 0.05
"""So much after an answered probe, or after data, the path is cut."""
PHASES = 32
"""So many phases are tried, evenly spread, beside those that are the worst for one timer."""
ROUNDS = 5
"""Behind a device a connection is watched for so many first probes."""
DAY_S = 86_400.0
"""How long a connection is watched that nothing should end."""
RESENT_S = 125.0
"""Retransmissions are up to 120 s apart."""
LONG_S = 1_000_000.0
"""Longer than any run here: the silence after which the server of a heartbeat gives up."""

_Trial = tuple[tuple[int, ...], Plan]
"""A plan with how bad it is: the largest is the worst."""


def plan(question: Question, name: str, machine: MachineFacts) -> Plan:
    """The worst run that is found. Raises HarnessError where the oracle covers none."""
    if question.heartbeat is not None and question.side == "server":
        raise HarnessError("expected side = client: in a trial clients send the heartbeats")
    trials = _Trials(question, name, machine)
    found = list(trials.all())
    if not found and question.heartbeat is not None:
        trials.watches_alone = True
        found = list(trials.all())
    if not found:
        raise trials.refusal or HarnessError("expected a trial, found no phase for it")
    return max(found, key=lambda trial: trial[0])[1]


class _Trials:
    """The plans of one question.

    `refusal`: why the last one could not be made. `watches_alone`: the oracle does not cover the
    heartbeat together with the options of its socket, so that a run only shows what happens.
    """

    def __init__(self, question: Question, name: str, machine: MachineFacts) -> None:
        self.question, self.name, self.machine = question, name, machine
        self.settings, self.hz = question.settings, question.hz
        self.beat = question.heartbeat
        self.refusal: HarnessError | None = None
        self.watches_alone = False

    def all(self) -> Iterator[_Trial]:
        """Of the question's kind."""
        kinds = {
            "idle": self._idle,
            "in-flight": self._in_flight,
            "path": self._path,
            "outage-idle": self._outage_idle,
            "outage-in-flight": self._outage_in_flight,
        }
        return kinds[self.question.kind]()

    def _idle(self) -> Iterator[_Trial]:
        cut = Blackhole(at_s=CUT_S)
        if self.beat is not None or not self.settings.keepalive:
            bound_s = DAY_S if self.beat is None else None
            yield from self._one((), (cut,), bound_s=bound_s)
            return
        for phase_ns in self._phases():
            fresh = self._made(phase_ns, (cut,))
            if fresh is None:
                continue
            yield (_end_ns(fresh),), fresh
            # After an answered probe, and after data of the peer, other buckets come together.
            probe_ns = _first_probe_ns(fresh)[1]
            for since_ns, peer_writes_s in ((probe_ns, ()), (probe_ns // 2, (probe_ns / 2e9,))):
                later = Blackhole(at_s=since_ns / 1e9 + AFTER_S)
                made = self._made(phase_ns, (later,), peer_writes_s=peer_writes_s)
                if made is not None:
                    yield (_end_ns(made) - since_ns,), made

    def _in_flight(self) -> Iterator[_Trial]:
        cut = Blackhole(at_s=CUT_S)
        for phase_ns in self._phases():
            made = self._made(phase_ns, (cut,), writes_s=(WRITE_S,))
            if made is not None:
                yield (_end_ns(made),), made

    def _path(self) -> Iterator[_Trial]:
        device = self.question.device
        assert device is not None
        loses = device.pickup != "loose"
        forgets = FirewallIdle(
            timeout_s=device.timeout_s, then=device.then if loses else None, pickup=device.pickup
        )
        if self.beat is not None or not self.settings.keepalive:
            late_s = () if self.beat is not None else (device.timeout_s + 1.0,)
            rounds_s = 0.0 if self.beat is None else ROUNDS * self.beat.every_s
            bound_s = rounds_s + device.timeout_s if self.beat is not None else None
            yield from self._one((), (forgets,), writes_s=late_s, bound_s=bound_s)
            return
        bounds = idle_bounds.bounds(self.settings, self.hz)
        bound_s = (bounds.end_ns[1] + ROUNDS * bounds.first_probe_ns[1]) / 1e9
        for phase_ns in self._phases():
            made = self._made(phase_ns, (forgets,), bound_s=bound_s)
            if made is not None:
                yield (_is_lost(made), _first_probe_ns(made)[1]), made

    def _outage_idle(self) -> Iterator[_Trial]:
        outage_s = self.question.outage_s
        if self.beat is not None:
            begins = Blackhole(at_s=max(self.beat.every_s - BEFORE_S, 0.0), for_s=outage_s)
            yield from self._one((), (begins,))
            return
        if not self.settings.keepalive:
            yield from self._one((), (Blackhole(at_s=CUT_S, for_s=outage_s),))
            return
        for phase_ns in self._phases():
            fresh = self._made(phase_ns, (Blackhole(at_s=CUT_S),))
            if fresh is None:
                continue
            first_ns = _first_probe_ns(fresh)[0]
            begins = Blackhole(at_s=first_ns / 1e9 - BEFORE_S, for_s=outage_s)
            made = self._made(phase_ns, (begins,))
            if made is not None:
                yield (_is_lost(made), first_ns - _end_ns(fresh)), made

    def _outage_in_flight(self) -> Iterator[_Trial]:
        outage = Blackhole(at_s=CUT_S, for_s=self.question.outage_s)
        for phase_ns in self._phases():
            made = self._made(phase_ns, (outage,), writes_s=(WRITE_S,))
            if made is not None:
                yield (_is_lost(made), _end_ns(made)), made

    # --- one plan -------------------------------------------------------------------------------

    def _one(
        self,
        badness: tuple[int, ...],
        faults: tuple[AnyFault, ...],
        *,
        writes_s: tuple[float, ...] = (),
        bound_s: float | None = None,
    ) -> Iterator[_Trial]:
        """Where no timer of keepalive decides."""
        made = self._made(timerwheel.tick_ns(self.hz) // 2, faults, writes_s, bound_s=bound_s)
        if made is not None:
            yield badness, made

    def _made(
        self,
        phase_ns: int,
        faults: tuple[AnyFault, ...],
        writes_s: tuple[float, ...] = (),
        *,
        peer_writes_s: tuple[float, ...] = (),
        bound_s: float | None = None,
    ) -> Plan | None:
        """None where the oracle does not cover it."""
        side = self.question.side
        client, server = self._heartbeats()
        observed = Endpoint(
            keepalive=self._keepalive(),
            user_timeout_s=self.settings.user_timeout_ms / 1000,
            retries2=self.settings.retries2,
            writes_at_s=writes_s,
            heartbeat=client,
        )
        peer = Endpoint(writes_at_s=peer_writes_s, heartbeat=server)
        scenario = Scenario(
            name=self.name,
            client=observed if side == "client" else peer,
            server=peer if side == "client" else observed,
            faults=faults,
            expect=self._watched(faults)
            if self.watches_alone
            else Expect(side=side, window="exact", phase_ns=phase_ns, bound_s=bound_s),
        )
        try:
            return planner.make(scenario, self.machine)
        except ScenarioError as error:
            self.refusal = error
            return None

    def _watched(self, faults: tuple[AnyFault, ...]) -> Expect:
        """A claim that lets a run be judged without the oracle: lost once the heartbeat must have
        given up, or kept until long after.
        """
        beat = self.beat
        assert beat is not None
        patience_s = beat.every_s + beat.misses * beat.timeout_s
        if self.question.kind in ("idle", "in-flight"):
            return Expect(outcome="noticed", window_s=(0.0, WRITE_S + patience_s + 1))
        ends_s = max((fault.until_s or 0.0 for fault in faults), default=0.0)
        device = self.question.device
        rounds_s = ROUNDS * patience_s + (0 if device is None else device.timeout_s)
        return Expect(outcome="survives", bound_s=2 * ends_s + rounds_s + RESENT_S)

    def _keepalive(self) -> Keepalive | bool:
        if not self.settings.keepalive:
            return False
        return Keepalive(
            idle_s=self.settings.idle_s,
            interval_s=self.settings.interval_s,
            count=self.settings.count,
        )

    def _heartbeats(self) -> tuple[AnyHeartbeat | None, AnyHeartbeat | None]:
        """Of the client and of the server."""
        beat = self.beat
        if beat is None:
            return None, None
        if beat.apart:
            timer = IdleTimer(idle_s=beat.every_s, retry_s=beat.timeout_s, tries=beat.misses)
            return timer, Reaper(silence_s=LONG_S)
        design = Simple(idle_s=beat.every_s, wait_s=beat.timeout_s, misses=beat.misses)
        return design, design

    def _phases(self) -> list[int]:
        """Instants of arming, in the middle of a jiffy, in nanoseconds after a multiple of the
        timer wheel's period.

        A timer is latest where the jiffy that it was asked for begins a bucket.
        """
        idle = timerwheel.seconds_to_jiffies(self.settings.idle_s, self.hz)
        interval = timerwheel.seconds_to_jiffies(self.settings.interval_s, self.hz)
        period = max(LEAST_PERIOD, established.phases(self.settings, self.hz))
        found = {period * number // PHASES for number in range(PHASES)}
        for ask in (idle, idle + interval):
            for width in (timerwheel.granularity(idle), timerwheel.granularity(interval - 1)):
                found |= {(-ask + off) % width for off in (-1, 0, 1)}
        tick = timerwheel.tick_ns(self.hz)
        return [jiffy * tick + tick // 2 for jiffy in sorted(found)]


def _end_ns(made: Plan) -> int:
    """When it is lost at the latest, after arming; 0 where it is kept."""
    return max((each.window_ns[1] for each in made.expected if each.window_ns), default=0)


def _is_lost(made: Plan) -> int:
    """Whether it surely is: 1 or 0."""
    return int(all(each.window_ns is not None for each in made.expected))


def _first_probe_ns(made: Plan) -> tuple[int, int]:
    """When the first probe is sent."""
    probes = () if made.prediction is None else made.prediction.probe_windows_ns
    return probes[0] if probes else (0, 0)
