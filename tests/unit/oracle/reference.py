"""The keepalive timer from one known arming instant, written down as plainly as can be.

No intervals, no forks: everything that `harness.oracle.established.predict` leaves open is given
here. Replaying every arming instant with it is what `predict` must be equal to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, get_args

from harness.oracle import established, timerwheel
from harness.oracle.effects import Effect, Mechanism, Unpredictable, resolve
from harness.oracle.prediction import Settings
from tests.unit.strategies import Case

MECHANISMS: tuple[Mechanism, ...] = get_args(Mechanism)


class World(NamedTuple):
    """All that a prediction does not know.

    `armed_ns`: since jiffy 0 began. `delays_ns`: how late each effect sets in and wears off.
    `lag_jiffies`: how long before arming the last segment came. `late`: how late the next handler
    runs, in jiffies. `lost_beyond_box`: where packets are lost, seen from the middlebox.
    """

    armed_ns: int
    delays_ns: tuple[tuple[int, int], ...]
    lag_jiffies: int = 0
    late: Callable[[], int] = lambda: 0
    lost_beyond_box: bool = False


class ReplayResult(NamedTuple):
    """What came of it; times in nanoseconds after arming, `at_ns` None where nothing was detected.

    `rst` None: whether a RST leaves the host cannot be told; `if_stopped` is the errno where it
    does not.
    """

    kind: str
    errno: str | None
    rst: bool | None
    at_ns: int | None
    probes_ns: tuple[int, ...]
    seen_ns: tuple[int, ...]
    if_stopped: str | None = None

    def told_apart(self) -> tuple[ReplayResult, ...]:
        """Itself, or both that it may be."""
        if self.rst is not None:
            return (self,)
        return self._replace(rst=True), self._replace(rst=False, errno=self.if_stopped)


class Events:
    """Effects with the delays that they had."""

    def __init__(self, effects: tuple[Effect, ...], delays_ns: tuple[tuple[int, int], ...]) -> None:
        self.spans = []
        for effect, (onset, healing) in zip(effects, delays_ns, strict=True):
            begins = round(effect.from_s * 1e9) + onset
            ends = None if effect.until_s is None else round(effect.until_s * 1e9) + healing
            self.spans.append((effect, begins, ends))

    def active(self, at_ns: int, mechanism: Mechanism) -> Effect | None:
        """The effect of that mechanism that is in force."""
        for effect, begins, ends in self.spans:
            if effect.mechanism == mechanism and begins <= at_ns and (ends is None or at_ns < ends):
                return effect
        return None

    def unsettled(self, at_ns: int, mechanisms: tuple[Mechanism, ...] = MECHANISMS) -> bool:
        """Whether one of them is setting in or wearing off."""
        return any(
            edge is not None and edge <= at_ns < edge + round(effect.unsettled_s * 1e9)
            for effect, *edges in self.spans
            for edge in edges
            if effect.mechanism in mechanisms
        )

    def first(self, mechanism: Mechanism) -> tuple[Effect, int] | None:
        """The earliest effect of that mechanism and when it set in."""
        found = [
            (begins, effect) for effect, begins, _ in self.spans if effect.mechanism == mechanism
        ]
        return min(
            ((effect, begins) for begins, effect in found), key=lambda pair: pair[1], default=None
        )


class Middlebox:
    """A table with one entry: the jiffy of the last packet that passed."""

    def __init__(self, effect: Effect, hz: int, last: int) -> None:
        self.then, self.timeout, self.last = effect.then, round((effect.timeout_s or 0) * hz), last

    def forgot(self, now: int) -> bool:
        """Whether a packet finds no entry; one that does renews it."""
        if now - self.last >= self.timeout:
            return True
        self.last = now
        return False


class Replay:
    """One connection. `end` is set when it is over."""

    def __init__(
        self, settings: Settings, hz: int, effects: tuple[Effect, ...], world: World
    ) -> None:
        self.settings, self.world, self.tick = settings, world, timerwheel.tick_ns(hz)
        self.armed = world.armed_ns // self.tick
        self.idle, self.interval = settings.idle_s * hz, settings.interval_s * hz
        self.user_timeout = timerwheel.milliseconds_to_jiffies(settings.user_timeout_ms, hz)
        self.events = Events(effects, world.delays_ns)
        self.received = self.armed - world.lag_jiffies
        self.boxes = [Middlebox(e, hz, self.received) for e in effects if e.mechanism == "expires"]
        self.unanswered = 0
        self.soft_errno: str | None = None
        self.probes: list[int] = []
        self.seen: list[int] = []
        self.end: ReplayResult | None = None

    def follow(self, horizon_ns: int) -> ReplayResult:
        """From arming to the end."""
        closes = self.events.first("peer-closed")
        planned_s = closes[0].from_s if closes else horizon_ns
        closing_ns = closes[1] if closes and round(planned_s * 1e9) <= horizon_ns else None
        expires, clock = self.armed + self.idle, self.armed
        while self.settings.keepalive:
            bucket = timerwheel.fire(expires, clock)
            now = bucket + self.world.late()
            at_ns = now * self.tick - self.world.armed_ns
            if at_ns > horizon_ns or (closing_ns is not None and at_ns >= closing_ns):
                break
            expires, clock = now + self.handle(now, at_ns), bucket + 1
            if self.end is not None:
                return self.end
        self.finish("quiet" if closing_ns is None else "eof", None, None)
        assert self.end is not None
        return self.end

    def handle(self, now: int, at_ns: int) -> int:
        """tcp_keepalive_timer at jiffy `now`: how many jiffies from now it is to run again."""
        elapsed = now - self.received
        if elapsed < self.idle:
            return self.idle - elapsed
        patient = elapsed < self.user_timeout or self.unanswered == 0
        if not patient if self.user_timeout else self.unanswered >= self.settings.count:
            self.abort(at_ns)
        else:
            self.probe(now, at_ns)
        return self.interval

    def abort(self, at_ns: int) -> None:
        """The RST meets what its own host has for it; that is the error where it does not leave."""
        local = self.events.active(at_ns, "lost-locally")
        sent = self.soft_errno or "ETIMEDOUT"
        stopped = (local.errno if local else None) or sent
        if self.events.unsettled(at_ns, ("lost-locally",)):
            self.finish("detected", sent, at_ns, rst=None, if_stopped=stopped)
        else:
            self.finish("detected", sent if local is None else stopped, at_ns, rst=local is None)

    def probe(self, now: int, at_ns: int) -> None:
        """tcp_write_wakeup, and whatever becomes of the segment."""
        self.probes.append(at_ns)
        if self.events.unsettled(at_ns):
            raise Unpredictable
        if local := self.events.active(at_ns, "lost-locally"):
            self.unanswered += 1
            self.soft_errno = local.errno or self.soft_errno
            return
        self.seen.append(at_ns)
        lost = self.events.active(at_ns, "lost") is not None
        if not lost or self.world.lost_beyond_box:
            forgetful = next((box for box in self.boxes if box.forgot(now)), None)
            lost = lost or forgetful is not None
            if forgetful is not None and forgetful.then == "reset":
                self.finish("detected", "ECONNRESET", at_ns)
        if lost or self.events.active(at_ns, "answers-lost"):
            self.unanswered += 1
        elif self.events.active(at_ns, "peer-forgot"):
            self.finish("detected", "ECONNRESET", at_ns)
        else:
            self.received, self.unanswered, self.soft_errno = now, 0, None

    def finish(
        self,
        kind: str,
        errno: str | None,
        at_ns: int | None,
        *,
        rst: bool | None = False,
        if_stopped: str | None = None,
    ) -> None:
        """The end, with everything that was sent until then."""
        self.end = ReplayResult(
            kind, errno, rst, at_ns, tuple(self.probes), tuple(self.seen), if_stopped
        )


def replay(
    settings: Settings, hz: int, effects: tuple[Effect, ...], horizon_ns: int, world: World
) -> ReplayResult:
    """Follow one connection from one known arming instant."""
    return Replay(settings, hz, effects, world).follow(horizon_ns)


def instants(case: Case, delay_ns: int = 0) -> Iterator[int]:
    """Arming instants: each jiffy of the wheel's period, and in it each side of all that could
    matter.
    """
    tick = timerwheel.tick_ns(case.hz)
    edges = {case.horizon_ns + 1}
    for span in resolve(case.effects):
        edges |= {
            edge + after for edge in span.edges_ns for after in (0, span.unsettled_ns, delay_ns)
        }
    within = sorted(
        {0, tick - 1} | {-edge % tick for edge in edges} | {(1 - edge) % tick for edge in edges}
    )
    period = established.phases(case.settings, case.hz)
    for jiffy in range(period, 2 * period):
        for fraction in within:
            yield jiffy * tick + fraction


def replays(case: Case, *, lost_beyond_box: bool) -> Iterator[ReplayResult]:
    """A replay of every arming instant.

    Where it cannot be told if a RST leaves the host, with and without.
    """
    punctual = ((0, 0),) * len(case.effects)
    for armed_ns in instants(case):
        world = World(armed_ns, punctual, lost_beyond_box=lost_beyond_box)
        end = replay(case.settings, case.hz, case.effects, case.horizon_ns, world)
        yield from end.told_apart()


def firewall(timeout_s: float, then: Any) -> Effect:
    """A middlebox that forgets."""
    return Effect(mechanism="expires", timeout_s=timeout_s, then=then)
