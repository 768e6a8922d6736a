"""What an idle connection does after its peer's last segment, whatever came before: bounds over all
histories.
"""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st

from harness.oracle import established
from harness.oracle.effects import Effect, Unpredictable
from harness.oracle.established_query import Question
from harness.oracle.idle_bounds import Expiries, bounds, counted_ms
from harness.oracle.prediction import Machine, Prediction, Settings, hull
from tests.unit.strategies import sweep

HZ = st.sampled_from((100, 250, 300, 1000))
SECOND_NS = 1_000_000_000
PHASES_NS = st.integers(0, 1 << 42)
LOST = Effect(mechanism="lost")


def settings() -> st.SearchStrategy[Settings]:
    """Of keepalive, with a user timeout or without."""
    return st.builds(
        Settings,
        idle_s=st.integers(1, 400),
        interval_s=st.integers(1, 90),
        count=st.integers(1, 5),
        user_timeout_ms=st.one_of(st.just(0), st.integers(1000, 400_000)),
    )


def horizon_ns(chosen: Settings) -> int:
    """More than it can take."""
    nominal_ns = (chosen.idle_s + (chosen.count + 2) * chosen.interval_s) * SECOND_NS
    return 2 * (nominal_ns + chosen.user_timeout_ms * 1_000_000) + 10 * SECOND_NS


def end_ns(found: Prediction) -> tuple[int, int]:
    """Over all outcomes."""
    return hull([each.window_ns for each in found.outcomes if each.window_ns is not None])


def silent_from(
    chosen: Settings, machine: Machine, cut_ns: int, *, peer_writes_ns: tuple[int, ...] = ()
) -> Prediction:
    """All is lost from then on."""
    lost = (Effect(mechanism="lost", from_s=cut_ns / 1e9),)
    question = Question(
        chosen, machine, lost, cut_ns + horizon_ns(chosen), peer_writes_ns=peer_writes_ns
    )
    return established.predict(question)


@sweep(60, exhaustively=3000)
@given(settings(), HZ)
def test_a_connection_that_was_just_armed_keeps_them(chosen: Settings, hz: int) -> None:
    """At every phase."""
    found = established.predict(Question(chosen, Machine(hz=hz), (LOST,), horizon_ns(chosen)))
    limits, (low_ns, high_ns) = bounds(chosen, hz), end_ns(found)
    assert limits.end_ns[0] <= low_ns
    assert high_ns <= limits.end_ns[1]
    assert limits.first_probe_ns[0] <= found.probe_windows_ns[0][0]
    assert found.probe_windows_ns[0][1] <= limits.first_probe_ns[1]
    assert limits.probes[0] <= min(each.probes[0] for each in found.outcomes)
    assert max(each.probes[1] for each in found.outcomes) <= limits.probes[1]
    if not chosen.user_timeout_ms and chosen.idle_s > 2 * chosen.interval_s:
        assert high_ns == limits.end_ns[1]


@sweep(80, exhaustively=3000)
@given(settings(), HZ, PHASES_NS, st.floats(0.001, 1.05))
def test_one_whose_peer_wrote_while_the_timer_ran_keeps_them(
    chosen: Settings, hz: int, phase_ns: int, share: float
) -> None:
    """The timer is then set for the rest of the idle time, in a narrower bucket."""
    wrote_ns = round(chosen.idle_s * share * SECOND_NS)
    try:
        found = silent_from(
            chosen, Machine(hz=hz, phase_ns=phase_ns), wrote_ns + 1, peer_writes_ns=(wrote_ns,)
        )
    except Unpredictable:
        reject()
    (low_ns, high_ns), limits = end_ns(found), bounds(chosen, hz)
    assert limits.end_ns[0] <= low_ns - wrote_ns + 1
    assert high_ns - wrote_ns <= limits.end_ns[1] + 1


