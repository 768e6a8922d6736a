"""The oracle on idle established connections against replays of every arming instant: exact, and no
wider.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from harness.oracle import established, timerwheel
from harness.oracle.effects import Effect, Unpredictable
from harness.oracle.established import predict
from harness.oracle.established_query import Question
from harness.oracle.prediction import MAX_PROBE_WINDOWS, Machine, Outcome, Prediction, Settings
from tests.unit import strategies
from tests.unit.oracle.reference import ReplayResult, World, firewall, instants, replay, replays
from tests.unit.strategies import Case, sweep

SECOND_NS = 1_000_000_000
SILENCE = Effect(mechanism="lost")
"""Nothing gets through, from arming on."""
SMP = Machine(hz=250, late_jiffies=1, arming_lag_ns=50_000_000, injection_ns=50_000_000)
"""A machine in real time."""


Kind = tuple[str, str | None, bool | None]
"""Of an end: what was detected, the errno, and whether a RST left the host."""
Window = tuple[int, int]
Summary = tuple[dict[Kind, list[Window | None]], list[Window]]


def _hull_of_replays(ends: Iterator[ReplayResult]) -> Summary:
    """By outcome: the extremes of its time, of the number of probes and of those seen.

    And each probe's extremes.
    """
    kinds: dict[Kind, list[ReplayResult]] = {}
    windows: list[Window] = []
    for end in ends:
        kinds.setdefault(end[:3], []).append(end)
        for index, at_ns in enumerate(end.seen_ns[:MAX_PROBE_WINDOWS]):
            if index == len(windows):
                windows.append((at_ns, at_ns))
            windows[index] = (min(windows[index][0], at_ns), max(windows[index][1], at_ns))
    hull: dict[Kind, list[Window | None]] = {}
    for kind, alike in kinds.items():
        times = [end.at_ns for end in alike if end.at_ns is not None]
        probes, seen = [len(end.probes_ns) for end in alike], [len(end.seen_ns) for end in alike]
        hull[kind] = [
            (min(times), max(times)) if times else None,
            (min(probes), max(probes)),
            (min(seen), max(seen)),
        ]
    return hull, windows


def _hull_predicted(prediction: Prediction) -> Summary:
    """The same of a prediction, whose windows exclude their lower end."""
    hull: dict[Kind, list[Window | None]] = {}
    for outcome in prediction.outcomes:
        window = outcome.window_ns if outcome.kind == "detected" else None
        hull[outcome.kind, outcome.errno, outcome.rst] = [
            None if window is None else (window[0] + 1, window[1]),
            outcome.probes,
            outcome.probes_seen,
        ]
    return hull, [(low + 1, high) for low, high in prediction.probe_windows_ns]


def _assert_exact(case: Case) -> str:
    """Compare, and say what kind of case it was."""
    try:
        prediction = predict(
            Question(case.settings, Machine(hz=case.hz), case.effects, case.horizon_ns)
        )
    except Unpredictable as reason:
        if "change of carrier" in str(reason):
            with pytest.raises(Unpredictable):
                list(replays(case, lost_beyond_box=False))
        return f"unpredictable: {reason}"
    expires = any(effect.mechanism == "expires" for effect in case.effects)
    for beyond in (False, True)[: 1 + expires]:
        assert _hull_predicted(prediction) == _hull_of_replays(
            replays(case, lost_beyond_box=beyond)
        )
    return f"{len(prediction.outcomes)} outcomes"


@pytest.mark.slow
@sweep(60, exhaustively=300)
@given(strategies.cases(highest_level=2))
def test_a_prediction_is_exactly_what_replaying_every_arming_instant_gives(case: Case) -> None:
    """Outcomes, windows, numbers of probes and windows of probes: none too many, none missing, to
    the nanosecond.
    """
    event(_assert_exact(case))


@pytest.mark.slow
@sweep(60, exhaustively=300)
@given(strategies.blips(highest_level=2))
def test_a_prediction_is_exact_where_an_outage_ends_near_the_last_probe(case: Case) -> None:
    """There the phase decides between an error and nothing at all, and neither end of the period
    need show it.
    """
    event(_assert_exact(case))


@pytest.mark.slow
@sweep(6, exhaustively=20)
@given(strategies.cases(hzs=(25, 100), highest_level=3))
def test_a_prediction_is_exact_where_buckets_are_wide(case: Case) -> None:
    """The same with periods of 512 jiffies."""
    event(_assert_exact(case))


@pytest.mark.parametrize(
    ("given", "hz", "effects", "options"),
    [
        pytest.param(
            (1, 60, 2), 10, [firewall(timeout, "reset")], {}, id=f"firewall-{timeout}-between-rows"
        )
        for timeout in range(59, 68)
    ]
    + [
        pytest.param(
            (1, 60, 2),
            10,
            [Effect(mechanism="lost", from_s=5)],
            {"user_timeout_ms": ms},
            id=f"timeout-{ms}-between-rows",
        )
        for ms in range(120_000, 135_000, 1300)
    ]
    + [
        pytest.param((10, interval, 3), 4, [SILENCE], {}, id=f"interval-{interval}-at-a-level")
        for interval in (125, 126, 127)
    ],
)
def test_a_prediction_is_exact_at_the_boundaries(
    given: tuple[int, int, int], hz: int, effects: list[Effect], options: dict[str, Any]
) -> None:
    """Where the interval's buckets are wider than the idle time's, and where its distance changes
    the wheel's level.

    There the first probe alone decides: how far it is from the second, and that the wheel's clock
    is a jiffy further.
    """
    idle, interval, count = given
    question = Settings(idle_s=idle, interval_s=interval, count=count, **options)
    _assert_exact(Case(question, hz, tuple(effects), 1000 * SECOND_NS))


@pytest.mark.slow
@sweep(20, exhaustively=60)
@given(strategies.blips(highest_level=2), st.sampled_from((1, 50_000_000, 900_000_000)))
def test_a_prediction_is_exactly_what_the_extremes_of_a_faults_delay_give(
    case: Case, delay_ns: int
) -> None:
    """Both ends of an outage may come late, each by itself.

    Nothing between the extremes adds anything.
    """
    machine = Machine(hz=case.hz, injection_ns=delay_ns)
    delays = [((onset, healing),) for onset in (0, delay_ns) for healing in (0, delay_ns)]
    ends = (
        replay(case.settings, case.hz, case.effects, case.horizon_ns, World(armed_ns, each))
        for armed_ns in instants(case, delay_ns)
        for each in delays
    )
    assert _hull_predicted(
        predict(Question(case.settings, machine, case.effects, case.horizon_ns))
    ) == _hull_of_replays(ends)


@pytest.mark.slow
@sweep(40, exhaustively=300)
@given(
    case=strategies.cases(hzs=strategies.KERNEL_HZS, highest_level=5)
    | strategies.blips(hzs=strategies.KERNEL_HZS),
    late=st.sampled_from((0, 1)),
    lag_ns=st.sampled_from((0, 1, 50_000_000)),
    delay_ns=st.sampled_from((0, 1, 50_000_000)),
    random=st.randoms(use_true_random=False),
)
def test_nothing_that_can_happen_in_real_time_is_outside_the_prediction(
    case: Case, late: int, lag_ns: int, delay_ns: int, random: Random
) -> None:
    """Whatever the phase, and however late each handler, each fault and each healing."""
    machine = Machine(hz=case.hz, late_jiffies=late, arming_lag_ns=lag_ns, injection_ns=delay_ns)
    try:
        prediction = predict(Question(case.settings, machine, case.effects, case.horizon_ns))
    except Unpredictable:
        return
    outcomes: dict[Kind, Outcome] = {(o.kind, o.errno, o.rst): o for o in prediction.outcomes}
    tick = timerwheel.tick_ns(case.hz)
    period_ns = established.phases(case.settings, case.hz) * tick

    def delay() -> int:
        return random.choice((0, delay_ns, random.randint(0, delay_ns)))

    for _ in range(25):
        world = World(
            armed_ns=period_ns + random.randrange(period_ns),
            delays_ns=tuple((delay(), delay()) for _ in case.effects),
            lag_jiffies=random.randint(0, -(-lag_ns // tick)),
            late=lambda: random.randint(0, late),
            lost_beyond_box=random.random() < 0.5,
        )
        end = replay(case.settings, case.hz, case.effects, case.horizon_ns, world)
        for certain in end.told_apart():
            outcome = outcomes[certain[:3]]
            if end.at_ns is not None:
                assert outcome.window_ns is not None
                assert outcome.window_ns[0] < end.at_ns <= outcome.window_ns[1]
            assert outcome.probes[0] <= len(end.probes_ns) <= outcome.probes[1]
            assert outcome.probes_seen[0] <= len(end.seen_ns) <= outcome.probes_seen[1]
        for (low, high), at_ns in zip(prediction.probe_windows_ns, end.seen_ns, strict=False):
            assert low < at_ns <= high
