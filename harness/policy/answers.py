"""The questions that rules ask about a connection, each answered by the oracle for one HZ, once.

Times count from the last segment that came from the peer, which is when the kernel's timers were
set; all is silent from then on. The widths of the timer wheel's buckets are in every window.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from harness.model.programs import Simple
from harness.oracle import established, heartbeat_rules, timerwheel
from harness.oracle.effects import Effect
from harness.oracle.established_query import Question, limit_ms, longest_ns
from harness.oracle.prediction import Machine, Prediction, Settings, hull
from harness.policy.settings import Heartbeat

SECOND_NS = 1_000_000_000
MOST_KEPT = 1 << 14
"""So many answers are kept: a fleet repeats its settings."""
PERIODS = 4
"""A live peer is watched for so many probes: the first, and others as far apart as all that follow."""


class Window(msgspec.Struct, frozen=True):
    """From the earliest to the latest, in nanoseconds."""

    low_ns: int
    high_ns: int


class Detection(msgspec.Struct, frozen=True):
    """When keepalive gives up a silent peer.

    `probes`: how many it sends before that, least and most.
    """

    window: Window
    probes: tuple[int, int]


@lru_cache(MOST_KEPT)
def detection(settings: Settings, hz: int) -> Detection | None:
    """Of an idle connection; None: keepalive is off. Raises Unpredictable."""
    found = _silent(settings, hz)
    ends = [each for each in found.outcomes if each.window_ns is not None]
    if not ends:
        return None
    window = hull([each.window_ns for each in ends if each.window_ns is not None])
    least, most = min(each.probes[0] for each in ends), max(each.probes[1] for each in ends)
    return Detection(Window(*window), (least, most))


@lru_cache(MOST_KEPT)
def first_probe(settings: Settings, hz: int) -> Window | None:
    """Of an idle connection; None: keepalive is off. Raises Unpredictable."""
    windows = _alive(settings, hz).probe_windows_ns
    return Window(*windows[0]) if windows else None


@lru_cache(MOST_KEPT)
def silence(settings: Settings, hz: int) -> Window | None:
    """How long an idle connection with a live peer is without a packet, at any time.

    The earliest end is that of the first probe. None: keepalive is off, and nothing ends it. Raises
    Unpredictable.
    """
    found = _alive(settings, hz)
    if not found.probe_windows_ns:
        return None
    low, high = found.probe_windows_ns[0]
    return Window(low, max(high, *(most for _, most in found.probe_gaps_ns)))


@lru_cache(MOST_KEPT)
def last_probe(settings: Settings, hz: int) -> int | None:
    """How long an outage may last, in nanoseconds: until the earliest last probe.

    Lower than that by up to an interval where the phase decides how many probes there are
    (TCP_USER_TIMEOUT). None: keepalive is off, and every outage is survived.
    """
    found, gives_up = _silent(settings, hz), detection(settings, hz)
    if gives_up is None:
        return None
    least = gives_up.probes[0]
    if least <= len(found.probe_windows_ns):
        return found.probe_windows_ns[least - 1][0]
    return gives_up.window.low_ns - found.probe_gaps_ns[-1][1]


@lru_cache(MOST_KEPT)
def survives(settings: Settings, hz: int, outage_ns: int) -> bool:
    """Whether an idle connection outlives such an outage at every phase. Raises Unpredictable."""
    outage = Effect(mechanism="lost", until_s=outage_ns / SECOND_NS)
    found = established.predict(Question(settings, Machine(hz=hz), (outage,), outage_ns + _horizon_ns(settings)))
    return all(each.kind == "quiet" for each in found.outcomes)


def noticed_in_flight(settings: Settings, hz: int, demand_ns: int) -> tuple[bool, Window]:
    """Whether data in flight is given up within so long, and when.

    The window is exact where only that decides, or else bounds: retransmissions go on for the time
    of `limit_ms` at least. The exact window takes up to seconds to compute. Raises Unpredictable.
    """
    bounds = in_flight_bounds(settings, hz)
    if demand_ns <= bounds.low_ns:
        return False, bounds
    if demand_ns >= bounds.high_ns:
        return True, bounds
    exact = given_up(settings.user_timeout_ms, hz)
    return exact.high_ns <= demand_ns, exact


def in_flight_bounds(settings: Settings, hz: int) -> Window:
    """Within which data in flight is given up for sure, at no cost.

    The timer of the last retransmission is set for no longer than the user timeout, and is rounded
    up to the width of its bucket; the loss probe and the first retransmission come before.
    """
    low_ns, high_ns = limit_ms(settings, hz) * 1_000_000, longest_ns(settings, hz)
    if settings.user_timeout_ms:
        width = timerwheel.granularity(timerwheel.milliseconds_to_jiffies(settings.user_timeout_ms, hz))
        high_ns = min(high_ns, low_ns + width * timerwheel.tick_ns(hz) + SECOND_NS)
    return Window(low_ns, high_ns)


@lru_cache(MOST_KEPT)
def given_up(user_timeout_ms: int, hz: int) -> Window:
    """When data that was in flight as the peer fell silent is given up. Raises Unpredictable."""
    settings, lost = Settings(keepalive=False, user_timeout_ms=user_timeout_ms), (Effect(mechanism="lost"),)
    found = established.predict(Question(settings, Machine(hz=hz), lost, longest_ns(settings, hz), writes_ns=(0,)))
    windows = [each.window_ns for each in found.outcomes if each.window_ns is not None]
    return Window(*hull(windows))


def heartbeat_ns(heartbeat: Heartbeat) -> int:
    """How long after the last input a heartbeat gives its peer up, as documented, at most."""
    design = Simple(idle_s=heartbeat.every_s, wait_s=heartbeat.timeout_s, misses=heartbeat.misses)
    return heartbeat_rules.documented(design, design, "client").since_input_ns[1]


@lru_cache(MOST_KEPT)
def _silent(settings: Settings, hz: int) -> Prediction:
    """A peer that is silent for ever."""
    lost = (Effect(mechanism="lost"),)
    return established.predict(Question(settings, Machine(hz=hz), lost, _horizon_ns(settings)))


@lru_cache(MOST_KEPT)
def _alive(settings: Settings, hz: int) -> Prediction:
    """A peer that answers every probe."""
    horizon_ns = PERIODS * 2 * (settings.idle_s + settings.interval_s) * SECOND_NS
    return established.predict(Question(settings, Machine(hz=hz), (), horizon_ns))


def _horizon_ns(settings: Settings) -> int:
    """More than it can take until keepalive gives up."""
    nominal_ns = (settings.idle_s + (settings.count + 2) * settings.interval_s) * SECOND_NS
    return 2 * (nominal_ns + settings.user_timeout_ms * 1_000_000) + 10 * SECOND_NS