@sweep(80, exhaustively=3000)
@given(settings(), HZ, PHASES_NS, st.integers(0, 3))
def test_one_whose_last_segment_answered_a_probe_keeps_them(
    chosen: Settings, hz: int, phase_ns: int, number: int
) -> None:
    """The next probe comes an interval later where that is longer than the idle time."""
    machine = Machine(hz=hz, phase_ns=phase_ns)
    watched_ns = 12 * (chosen.idle_s + chosen.interval_s) * SECOND_NS
    alive = established.predict(Question(chosen, machine, (), watched_ns)).probe_windows_ns
    answered_ns = alive[number][1]
    found = silent_from(chosen, machine, (answered_ns + alive[number + 1][0]) // 2)
    (low_ns, high_ns), limits = end_ns(found), bounds(chosen, hz)
    assert limits.end_ns[0] <= low_ns - answered_ns + 1
    assert high_ns - answered_ns <= limits.end_ns[1] + 1
    assert alive[number + 1][1] - answered_ns <= limits.first_probe_ns[1] + 1


@sweep(60, exhaustively=3000)
@given(settings(), HZ, st.floats(0.9, 1.0), st.floats(0.0, 1.0))
def test_an_outage_is_survived_whenever_it_begins(
    chosen: Settings, hz: int, share: float, begins: float
) -> None:
    """At every phase, also just before the first probe."""
    limits = bounds(chosen, hz)
    assume(limits.outage_ns)
    from_s = limits.first_probe_ns[1] * begins / 1e9
    until_s = from_s + int(limits.outage_ns * share) / 1e9
    outage = Effect(mechanism="lost", from_s=from_s, until_s=until_s)
    found = established.predict(Question(chosen, Machine(hz=hz), (outage,), 2 * horizon_ns(chosen)))
    assert [each.kind for each in found.outcomes] == ["quiet"]


def test_an_outage_just_before_the_first_probe_takes_all_of_them() -> None:
    """A second more than what is survived for sure."""
    chosen = Settings(idle_s=60, interval_s=10, count=6)
    until_s = 59.9 + bounds(chosen, 1000).outage_ns / 1e9 + 1
    outage = Effect(mechanism="lost", from_s=59.9, until_s=until_s)
    found = established.predict(Question(chosen, Machine(hz=1000), (outage,), 10**12))
    assert "detected" in {each.kind for each in found.outcomes}


@pytest.mark.parametrize(
    ("chosen", "high_s"),
    [
        (Settings(idle_s=340, interval_s=10, count=3), 403.488),
        (Settings(), 8162.56),
        (Settings(idle_s=5, interval_s=10, count=2), 10.512 + 2 * 10.24),
        (Settings(idle_s=15, interval_s=15, count=9, user_timeout_ms=120_000), 123.032),
    ],
    ids=["340/10/3", "Linux's defaults", "an interval longer than the idle time", "a user timeout"],
)
def test_the_latest_end_at_1000_hz(chosen: Settings, high_s: float) -> None:
    """As measured, but for the third: there an answered probe came first."""
    assert bounds(chosen, 1000).end_ns[1] / 1e9 == pytest.approx(high_s, abs=1e-6)


@sweep(100, exhaustively=3000)
@given(settings(), HZ, st.integers(-3, 3), st.sampled_from((0, 1)))
def test_a_user_timeout_changes_nothing_between_two_limits_alone(
    chosen: Settings, hz: int, more_ms: int, which: int
) -> None:
    """To the millisecond, where there is such a timeout at all."""
    least_ms, most_ms = limits_ms = counted_ms(chosen, hz)
    assume(chosen.count > 1)
    user_timeout_ms = limits_ms[which] + more_ms
    with_it = msgspec.structs.replace(chosen, user_timeout_ms=user_timeout_ms)
    without = msgspec.structs.replace(chosen, user_timeout_ms=0)
    is_same = bounds(with_it, hz).end_ns == bounds(without, hz).end_ns
    assert is_same == (least_ms <= user_timeout_ms <= most_ms)


@sweep(100, exhaustively=3000)
@given(st.integers(1, 32766), st.integers(1, 32766), HZ, st.integers(0, 3), st.sampled_from((0, 1)))
def test_no_expiry_comes_earlier_as_times_grow(
    idle_s: int, interval_s: int, hz: int, number: int, more_idle_s: int
) -> None:
    """So that a search may stop at the first settings that are too slow."""
    shorter = Expiries(idle_s, interval_s, hz)
    longer = Expiries(idle_s + more_idle_s, interval_s + 1 - more_idle_s, hz)
    assert longer.latest(number) >= shorter.latest(number)
    assert longer.earliest(number) >= shorter.earliest(number)
    assert longer.step >= shorter.step
    assert shorter.latest(3) == shorter.latest(1) + 2 * shorter.step
    assert shorter.earliest(3) == shorter.earliest(1) + 2 * shorter.step
