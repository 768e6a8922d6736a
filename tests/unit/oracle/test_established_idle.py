"""What the oracle says of an idle established connection, against measured windows, replays and
closed formulas.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.oracle import timerwheel
from harness.oracle.effects import Effect, Unpredictable
from harness.oracle.established import predict
from harness.oracle.established_query import Question
from harness.oracle.prediction import Machine, Outcome, Prediction, Settings
from tests.unit import strategies
from tests.unit.oracle.reference import firewall, replays
from tests.unit.strategies import PATIENT, Case

SECOND_NS = 1_000_000_000
SILENCE = Effect(mechanism="lost")
"""Nothing gets through, from arming on."""
SMP = Machine(hz=250, late_jiffies=1, arming_lag_ns=50_000_000, injection_ns=50_000_000)
"""A machine in real time."""


def foretell(
    given: tuple[int, int, int],
    *effects: Effect,
    hz: int = 1000,
    horizon_s: float = 1e6,
    machine: Machine | None = None,
    **options: Any,
) -> Prediction:
    """A prediction for idle, interval and count."""
    idle, interval, count = given
    question = Settings(idle_s=idle, interval_s=interval, count=count, **options)
    return predict(
        Question(question, machine or Machine(hz=hz), effects, round(horizon_s * SECOND_NS))
    )


def only(prediction: Prediction) -> Outcome:
    """The outcome, where there is no other."""
    (outcome,) = prediction.outcomes
    return outcome


def window_s(outcome: Outcome) -> tuple[float, float]:
    """The window in seconds after arming."""
    assert outcome.window_ns is not None
    return outcome.window_ns[0] / SECOND_NS, outcome.window_ns[1] / SECOND_NS


# --- measured -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "hz", "earliest", "latest"),
    [
        ((7200, 75, 9), 100, 7891.20, 8218.88),
        ((7200, 75, 9), 250, 7881.98, 8013.06),
        ((7200, 75, 9), 300, 7875.84, 8749.65),
        ((7200, 75, 9), 1000, 7900.42, 8162.56),
        ((340, 10, 3), 100, 370.72, 411.68),
        ((340, 10, 3), 250, 370.72, 387.10),
        ((340, 10, 3), 300, 370.08, 383.73),
        ((340, 10, 3), 1000, 370.72, 403.49),
        ((60, 10, 3), 100, 90.72, 95.84),
        ((60, 10, 3), 250, 90.72, 92.77),
        ((60, 10, 3), 300, 90.08, 91.79),
        ((60, 10, 3), 1000, 90.72, 94.82),
        ((30, 1, 3), 100, 33.12, 33.76),
        ((30, 1, 3), 250, 33.07, 35.12),
        ((30, 1, 3), 300, 33.04, 34.75),
        ((30, 1, 3), 1000, 33.07, 33.58),
    ],
)
def test_silence_is_noticed_in_the_window_that_kernels_were_measured_in(
    given: tuple[int, int, int], hz: int, earliest: float, latest: float
) -> None:
    """Windows seen on kernels 6.1 and 7.2 in virtual time, in seconds after arming, to 10 ms."""
    outcome = only(foretell(given, SILENCE, hz=hz))
    assert window_s(outcome) == pytest.approx((earliest, latest), abs=0.005)
    assert (outcome.kind, outcome.errno, outcome.rst) == ("detected", "ETIMEDOUT", True)
    assert outcome.probes == outcome.probes_seen == (given[2], given[2])


def test_a_firewall_that_resets_both_ends_counts_from_when_it_saw_the_last_segment() -> None:
    """In virtual time that is some readings of the clock after an answered probe.

    Measured in a guest at HZ=1000: the RST comes 2 us after the jiffy in which the 4 s are over.
    """
    reading_ns = 20_000
    quick, slow = (
        only(foretell((1, 5, 1), firewall(4, "reset-both"), machine=Machine(hz=1000, write_ns=ns)))
        for ns in (0, reading_ns)
    )
    assert quick.window_ns is not None
    assert slow.window_ns == (quick.window_ns[0], quick.window_ns[1] + reading_ns)
    assert window_s(quick)[1] == pytest.approx(5.064, abs=1e-6)


@pytest.mark.parametrize(
    ("given", "period_s"),
    [
        ((50, 10, 9), 53.248),
        ((300, 10, 9), 327.680),
        ((7200, 75, 9), 7340.032),
        ((5, 60, 9), 61.44),
    ],
)
def test_a_live_peer_is_probed_at_the_period_that_kernels_were_measured_at(
    given: tuple[int, int, int], period_s: float
) -> None:
    """The period is neither the idle time nor the interval.

    From the second probe on it is the same for all phases.
    """
    windows = foretell(given, horizon_s=5 * period_s).probe_windows_ns
    assert (
        windows[2][0] - windows[1][0]
        == windows[2][1] - windows[1][1]
        == round(period_s * SECOND_NS)
    )


def test_a_live_peer_is_probed_when_exactly_the_idle_time_has_passed() -> None:
    """125 s are 128 s on the wheel at HZ=100: with an idle time of just that, each step is a
    probe.
    """
    windows = foretell((128, 125, 3), hz=100, horizon_s=1000).probe_windows_ns
    assert [later[1] - sooner[1] for sooner, later in itertools.pairwise(windows)] == [
        128 * SECOND_NS
    ] * 6


# --- closed formulas ----------------------------------------------------------------------------


@PATIENT
@given(
    hz=st.sampled_from(strategies.KERNEL_HZS),
    idle_s=st.integers(1, 32767),
    interval_s=st.integers(1, 32767) | st.integers(1, 100),
    count=st.integers(1, 127),
)
def test_the_window_under_silence_has_a_closed_form(
    hz: int, idle_s: int, interval_s: int, count: int
) -> None:
    """All of the phase's noise is in the first probe, or, where the interval's buckets are wider,
    in the second.
    """
    idle, interval = idle_s * hz, interval_s * hz
    wide_idle, wide = timerwheel.granularity(idle), timerwheel.granularity(interval - 1)
    step = (interval // wide + 1) * wide
    if wide_idle >= wide:
        least, most = idle + 1 + count * step, idle + wide_idle + count * step
    else:
        rest = interval % wide_idle
        second = idle + interval - rest
        least = second + wide_idle + 1 + (count - 1) * step
        most = second + wide_idle + wide + (count - 1) * step
    tick = timerwheel.tick_ns(hz)
    prediction = foretell((idle_s, interval_s, count), SILENCE, hz=hz, horizon_s=1e7)
    assert only(prediction).window_ns == ((least - 1) * tick, most * tick)
    assert prediction.probe_windows_ns[0] == (idle * tick, (idle + wide_idle) * tick)


@PATIENT
@given(hz=st.sampled_from((10, 25, 100)), data=st.data())
def test_after_an_answered_probe_detection_counts_from_it(hz: int, data: st.DataObject) -> None:
    """From the last segment received: the idle time or the step that overruns it, then the steps of
    the probes.
    """
    given = data.draw(strategies.settings(hz, highest_level=2))
    given = Settings(idle_s=given.idle_s, interval_s=given.interval_s, count=given.count)
    idle, interval = given.idle_s * hz, given.interval_s * hz
    wide = timerwheel.granularity(interval - 1)
    step = (interval // wide + 1) * wide
    slack = max(timerwheel.granularity(idle), step - idle)
    least, most = (
        idle + interval + 1 + (given.count - 1) * step,
        idle + slack + interval + wide + (given.count - 1) * step,
    )
    tick = timerwheel.tick_ns(hz)
    cut = Effect(mechanism="lost", from_s=(idle + timerwheel.granularity(idle)) * tick / 1e9 + 1e-9)
    case = Case(given, hz, (cut,), (2 * most + idle) * tick)
    for end in replays(case, lost_beyond_box=False):
        assert end.at_ns is not None
        received_ns = end.probes_ns[-given.count - 1]
        assert least * tick <= end.at_ns - received_ns <= most * tick


@pytest.mark.parametrize(
    "given", [(7200, 75, 9), (1, 32767, 127), (32767, 1, 127), (1, 1, 127), (300, 32767, 3)]
)
@pytest.mark.parametrize("machine", [Machine(hz=1000), SMP])
def test_a_prediction_takes_less_than_20_ms(given: tuple[int, int, int], machine: Machine) -> None:
    """Of CPU time, however long the wheel's period, up to 2,097,152 jiffies, and however many the
    probes.
    """
    took = []
    for _ in range(3):
        began = time.thread_time()
        foretell(given, Effect(mechanism="lost", from_s=0.5), machine=machine, horizon_s=1e7)
        took.append(time.thread_time() - began)
    assert min(took) < 0.020


# --- what the options do ------------------------------------------------------------------------


def test_without_keepalive_nothing_is_ever_noticed() -> None:
    """An idle connection sends nothing, and TCP_USER_TIMEOUT alone has nothing to time."""
    prediction = foretell((60, 10, 3), SILENCE, keepalive=False, user_timeout_ms=5000)
    assert (only(prediction).kind, only(prediction).probes) == ("quiet", (0, 0))
    assert prediction.probe_windows_ns == ()


def test_a_living_peer_is_never_given_up() -> None:
    """Probes go out, answers come back."""
    outcome = only(foretell((60, 10, 3), horizon_s=3600))
    assert (outcome.kind, outcome.errno, outcome.window_ns) == ("quiet", None, None)
    assert outcome.probes[0] > 50


@pytest.mark.parametrize(
    ("user_timeout_s", "probes"),
    [(0.001, 1), (60, 1), (70, 1), (75, 2), (85, 3), (95, 4), (120, 6)],
)
def test_user_timeout_replaces_the_count(user_timeout_s: float, probes: int) -> None:
    """The abort comes at the first expiry after it with a probe unanswered: before `count` probes,
    or after many more.

    60 s idle, 10 s interval and 3 probes at HZ=1000, where the wheel makes it 60 to 64.096 s and
    10.24 s.
    """
    outcome = only(foretell((60, 10, 3), SILENCE, user_timeout_ms=round(user_timeout_s * 1000)))
    assert (outcome.errno, outcome.probes) == ("ETIMEDOUT", (probes, probes))
    assert window_s(outcome) == pytest.approx((60 + 10.24 * probes, 64.096 + 10.24 * probes))


def test_the_phase_may_decide_after_how_many_probes_user_timeout_passes() -> None:
    """72 s are over one interval after the latest first probe, not after the earliest."""
    outcome = only(foretell((60, 10, 3), SILENCE, user_timeout_ms=72_000))
    assert outcome.probes == (1, 2)
    assert window_s(outcome) == pytest.approx((72, 82), abs=0.3)


def test_user_timeout_can_make_detection_later() -> None:
    """One longer than idle plus all intervals outvotes the count."""
    plain = window_s(only(foretell((60, 10, 3), SILENCE)))
    longer = window_s(only(foretell((60, 10, 3), SILENCE, user_timeout_ms=120_000)))
    assert longer[0] > plain[1]


def test_a_late_handler_may_bring_user_timeout_forward_or_put_it_off() -> None:
    """Of the handlers of two probes either may be late: where a jiffy decides, both ends are
    possible.

    Probe 1 is answered; 61.44 s later probe 2 is not, and 10.24 s after that comes the next expiry.
    """
    smp = Machine(hz=1000, late_jiffies=1)

    def window(user_timeout_ms: int, machine: Machine) -> tuple[float, float]:
        cut = Effect(mechanism="lost", from_s=65)
        return window_s(
            only(foretell((60, 10, 3), cut, machine=machine, user_timeout_ms=user_timeout_ms))
        )

    sooner, later = (window(ms, Machine(hz=1000)) for ms in (71_680, 71_681))
    assert later[0] - sooner[0] == pytest.approx(10.24)
    for ms in (71_680, 71_681):
        assert window(ms, smp) == pytest.approx((sooner[0], later[1] + 0.001))


# --- what faults do -----------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["lost", "answers-lost"])
def test_loss_in_one_direction_is_as_good_as_in_both(mechanism: Any) -> None:
    """Whether probes or answers vanish, what is detected is their absence.

    And a RST goes out at the end.
    """
    outcome = only(foretell((60, 10, 3), Effect(mechanism=mechanism)))
    assert outcome == only(foretell((60, 10, 3), SILENCE))
    assert outcome.rst


@pytest.mark.parametrize(
    ("reported", "errno"), [("ENETUNREACH", "ENETUNREACH"), (None, "ETIMEDOUT")]
)
def test_what_cannot_be_sent_counts_as_a_probe_and_may_name_the_errno(
    reported: str | None, errno: str
) -> None:
    """IPv6 keeps the local routing error for the end, IPv4 does not.

    Nothing is on the wire, not even the RST.
    """
    outcome = only(foretell((60, 10, 3), Effect(mechanism="lost-locally", errno=reported)))
    assert (outcome.errno, outcome.probes, outcome.probes_seen, outcome.rst) == (
        errno,
        (3, 3),
        (0, 0),
        False,
    )
    assert outcome.window_ns == only(foretell((60, 10, 3), SILENCE)).window_ns


def test_a_local_error_of_the_first_probe_is_reported_after_silence() -> None:
    """The soft error stays although later probes leave the host."""
    first_only = Effect(mechanism="lost-locally", until_s=65, errno="ENETUNREACH")
    outcome = only(foretell((60, 10, 3), first_only, SILENCE))
    assert (outcome.errno, outcome.probes_seen, outcome.rst) == ("ENETUNREACH", (2, 2), True)
    assert "ENETUNREACH of the last failed probe" in outcome.why


def test_an_answered_probe_clears_a_local_error() -> None:
    """What went wrong before the answer has no part in the end."""
    first_only = Effect(mechanism="lost-locally", until_s=65, errno="ENETUNREACH")
    later = Effect(mechanism="lost", from_s=100)
    assert only(foretell((60, 10, 3), first_only, later)).errno == "ETIMEDOUT"


def test_a_host_that_forgot_resets_at_the_next_probe() -> None:
    """ECONNRESET in the very window of the first probe after the reboot."""
    prediction = foretell((60, 10, 3), Effect(mechanism="peer-forgot", from_s=20))
    outcome = only(prediction)
    assert (outcome.errno, outcome.probes, outcome.rst) == ("ECONNRESET", (1, 1), False)
    assert outcome.window_ns == prediction.probe_windows_ns[0]


def test_a_frozen_program_is_never_noticed() -> None:
    """Its kernel answers probes."""
    assert only(foretell((2, 1, 3), Effect(mechanism="peer-frozen"), horizon_s=600)).kind == "quiet"


def test_a_closing_peer_is_noticed_at_once() -> None:
    """FIN arrives when the process ends, plus at most what injecting the fault takes.

    With or without keepalive.
    """
    gone = Effect(mechanism="peer-closed", from_s=7.5)
    for alive in (True, False):
        outcome = only(foretell((60, 10, 3), gone, machine=SMP, keepalive=alive))
        assert outcome.kind == "eof"
        assert window_s(outcome) == (7.5, 7.55)


def test_a_peer_that_closes_after_the_horizon_is_not_noticed() -> None:
    """Nothing beyond the horizon is part of a prediction."""
    gone = Effect(mechanism="peer-closed", from_s=7.5)
    for alive in (True, False):
        assert only(foretell((60, 10, 3), gone, horizon_s=7, keepalive=alive)).kind == "quiet"


# --- outages that end ---------------------------------------------------------------------------


@pytest.mark.parametrize("hz", strategies.KERNEL_HZS)
@pytest.mark.parametrize("given", [(60, 10, 3), (30, 1, 3), (7200, 75, 9), (5, 60, 2), (10, 1, 1)])
@pytest.mark.parametrize("mechanism", ["lost", "answers-lost", "lost-locally"])
def test_an_outage_is_survived_if_and_only_if_the_last_probe_gets_through(
    given: tuple[int, int, int], hz: int, mechanism: Any
) -> None:
    """Healed before the last probe: survived.

    After it: given up an interval later, though the path works again.
    """
    low, high = foretell(given, SILENCE, hz=hz).probe_windows_ns[given[2] - 1]

    def ends(healed_ns: int) -> set[str]:
        outage = Effect(mechanism=mechanism, until_s=healed_ns / SECOND_NS)
        horizon_s = 2 * (given[0] + given[1] * (given[2] + 2)) + 1000
        return {
            outcome.kind for outcome in foretell(given, outage, hz=hz, horizon_s=horizon_s).outcomes
        }

    assert ends(low) == {"quiet"}
    assert ends(low + timerwheel.tick_ns(hz)) == {"detected", "quiet"}
    assert ends(high) == {"detected", "quiet"}
    assert ends(high + 1) == {"detected"}


def test_an_outage_between_two_probes_leaves_no_trace() -> None:
    """The probes and their windows are those of an undisturbed connection."""
    blip = Effect(mechanism="lost", from_s=5, until_s=55)
    assert foretell((60, 10, 3), blip, horizon_s=300) == foretell((60, 10, 3), horizon_s=300)


def test_an_outage_shorter_than_a_tick_is_met_by_the_phases_that_it_falls_on() -> None:
    """Arming happens at any nanosecond of a jiffy: an outage of 2 ms at HZ=100 takes the only probe
    of some.
    """
    outage = Effect(mechanism="lost", from_s=10.123, until_s=10.125)
    outcomes = foretell((10, 1, 1), outage, hz=100, horizon_s=60).outcomes
    assert {outcome.kind for outcome in outcomes} == {"detected", "quiet"}


# --- middleboxes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("idle_s", "hz", "kinds"),
    [
        (50, 1000, {"quiet"}),
        (55, 1000, {"quiet"}),
        (56, 1000, {"detected", "quiet"}),
        (57, 1000, {"detected", "quiet"}),
        (58, 1000, {"detected"}),
        (59, 1000, {"detected"}),
        (57, 100, {"detected"}),
    ],
)
@pytest.mark.parametrize("then", ["drop", "reset"])
def test_probes_keep_a_firewall_open_with_the_margin_that_kernels_were_measured_at(
    idle_s: int, hz: int, kinds: set[str], then: str
) -> None:
    """A timeout of 60 s needs an idle time of 55 s or less, as the wheel is late by up to 4 s.

    More may do, or not.
    """
    outcomes = foretell((idle_s, 10, 3), firewall(60, then), hz=hz, horizon_s=3600).outcomes
    assert {outcome.kind for outcome in outcomes} == kinds
    errno = {"drop": "ETIMEDOUT", "reset": "ECONNRESET"}[then]
    assert {outcome.errno for outcome in outcomes if outcome.kind == "detected"} <= {errno}


def test_a_firewall_that_resets_is_noticed_at_the_first_probe_after_its_timeout() -> None:
    """ECONNRESET without a second probe, and no RST of our own."""
    prediction = foretell((20, 1, 3), firewall(10, "reset"))
    outcome = only(prediction)
    assert (outcome.errno, outcome.probes, outcome.rst) == ("ECONNRESET", (1, 1), False)
    assert outcome.window_ns == prediction.probe_windows_ns[0]
    assert "firewall" in outcome.why


def test_a_firewall_that_drops_is_noticed_like_silence() -> None:
    """ETIMEDOUT after all probes; each of them leaves the host."""
    assert only(foretell((20, 1, 3), firewall(10, "drop"))) == only(foretell((20, 1, 3), SILENCE))


def test_silence_before_or_beyond_an_expired_firewall_that_drops_is_silence() -> None:
    """Whichever of them swallows a probe."""
    assert only(foretell((20, 1, 3), firewall(10, "drop"), SILENCE)) == only(
        foretell((20, 1, 3), SILENCE)
    )


def test_a_firewalls_timeout_counts_from_the_last_probe_that_passed() -> None:
    """One that outlives the idle time but not the step from probe to probe lets the first probe
    pass, no other.
    """
    outcome = only(foretell((10, 60, 3), firewall(40, "reset"), horizon_s=600))
    assert (outcome.kind, outcome.probes) == ("detected", (2, 2))


# --- what is not predicted ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("effects", "why"),
    [
        ([Effect(mechanism="lost-locally", from_s=60.5, unsettled_s=0.1)], "change of carrier"),
        ([Effect(mechanism="lost", from_s=2), Effect(mechanism="peer-closed", from_s=3)], "FIN"),
        (
            [Effect(mechanism="peer-forgot", from_s=2), Effect(mechanism="peer-closed", from_s=3)],
            "FIN",
        ),
        ([firewall(10, "drop"), Effect(mechanism="peer-closed", from_s=20)], "FIN"),
        ([firewall(10, "reset-both"), firewall(20, "drop")], "one of several middleboxes"),
        ([firewall(10, "reset"), SILENCE], "before or beyond"),
        ([firewall(10, "reset"), Effect(mechanism="answers-lost")], "answers are lost"),
        (
            [firewall(70, "drop"), Effect(mechanism="lost", until_s=80)],
            "saw the probes that were lost",
        ),
        (
            [Effect(mechanism="lost-locally", errno=errno) for errno in ("ENETUNREACH", None)],
            "which error it is",
        ),
    ],
)
def test_what_the_model_does_not_cover_is_refused(effects: list[Effect], why: str) -> None:
    """Where two faults meet so that a detail decides which is not part of the model, no window is
    made up.
    """
    with pytest.raises(Unpredictable, match=why):
        foretell((60, 10, 3), *effects)


def test_a_fin_may_meet_an_expired_firewall_without_keepalive_too() -> None:
    """Nothing has kept the flow alive; one that comes in time is detected."""
    gone = Effect(mechanism="peer-closed", from_s=20)
    with pytest.raises(Unpredictable, match="FIN"):
        foretell((60, 10, 3), firewall(10, "drop"), gone, keepalive=False)
    assert only(foretell((60, 10, 3), firewall(30, "drop"), gone, keepalive=False)).kind == "eof"


def test_a_probe_that_passes_settles_what_the_middlebox_saw() -> None:
    """From then on it does not matter whether it saw the probe that was lost before."""
    outages = Effect(mechanism="lost", until_s=65), Effect(mechanism="lost", from_s=190)
    assert only(foretell((60, 10, 3), firewall(100, "reset"), *outages)).errno == "ETIMEDOUT"


def test_a_change_of_carrier_far_from_every_probe_is_predicted() -> None:
    """Only a probe that falls into the unsettled moment makes it unpredictable, in any phase."""
    settled = Effect(mechanism="lost-locally", from_s=59, unsettled_s=0.1)
    assert only(foretell((60, 10, 3), settled)).errno == "ETIMEDOUT"


def test_a_change_of_carrier_that_comes_late_is_unsettled_for_longer() -> None:
    """In real time the moment lasts as long as the fault may be delayed and the kernel takes to
    make up its mind.
    """
    late = Effect(mechanism="lost-locally", from_s=59.88, unsettled_s=0.1)
    assert only(foretell((60, 10, 3), late, hz=250)).errno == "ETIMEDOUT"
    with pytest.raises(Unpredictable, match="change of carrier"):
        foretell((60, 10, 3), late, machine=SMP)


def test_unanswered_repeats_shorten_a_firewalls_memory() -> None:
    """After three of them conntrack waits 300 s, not days: not modelled where probes are further
    apart.
    """
    with pytest.raises(Unpredictable, match="300 s"):
        foretell((50, 400, 6), firewall(432_000, "reset"), SILENCE)
    assert only(foretell((50, 200, 6), firewall(432_000, "reset"), SILENCE)).errno == "ETIMEDOUT"


def test_whether_the_reset_leaves_is_left_open_while_carrier_changes() -> None:
    """The errno and the window are certain; only the RST of the abort may or may not get out."""
    at_the_abort = Effect(mechanism="lost-locally", from_s=92, unsettled_s=0.5)
    outcomes = foretell((60, 10, 3), SILENCE, at_the_abort).outcomes
    assert {outcome.rst for outcome in outcomes} == {True, False}
    assert {outcome.errno for outcome in outcomes} == {"ETIMEDOUT"}
