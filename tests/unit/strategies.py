"""What the unit tests draw from: Hypothesis strategies for settings, effects and whole scenarios."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import strategies as st

from harness.oracle import timerwheel
from harness.oracle.effects import Effect
from harness.oracle.keepalive import Settings, phases

HZS = (4, 10, 25, 100, 250, 1000)
"""CONFIG_HZ, and coarser ticks that no kernel has: with them the wheel's period is short enough to try every phase."""


class Case(NamedTuple):
    """A question to the oracle."""

    settings: Settings
    hz: int
    effects: tuple[Effect, ...]
    horizon_ns: int


@st.composite
def seconds_on_a_level(draw: st.DrawFn, hz: int, highest: int) -> int:
    """Whole seconds, so drawn that the wheel's levels up to `highest` are all likely where `hz` lets them be."""
    level = draw(st.integers(0, highest))
    least = max(1, -(-63 * 8 ** (level - 1) // hz)) if level else 1
    most = max(least, (63 * 8**level - 1) // hz)
    return draw(st.integers(least, most))


@st.composite
def settings(draw: st.DrawFn, hz: int, *, highest_level: int = 3) -> Settings:
    """Settings whose wheel period is 8**highest_level jiffies at most."""
    idle = draw(seconds_on_a_level(hz, highest_level))
    interval = draw(seconds_on_a_level(hz, highest_level))
    count = draw(st.integers(1, 4))
    timeout = draw(
        st.just(0)
        | st.integers(1, 3 * 1000 * (idle + interval))
        | st.integers(0, count + 1).map(lambda probes: 1000 * (idle + probes * interval))
    )
    return Settings(idle_s=idle, interval_s=interval, count=count, user_timeout_ms=timeout)


@st.composite
def moments_ns(draw: st.DrawFn, given: Settings, hz: int) -> int:
    """Nanoseconds after arming, mostly where some phases have sent a probe already and others have not."""
    tick = timerwheel.tick_ns(hz)
    idle, interval = given.idle_s * hz, given.interval_s * hz
    step = timerwheel.fire(interval, 1)
    jiffies = idle + draw(st.integers(0, given.count + 2)) * step
    jiffies += draw(st.integers(0, 1 + timerwheel.granularity(idle)) | st.integers(-interval, interval))
    within = draw(st.sampled_from((0, 0, 1, tick // 2, tick - 1)))
    return max(0, jiffies * tick + within)


@st.composite
def effects(draw: st.DrawFn, given: Settings, hz: int) -> Effect:
    """One effect with times near the probes of the given settings."""
    mechanism = draw(
        st.sampled_from(
            ("lost", "lost", "lost", "lost-locally", "lost-locally", "answers-lost")
            + ("peer-forgot", "peer-closed", "peer-frozen", "expires")
        )
    )
    if mechanism == "expires":
        near = draw(st.sampled_from((given.idle_s, given.interval_s, given.idle_s + given.interval_s)))
        timeout = max(1, near + draw(st.integers(-2, 3 + phases(given, hz) // hz)))
        return Effect(mechanism="expires", timeout_s=timeout, then=draw(st.sampled_from(("drop", "reset"))))
    onset = draw(st.just(0) | moments_ns(given, hz))
    until = None
    if mechanism not in ("peer-forgot", "peer-closed") and draw(st.booleans()):
        ends = draw(moments_ns(given, hz) | st.integers(1, timerwheel.tick_ns(hz) * 9).map(lambda ns: onset + ns))
        until = ends if ends > onset else None
    return Effect(
        mechanism=mechanism,
        from_s=onset / 1e9,
        until_s=None if until is None else until / 1e9,
        unsettled_s=draw(st.sampled_from((0.0,) * 9 + (0.1,))),
        errno=draw(st.sampled_from((None, "ENETUNREACH"))) if mechanism == "lost-locally" else None,
    )


@st.composite
def cases(draw: st.DrawFn, *, hzs: tuple[int, ...] = HZS, highest_level: int = 3) -> Case:
    """Settings, up to three effects, and a horizon that cuts some of it off now and then."""
    hz = draw(st.sampled_from(hzs))
    given = draw(settings(hz, highest_level=highest_level))
    happening = tuple(draw(st.lists(effects(given, hz), min_size=1, max_size=3)))
    longest = given.idle_s + (given.count + 3) * given.interval_s
    rounding = phases(given, hz) * (given.count + 4) / hz
    last_s = max([0.0, *(e.from_s for e in happening), *(e.until_s or 0.0 for e in happening)])
    horizon_s = (last_s + longest + rounding) * draw(st.sampled_from((1.0, 1.0, 1.0, 0.5)))
    return Case(given, hz, happening, round(horizon_s * 1e9))
