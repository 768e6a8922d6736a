"""The keepalive timer from one known arming instant, written down as plainly as can be.

No intervals, no forks: everything that `harness.oracle.keepalive.predict` leaves open is given here. Replaying every
arming instant with it is what `predict` must be equal to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, get_args

from harness.oracle import timerwheel
from harness.oracle.effects import Effect, Mechanism, Unpredictable
from harness.oracle.keepalive import Settings


class World(NamedTuple):
    """All that a prediction does not know.

    `armed_ns`: since jiffy 0 began. `lag_jiffies`: how long before that the last segment came. `late`: how late the
    next handler runs, in jiffies. `delays_ns`: how late each effect sets in and wears off. `lost_beyond_box`: where
    packets are lost, for the middlebox.
    """

    armed_ns: int
    lag_jiffies: int
    late: Callable[[], int]
    delays_ns: tuple[tuple[int, int], ...]
    lost_beyond_box: bool


class End(NamedTuple):
    """What came of it; times in nanoseconds after arming, None for the time of "quiet" and "eof".

    `rst` None: whether a RST leaves the host cannot be told.
    """

    kind: str
    errno: str | None
    rst: bool | None
    at_ns: int | None
    probes_ns: tuple[int, ...]
    seen_ns: tuple[int, ...]


class Middlebox:
    """A table with one entry: the jiffy of the last packet that passed."""

    def __init__(self, timeout_jiffies: int, last: int) -> None:
        self.timeout, self.last = timeout_jiffies, last

    def forgot(self, now: int) -> bool:
        """Whether a packet finds no entry; one that does renews it."""
        if now - self.last >= self.timeout:
            return True
        self.last = now
        return False


def replay(settings: Settings, hz: int, effects: tuple[Effect, ...], horizon_ns: int, world: World) -> End:
    """tcp_keepalive_timer, expiry by expiry."""
    tick = timerwheel.tick_ns(hz)
    armed = world.armed_ns // tick
    idle, interval = settings.idle_s * hz, settings.interval_s * hz
    user_timeout = timerwheel.milliseconds_to_jiffies(settings.user_timeout_ms, hz)
    boxes = [e for e in effects if e.mechanism == "expires"]
    box = Middlebox(round((boxes[0].timeout_s or 0) * hz), armed - world.lag_jiffies) if boxes else None
    probes: list[int] = []
    seen: list[int] = []

    def since_arming(now: int) -> int:
        return now * tick - world.armed_ns

    def active(now: int, mechanism: Mechanism) -> Effect | None:
        for effect, (onset, healing) in zip(effects, world.delays_ns, strict=True):
            begins = round(effect.from_s * 1e9) + onset
            ends = None if effect.until_s is None else round(effect.until_s * 1e9) + healing
            at = since_arming(now)
            if effect.mechanism == mechanism and begins <= at and (ends is None or at < ends):
                return effect
        return None

    def unsettled(now: int, mechanisms: tuple[Mechanism, ...]) -> bool:
        for effect, (onset, healing) in zip(effects, world.delays_ns, strict=True):
            for edge_s, delay_ns in ((effect.from_s, onset), (effect.until_s, healing)):
                since = None if edge_s is None else since_arming(now) - round(edge_s * 1e9) - delay_ns
                if since is not None and 0 <= since < effect.unsettled_s * 1e9 and effect.mechanism in mechanisms:
                    return True
        return False

    def end(kind: str, errno: str | None, now: int | None, *, rst: bool | None = False) -> End:
        at = None if now is None else since_arming(now)
        return End(kind, errno, rst, at, tuple(map(since_arming, probes)), tuple(map(since_arming, seen)))

    closing = min((round(e.from_s * 1e9) for e in effects if e.mechanism == "peer-closed"), default=None)
    closes = closing is not None and closing <= horizon_ns
    delay = next((d for e, (d, _) in zip(effects, world.delays_ns, strict=True) if e.mechanism == "peer-closed"), 0)
    received, unanswered, soft_errno = armed - world.lag_jiffies, 0, None
    expires, clock = armed + idle, armed
    while settings.keepalive:
        bucket = timerwheel.fire(expires, clock)
        now = bucket + world.late()
        if since_arming(now) > horizon_ns or (closes and closing is not None and since_arming(now) >= closing + delay):
            break
        elapsed = now - received
        if elapsed < idle:
            expires, clock = now + (idle - elapsed), bucket + 1
            continue
        if user_timeout:
            gives_up = elapsed >= user_timeout and unanswered > 0
        else:
            gives_up = unanswered >= settings.count
        local = active(now, "lost-locally")
        if gives_up:
            rst = None if unsettled(now, ("lost-locally",)) else local is None
            return end("detected", soft_errno or "ETIMEDOUT", now, rst=rst)
        probes.append(now)
        if unsettled(now, get_args(Mechanism)):
            raise Unpredictable("carrier")
        if local is None:
            seen.append(now)
        lost = active(now, "lost")
        reaches_box = local is None and (lost is None or world.lost_beyond_box)
        forgotten = box is not None and reaches_box and box.forgot(now)
        if forgotten and boxes[0].then == "reset":
            return end("detected", "ECONNRESET", now)
        if local is not None or lost is not None or forgotten or active(now, "answers-lost"):
            unanswered += 1
            soft_errno = (local.errno if local is not None else None) or soft_errno
        elif active(now, "peer-forgot"):
            return end("detected", "ECONNRESET", now)
        else:
            received, unanswered, soft_errno = now, 0, None
        expires, clock = now + interval, bucket + 1
    return end("eof" if closes else "quiet", None, None)
