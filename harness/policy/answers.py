"""The questions that rules ask about a connection, each answered by the oracle for one HZ, once.

Times count from the last segment that came from the peer, whatever came before it. The widths of
the timer wheel's buckets are in every window.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from harness.oracle import (
    established,
    idle_bounds,
    retransmit_bounds,
)
from harness.oracle.backoff import RETRIES
from harness.oracle.effects import Effect, Unpredictable
from harness.oracle.established_query import Question, limit_ms, longest_ns
from harness.oracle.prediction import Machine, Settings, hull
from harness.policy.settings import Heartbeat

SECOND_NS = 1_000_000_000
MOST_S = 1e9
"""More seconds than anything here takes."""
MOST_FOLLOWED_S = 1000
"""The longest user timeout of which every phase is followed, which takes half a second for each HZ.
"""
MOST_KEPT = 1 << 14
"""So many answers are kept: a fleet repeats its settings."""


class Window(msgspec.Struct, frozen=True):
    """From the earliest to the latest, in nanoseconds."""

    low_ns: int
    high_ns: int


class Idle(msgspec.Struct, frozen=True):
    """An idle connection with keepalive.

    `first_probe`: with a live peer nothing is longer without a packet. `end`: when a silent peer is
    given up. `probes`: how many it is sent before, least and most. `outage_ns`: an outage that
    lasts no longer is survived, whenever it begins.
    """

    first_probe: Window
    end: Window
    probes: tuple[int, int]
    outage_ns: int


@lru_cache(MOST_KEPT)
def idle(settings: Settings, hz: int) -> Idle | None:
    """What keepalive does; None: it is off."""
    if not settings.keepalive:
        return None
    found = idle_bounds.bounds(settings, hz)
    return Idle(Window(*found.first_probe_ns), Window(*found.end_ns), found.probes, found.outage_ns)


@lru_cache(MOST_KEPT)
def sent_again_ns(outage_ns: int, hz: int) -> int:
    """How long after data was sent it is repeated beyond an outage, at most.

    A user timeout or a heartbeat that waits longer outlives the outage for sure.
    """
    return retransmit_bounds.sent_again_ns(outage_ns, hz)


@lru_cache(MOST_KEPT)
def longest_outage_ns(patience_ns: int, hz: int) -> int:
    """The longest outage beyond which data is sent again before so long, to the millisecond."""
    least, most = 0, patience_ns // 1_000_000
    while least < most:
        middle = (least + most + 1) // 2
        if retransmit_bounds.sent_again_ns(middle * 1_000_000, hz) < patience_ns:
            least = middle
        else:
            most = middle - 1
    return least * 1_000_000


def survives_in_flight(settings: Settings, hz: int, outage_ns: int) -> bool:
    """Whether data that was in flight as an outage began outlives it. Raises Unpredictable."""
    limit_ns = limit_ms(settings, hz) * 1_000_000
    if sent_again_ns(outage_ns, hz) <= limit_ns:
        return True
    return outage_ns < limit_ns and delivered(
        settings.user_timeout_ms, hz, outage_ns, settings.retries2
    )


@lru_cache(MOST_KEPT)
def delivered(user_timeout_ms: int, hz: int, outage_ns: int, retries2: int = RETRIES) -> bool:
    """The same, computed in full. Raises Unpredictable."""
    _refuse_long(user_timeout_ms)
    settings = Settings(keepalive=False, user_timeout_ms=user_timeout_ms, retries2=retries2)
    outage = (Effect(mechanism="lost", until_s=outage_ns / SECOND_NS),)
    question = Question(settings, Machine(hz=hz), outage, longest_ns(settings, hz), writes_ns=(0,))
    return all(each.kind == "quiet" for each in established.predict(question).outcomes)


def noticed_in_flight(settings: Settings, hz: int, demand_ns: int) -> tuple[bool, Window]:
    """Whether data in flight is given up within so long, and when.

    The window is exact where only that decides, or else bounds: retransmissions go on for the time
    of `limit_ms` at least. The exact window takes up to half a second to compute. Raises
    Unpredictable where it decides and the user timeout is longer than `MOST_FOLLOWED_S`.
    """
    bounds = in_flight_bounds(settings, hz)
    if demand_ns <= bounds.low_ns:
        return False, bounds
    if demand_ns >= bounds.high_ns:
        return True, bounds
    exact = given_up(settings.user_timeout_ms, hz, settings.retries2)
    return exact.high_ns <= demand_ns, exact


def in_flight_bounds(settings: Settings, hz: int) -> Window:
    """Within which data in flight is given up for sure, at no cost."""
    low_ns, high_ns = limit_ms(settings, hz) * 1_000_000, longest_ns(settings, hz)
    if settings.user_timeout_ms:
        high_ns = min(high_ns, retransmit_bounds.given_up_ns(settings.user_timeout_ms, hz))
    return Window(low_ns, high_ns)


@lru_cache(MOST_KEPT)
def given_up(user_timeout_ms: int, hz: int, retries2: int = RETRIES) -> Window:
    """When data that was in flight as the peer fell silent is given up. Raises Unpredictable."""
    _refuse_long(user_timeout_ms)
    settings, lost = (
        Settings(keepalive=False, user_timeout_ms=user_timeout_ms, retries2=retries2),
        (Effect(mechanism="lost"),),
    )
    found = established.predict(
        Question(settings, Machine(hz=hz), lost, longest_ns(settings, hz), writes_ns=(0,))
    )
    windows = [each.window_ns for each in found.outcomes if each.window_ns is not None]
    return Window(*hull(windows))


def _refuse_long(user_timeout_ms: int) -> None:
    """Raise Unpredictable where all phases of a user timeout would take minutes."""
    if user_timeout_ms > MOST_FOLLOWED_S * 1000:
        raise Unpredictable(
            f"bounds do not decide, and a user timeout of {user_timeout_ms / 1000:g} s is too long "
            f"to be followed ({MOST_FOLLOWED_S} s at most): leave more room between it and the "
            "demand"
        )


def heartbeat_ns(heartbeat: Heartbeat) -> int:
    """How long after the last input a heartbeat gives its peer up, as documented, at most."""
    from harness.model.programs import Simple
    from harness.oracle import heartbeat_rules

    design = Simple(idle_s=heartbeat.every_s, wait_s=heartbeat.timeout_s, misses=heartbeat.misses)
    return heartbeat_rules.documented(design, design, "client").since_input_ns[1]
