"""What the unit tests draw from: Hypothesis strategies for settings, effects and whole
scenarios.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from hypothesis import HealthCheck, assume
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from harness.fuzz import strategies as fuzzed
from harness.oracle import timerwheel
from harness.oracle.effects import Effect, Mechanism
from harness.oracle.established import phases
from harness.oracle.prediction import Settings
from harness.scenario.schema import OutcomeName, Scenario
from harness.scenario.validation import problems
from tests.running import EXHAUSTIVE

PATIENT = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For every property: how long an example takes says more about the machine than about the code."""


def sweep(examples: int, *, exhaustively: int) -> hypothesis_settings:
    """For a property that takes long: so many examples as reach each branch of what is tested, or
    many more.
    """
    return hypothesis_settings(PATIENT, max_examples=exhaustively if EXHAUSTIVE else examples)


KERNEL_HZS = (100, 250, 300, 1000)
"""CONFIG_HZ, jiffies a second."""
HZS = (4, 10, 25, *KERNEL_HZS)
"""And coarser ticks that no kernel has: with them the wheel's period is short enough to try every
phase.
"""


CUTS: tuple[Mechanism, ...] = ("lost", "lost-locally", "answers-lost")
MECHANISMS: tuple[Mechanism, ...] = (
    *CUTS,
    *CUTS,
    "peer-forgot",
    "peer-closed",
    "peer-frozen",
    "expires",
)
"""With weight on those that matter most."""


class Case(NamedTuple):
    """A question to the oracle."""

    settings: Settings
    hz: int
    effects: tuple[Effect, ...]
    horizon_ns: int


@st.composite
def seconds_on_a_level(draw: st.DrawFn, hz: int, highest: int) -> int:
    """Whole seconds, so drawn that the wheel's levels up to `highest` are all likely where `hz`
    lets them be.
    """
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
    """Nanoseconds after arming, mostly where some phases have sent a probe already and others have
    not.
    """
    tick = timerwheel.tick_ns(hz)
    idle, interval = given.idle_s * hz, given.interval_s * hz
    step = timerwheel.fire(interval, 1)
    jiffies = idle + draw(st.integers(0, given.count + 2)) * step
    jiffies += draw(
        st.integers(0, 1 + timerwheel.granularity(idle)) | st.integers(-interval, interval)
    )
    within = draw(st.sampled_from((0, 0, 1, tick // 2, tick - 1)))
    return max(0, jiffies * tick + within)


@st.composite
def effects(draw: st.DrawFn, given: Settings, hz: int) -> Effect:
    """One effect with times near the probes of the given settings."""
    mechanism = draw(st.sampled_from(MECHANISMS))
    if mechanism == "expires":
        near = draw(
            st.sampled_from((given.idle_s, given.interval_s, given.idle_s + given.interval_s))
        )
        timeout = max(1, near + draw(st.integers(-2, 3 + phases(given, hz) // hz)))
        return Effect(
            mechanism="expires", timeout_s=timeout, then=draw(st.sampled_from(("drop", "reset")))
        )
    onset = draw(st.just(0) | moments_ns(given, hz))
    until = None
    if mechanism not in ("peer-forgot", "peer-closed") and draw(st.booleans()):
        ends = draw(
            moments_ns(given, hz)
            | st.integers(1, timerwheel.tick_ns(hz) * 9).map(lambda ns: onset + ns)
        )
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


@st.composite
def blips(draw: st.DrawFn, *, hzs: tuple[int, ...] = HZS, highest_level: int = 3) -> Case:
    """One outage, over when some phases have sent their last probe and others have not."""
    hz = draw(st.sampled_from(hzs))
    given = draw(settings(hz, highest_level=highest_level))
    idle, interval = given.idle_s * hz, given.interval_s * hz
    last_probe = idle + (given.count - 1) * timerwheel.fire(interval, 1)
    width = max(timerwheel.granularity(idle), timerwheel.granularity(interval))
    tick = timerwheel.tick_ns(hz)
    healed_ns = (last_probe + draw(st.integers(0, 1 + width))) * tick + draw(
        st.sampled_from((0, 1, tick - 1))
    )
    mechanism = draw(st.sampled_from(CUTS))
    onset_ns = draw(st.just(0) | st.integers(0, healed_ns - 1))
    outage = Effect(mechanism=mechanism, from_s=onset_ns / 1e9, until_s=healed_ns / 1e9)
    horizon_s = (
        idle / hz + (given.count + 3) * (interval + width) / hz + given.user_timeout_ms / 1000
    )
    return Case(given, hz, (outage,), round(horizon_s * 1e9))


# --- scenarios ----------------------------------------------------------------------------------

names = st.from_regex(
    r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,9}(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,9}){0,2}", fullmatch=True
)
seconds = st.integers(0, 10_000_000).map(float) | st.floats(0, 10_000_000)
durations = st.integers(1, 10_000_000).map(float) | st.floats(0.001, 10_000_000)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """Any sound scenario of differential testing, whatever it claims.

    Each outage is a fault of its own, as the loader leaves it.
    """
    drawn = draw(fuzzed.scenarios()).scenario
    outcome: OutcomeName = draw(
        st.sampled_from(("as-predicted", "detected", "eof", "survives", "never"))
    )
    fails, passes = outcome == "detected", outcome in ("survives", "never")
    window = st.lists(seconds, min_size=2, max_size=2).map(lambda pair: (min(pair), max(pair)))
    errnos = st.none() | st.sampled_from(("ETIMEDOUT", "ECONNRESET", "ENETUNREACH"))
    origins = ("armed", "last-received", "fault" if drawn.faults else "armed")
    expect = msgspec.structs.replace(
        drawn.expect,
        outcome=outcome,
        errno=draw(errnos) if fails or outcome == "as-predicted" else None,
        window_s=None if passes else draw(st.none() | window),
        origin=draw(st.sampled_from(origins)),
        bound_s=draw(st.none() | durations) if passes else None,
    )
    scenario = msgspec.structs.replace(
        drawn,
        name=draw(st.just("") | names),
        summary=draw(st.text(max_size=20)),
        faults=tuple(outage for fault in drawn.faults for outage in fault.outages()),
        expect=expect,
    )
    assume(not any(problems(scenario)))
    return scenario


# --- anything but scenarios ---------------------------------------------------------------------

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.just(10**400)
)
garbage = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
)
"""Whatever JSON can hold, and NaN."""


@st.composite
def near_misses(draw: st.DrawFn, mapping: dict[str, object]) -> dict[str, object]:
    """A mapping with one value somewhere replaced, removed or added."""
    tables: list[dict[str, object]] = []

    def gather(value: object) -> None:
        if isinstance(value, dict):
            tables.append(value)
        for inner in (
            value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        ):
            gather(inner)

    gather(mapping)
    table = draw(st.sampled_from(tables))
    key = draw(st.sampled_from(sorted(table)) | st.text(max_size=9)) if table else "x"
    if key in table and draw(st.booleans()):
        del table[key]
    else:
        table[key] = draw(garbage)
    return mapping
