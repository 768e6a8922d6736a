from __future__ import annotations

import functools

import pytest

from harness.oracle import timerwheel
from harness.oracle.backoff import model_timeout_ms
from harness.oracle.effects import Effect, Unpredictable
from harness.oracle.established import predict
from harness.oracle.established_query import Question, longest_ns
from harness.oracle.prediction import Machine, Prediction, Settings

SILENT = Settings(keepalive=False)
CUT = (Effect(mechanism="lost"),)


@functools.cache
def _predict(settings: Settings, machine: Machine, written_s: float = 0.0) -> Prediction:
    written_ns = round(written_s * 1e9)
    return predict(
        Question(
            settings,
            machine,
            CUT,
            written_ns + longest_ns(settings, machine.hz),
            writes_ns=(written_ns,),
        )
    )


def _expire(written: int, timeout: int, hz: int, limit_ms: int, *, clamped: bool) -> list[int]:
    """The timer's expiries after a write at jiffy `written`, the loss probe first, the end last.

    Written down anew.
    """
    expiries = [timerwheel.fire(written + timeout, written)]
    expiries.append(timerwheel.fire(expiries[0] + timeout, expiries[0] + 1))
    while (expiries[-1] - expiries[1]) * 1000 / hz < limit_ms:
        timeout = min(2 * timeout, 120 * hz)
        wait = timeout
        if clamped:
            left_ms = limit_ms - (expiries[-1] - expiries[1]) * 1000 // hz
            wait = min(timeout, -(-left_ms * hz // 1000))
        expiries.append(timerwheel.fire(expiries[-1] + wait, expiries[-1] + 1))
    return expiries


@pytest.mark.parametrize(
    ("boundary", "seconds"),
    [(3, 3.0), (5, 12.6), (8, 102.2), (9, 204.6), (10, 324.6), (15, 924.6)],
)
@pytest.mark.parametrize("hz", [100, 250, 300, 1000])
def test_the_model_timeout_is_the_documented_one(boundary: int, seconds: float, hz: int) -> None:
    """ip-sysctl: 924.6 s for tcp_retries2 = 15; the other figures were measured."""
    assert model_timeout_ms(boundary, hz // 5, hz) == round(seconds * 1000)


@pytest.mark.parametrize(
    ("hz", "user_timeout_ms", "measured_s"),
    [
        *((1000, 0, moment) for moment in (947.93, 952.0)),
        *((250, 0, moment) for moment in (934.8, 936.8)),
        (300, 0, 944.52),
        *((1000, 6000, moment) for moment in (6.4161, 6.48)),
    ],
)
def test_measured_ends_lie_in_the_window(hz: int, user_timeout_ms: int, measured_s: float) -> None:
    """As guests of these HZ were seen to give up, with round trips of no time."""
    (outcome,) = _predict(
        Settings(keepalive=False, user_timeout_ms=user_timeout_ms), Machine(hz=hz)
    ).outcomes
    assert outcome.window_ns is not None
    lo, hi = outcome.window_ns
    assert lo <= measured_s * 1e9 <= hi
    assert (outcome.kind, outcome.errno, outcome.rst) == ("detected", "ETIMEDOUT", False)


@pytest.mark.parametrize("hz", [100, 250, 1000])
@pytest.mark.parametrize("user_timeout_ms", [0, 1, 500, 2000, 6000, 61_500])
def test_the_windows_are_those_of_all_phases_and_no_wider(hz: int, user_timeout_ms: int) -> None:
    """Every jiffy of the wheel's period on which the write may fall, one by one."""
    settings = Settings(keepalive=False, user_timeout_ms=user_timeout_ms)
    found = _predict(settings, Machine(hz=hz))
    limit_ms = user_timeout_ms or model_timeout_ms(15, hz // 5, hz)
    tick = timerwheel.tick_ns(hz)
    period = timerwheel.granularity(120 * hz)
    rows = []
    for written in range(2 * period, 3 * period):
        expiries = _expire(written, hz // 5, hz, limit_ms, clamped=bool(user_timeout_ms))
        rows.append([((e - written - 1) * tick, (e - written) * tick) for e in expiries])
    (outcome,) = found.outcomes
    assert outcome.window_ns == (min(row[-1][0] for row in rows), max(row[-1][1] for row in rows))
    assert outcome.probes == (min(len(row) - 1 for row in rows), max(len(row) - 1 for row in rows))
    for place, window in enumerate(found.probe_windows_ns):
        same = [row[place] for row in rows if place < len(row) - 1]
        assert window == (min(w[0] for w in same), max(w[1] for w in same))


@pytest.mark.parametrize("retries2", [2, 4, 8, 10])
def test_with_another_tcp_retries2_the_window_is_that_of_all_phases(retries2: int) -> None:
    """With 4 it takes 6.6 s, or twice as long where the timers were rounded up by little."""
    hz = 250
    (outcome,) = _predict(Settings(keepalive=False, retries2=retries2), Machine(hz=hz)).outcomes
    limit_ms = model_timeout_ms(retries2, hz // 5, hz)
    tick, period = timerwheel.tick_ns(hz), timerwheel.granularity(120 * hz)
    ends = [
        (_expire(written, hz // 5, hz, limit_ms, clamped=False)[-1] - written) * tick
        for written in range(2 * period, 3 * period)
    ]
    assert outcome.window_ns == (min(ends) - tick, max(ends))
    assert f"tcp_retries2 = {retries2}" in outcome.why


def _expire_in_milliseconds(written: int, hz: int, limit_ms: int, offset_ns: int) -> list[int]:
    """As `_expire`, with moments kept in whole milliseconds of a clock that began `offset_ns`
    before jiffy 0.
    """

    def stamp_ms(jiffy: int) -> int:
        return (jiffy * timerwheel.tick_ns(hz) + offset_ns) // 1_000_000

    timeout = -(-hz // 5)
    expiries = [timerwheel.fire(written + timeout, written)]
    expiries.append(timerwheel.fire(expiries[0] + timeout, expiries[0] + 1))
    while (elapsed_ms := stamp_ms(expiries[-1]) - stamp_ms(expiries[1])) < limit_ms:
        timeout = min(2 * timeout, 120 * hz)
        wait = min(timeout, -(-(limit_ms - elapsed_ms) * hz // 1000))
        expiries.append(timerwheel.fire(expiries[-1] + wait, expiries[-1] + 1))
    return expiries


@pytest.mark.parametrize("hz", [300, 1024])
@pytest.mark.parametrize("user_timeout_ms", [1, 777, 2000, 6001, 21_223])
def test_a_clock_in_milliseconds_that_jiffies_do_not_divide_into_stays_inside(
    hz: int, user_timeout_ms: int
) -> None:
    """Whatever part of a millisecond the first retransmission falls on."""
    found = _predict(Settings(keepalive=False, user_timeout_ms=user_timeout_ms), Machine(hz=hz))
    (outcome,) = found.outcomes
    tick = timerwheel.tick_ns(hz)
    for written in range(4096, 8192, 7):
        for offset_ns in (0, 333_333, 666_667, 999_999):
            expiries = _expire_in_milliseconds(written, hz, user_timeout_ms, offset_ns)
            window = outcome.window_by_probes[len(expiries) - 1]
            assert window is not None
            assert window[0] <= (expiries[-1] - written - 1) * tick
            assert (expiries[-1] - written) * tick <= window[1]


@pytest.mark.slow
def test_what_is_not_known_widens_the_window_to_later_only() -> None:
    """A longer round trip, a late write and a late handler."""
    exact = _predict(SILENT, Machine(hz=100), written_s=1).outcomes[0].window_ns
    vague = Machine(hz=100, late_jiffies=1, rtt_ns=3_000_000, write_ns=20_000_000)
    wide = _predict(SILENT, vague, written_s=1).outcomes[0].window_ns
    assert exact is not None
    assert wide is not None
    assert wide[0] == exact[0]
    assert wide[1] > exact[1] + 20_000_000


def test_a_tick_that_is_no_whole_number_of_milliseconds_leaves_either_expiry_open() -> None:
    """HZ=300: elapsed time is kept in milliseconds, a jiffy has 3 1/3.

    Limits near an expiry go both ways.
    """
    counts = {
        _predict(Settings(keepalive=False, user_timeout_ms=ms), Machine(hz=300)).outcomes[0].probes
        for ms in range(400, 1400, 7)
    }
    assert any(least != most for least, most in counts)


@pytest.mark.parametrize(
    ("effects", "why"),
    [
        ((Effect(mechanism="lost", unknown="a router may report it"),), "a router may report it"),
        (
            (Effect(mechanism="lost-locally", from_s=2, swallowed=False),),
            "its own host cannot send",
        ),
    ],
)
def test_what_has_no_model_is_refused(effects: tuple[Effect, ...], why: str) -> None:
    """Rather a refusal than a guess."""
    begun = (Effect(mechanism="lost", until_s=2), *effects) if effects[0].from_s else effects
    with pytest.raises(Unpredictable, match=why):
        predict(
            Question(SILENT, Machine(hz=1000), begun, 2_000_000_000_000, writes_ns=(1_000_000_000,))
        )


def test_a_watch_that_ends_too_early_sees_nothing() -> None:
    """The data is then still in flight."""
    (outcome,) = predict(
        Question(SILENT, Machine(hz=1000), CUT, 900_000_000_000, writes_ns=(0,))
    ).outcomes
    assert outcome.kind == "quiet"


def test_keepalive_that_is_on_changes_nothing() -> None:
    """Data in flight switches it off."""
    with_keepalive = _predict(
        Settings(idle_s=20, interval_s=1, count=1), Machine(hz=250), written_s=1
    )
    assert with_keepalive == _predict(SILENT, Machine(hz=250), written_s=1)
    assert with_keepalive.asking == "retransmit"


def test_a_fin_into_silence_is_data_that_nobody_sees_repeated() -> None:
    """Its repetitions are FINs on the wire, not retransmissions; all else is as with data."""
    machine = Machine(hz=1000)
    horizon_ns = longest_ns(SILENT, 1000)
    data = predict(Question(SILENT, machine, CUT, horizon_ns, writes_ns=(0,))).outcomes[0]
    fin = predict(Question(SILENT, machine, CUT, horizon_ns, shuts_ns=0)).outcomes[0]
    assert (fin.errno, fin.window_ns, fin.probes) == (data.errno, data.window_ns, data.probes)
    assert fin.probes_seen == (0, 0)


@pytest.mark.parametrize(
    ("twice", "sent", "seconds"), [(False, 414, 928.896), (True, 272, 932.864)]
)
def test_icmp_errors_take_the_back_off_back_as_measured(
    *, twice: bool, sent: int, seconds: float
) -> None:
    """IPv4, written 2 s after a multiple of the period: RFC 6069, the rate of ICMP errors, the
    8-bit count.
    """
    effect = Effect(mechanism="lost", reported="EHOSTUNREACH", reverts=True, charged_twice=twice)
    machine = Machine(hz=1000, phase_ns=0)
    (outcome,) = predict(
        Question(SILENT, machine, (effect,), longest_ns(SILENT, 1000), writes_ns=(2_000_000_000,))
    ).outcomes
    assert (outcome.errno, outcome.probes) == ("EHOSTUNREACH", (sent, sent))
    assert outcome.window_ns is not None
    assert outcome.window_ns[1] == round(seconds * 1e9)


def test_what_is_written_while_alive_and_then_dies_is_known_to_the_jiffy() -> None:
    """Keepalive counts from the last segment, as measured: heard at 2 s, outages from 4 to 64 s and
    from 150 s.
    """
    settings = Settings(idle_s=20, interval_s=5, count=3)
    effects = (Effect(mechanism="lost", from_s=4, until_s=64), Effect(mechanism="lost", from_s=150))
    machine = Machine(hz=1000, phase_ns=1_234_567)
    writes = (2_000_000_000, 5_000_000_000, 40_000_000_000)
    (outcome,) = predict(
        Question(settings, machine, effects, 400_000_000_000, writes_ns=writes)
    ).outcomes
    assert (outcome.errno, outcome.window_ns, outcome.probes_seen) == (
        "ETIMEDOUT",
        (166_910_765_432, 166_910_765_433),
        (14, 14),
    )


@pytest.mark.parametrize(
    ("healed_s", "asked"),
    [(12.2, 16), (12.4, 18)],
    ids=["probe answered", "retransmission answered"],
)
def test_there_is_one_loss_probe_at_a_time(healed_s: float, asked: int) -> None:
    """One that was acknowledged to the octet counts at the next write, as measured.

    A retransmission ends that.
    """
    cuts = (
        Effect(mechanism="lost", from_s=11.8, until_s=healed_s),
        Effect(mechanism="lost", from_s=206.0),
    )
    machine, writes_ns = Machine(hz=1000, phase_ns=0), (12_100_000_000, 206_400_000_000)
    prediction = predict(
        Question(SILENT, machine, cuts, 2_000_000_000_000, writes_ns=writes_ns, echoes=True)
    )
    (outcome,) = prediction.outcomes
    assert outcome.probes_seen == (asked, asked)
    assert outcome.window_ns is not None
    assert outcome.window_ns[0] <= 1_155_072_000_000 <= outcome.window_ns[1]
