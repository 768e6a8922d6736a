"""What two programs with heartbeats see under faults."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.programs import (
    AnyHeartbeat,
    IdleState,
    IdleTimer,
    Reaper,
    Separate,
    Simple,
    Urgent,
)
from harness.model.topology import SIDES, Side, other
from harness.oracle.effects import Effect, Unpredictable
from harness.oracle.heartbeat import Pair, predict
from harness.oracle.heartbeat_rules import documented
from harness.oracle.prediction import Machine, Outcome, Settings
from tests.unit.oracle.heartbeat_pairs import (
    PAIRS,
    SEPARATE,
    SIMPLE,
    STATE,
    TIMER,
    URGENT,
    in_seconds,
)
from tests.unit.strategies import PATIENT

EXACT = Machine(hz=1000)
VIRTUAL = Machine(hz=1000, injection_ns=5_000_000, write_ns=20_000)
REAL = Machine(
    hz=250,
    late_jiffies=1,
    arming_lag_ns=50_000_000,
    injection_ns=50_000_000,
    rtt_ns=3_000_000,
    write_ns=50_000_000,
)
ANY = (EXACT, VIRTUAL, REAL)
AROUND_S = 0.002
"""What the moment at which the other side was armed may make of it."""
Views = dict[Side, tuple[Effect, ...]]


def lost(at_s: float, until_s: float | None = None) -> Views:
    """Both ways."""
    return dict.fromkeys(SIDES, (Effect(mechanism="lost", from_s=at_s, until_s=until_s),))


def one_way(sender: Side, at_s: float) -> Views:
    """What one side sends is lost."""
    return {
        sender: (Effect(mechanism="lost", from_s=at_s),),
        other(sender): (Effect(mechanism="answers-lost", from_s=at_s),),
    }


def seen_by(side: Side, effect: Effect) -> Views:
    """Of the peer's host or program: what it sees itself is not said."""
    return {side: (effect,), other(side): ()}


def foresee(
    pair: tuple[AnyHeartbeat, AnyHeartbeat],
    side: Side,
    effects: Views,
    machine: Machine = VIRTUAL,
    horizon_s: float = 400,
    writes_s: tuple[float, ...] = (),
    settings: Settings | None = None,
) -> tuple[Outcome, ...]:
    """All outcomes; `writes_s`, by the client; `settings`, of the observed side."""
    whole = Settings(keepalive=False)
    return predict(
        Pair(client=pair[0], server=pair[1], side=side),
        machine,
        effects,
        round(horizon_s * 1e9),
        writes_ns={"client": tuple(round(at_s * 1e9) for at_s in writes_s), "server": ()},
        settings={side: settings or whole, other(side): whole},
    ).outcomes


def only(outcomes: tuple[Outcome, ...]) -> Outcome:
    """The one there is."""
    (outcome,) = outcomes
    return outcome


def window_s(outcome: Outcome) -> tuple[float, float]:
    """After arming."""
    assert outcome.window_ns is not None
    return outcome.window_ns[0] / 1e9, outcome.window_ns[1] / 1e9


# --- a silent peer ------------------------------------------------------------------------------


@pytest.mark.parametrize("machine", ANY)
@pytest.mark.parametrize(
    ("pair", "side", "notices_s"),
    [
        (SIMPLE, "client", 210),
        (SIMPLE, "server", 220),
        (SEPARATE, "client", 210),
        (SEPARATE, "server", 220),
        (TIMER, "client", 175),
        (STATE, "client", 180),
    ],
)
def test_a_blackhole(
    pair: tuple[AnyHeartbeat, AnyHeartbeat], side: Side, notices_s: float, machine: Machine
) -> None:
    """The last input before 130.3 s decides: 120 s, or 125 s where heartbeats come every 25 s."""
    outcome = only(foresee(pair, side, lost(130.3), machine))
    least_s, most_s = window_s(outcome)
    assert outcome.kind == "noticed"
    assert least_s <= notices_s + 1e-9 <= most_s + 2e-9
    assert most_s - least_s < (1.2 if machine is REAL else 0.0023)


def test_the_last_data_tells_more_than_arming() -> None:
    """However late heartbeats have been before, silence counts from the last of them."""
    outcome = only(foresee(SIMPLE, "client", lost(1000.3), REAL, horizon_s=2000))
    assert outcome.since_read_ns is not None
    assert outcome.since_read_ns[0] == 90_000_000_000
    assert outcome.since_read_ns[1] <= 90_250_000_000
    assert window_s(outcome)[1] - window_s(outcome)[0] > 1


@pytest.mark.parametrize("side", SIDES)
def test_two_equal_timers_race(side: Side) -> None:
    """The server's expiry comes before or after the urgent octet of the same moment: an interval
    more or less.
    """
    outcomes = foresee((Urgent(), Urgent()), side, lost(10.5))
    expected = [(16.0, 16.0)] if side == "client" else [(15.0, 15.0), (16.0, 16.0)]
    assert [tuple(round(each, 1) for each in window_s(outcome)) for outcome in outcomes] == expected


@pytest.mark.parametrize(("pair", "side"), [(pair, side) for pair in PAIRS for side in SIDES])
def test_a_live_peer_is_left_alone(pair: tuple[AnyHeartbeat, AnyHeartbeat], side: Side) -> None:
    """Nothing happens, nothing is detected."""
    assert only(foresee(pair, side, {"client": (), "server": ()}, horizon_s=200)).kind == "quiet"


def test_what_the_other_side_sends_need_not_be_lost() -> None:
    """A client whose heartbeats are lost gets no answers, and a server none to answer."""
    assert round(window_s(only(foresee(SIMPLE, "client", one_way("client", 130))))[0]) == 210
    assert round(window_s(only(foresee(SIMPLE, "server", one_way("client", 130))))[0]) == 220
    assert round(window_s(only(foresee(SIMPLE, "client", one_way("server", 130))))[0]) == 210
    with pytest.raises(Unpredictable, match="holds back"):
        foresee(SIMPLE, "server", one_way("server", 130))


# --- a peer that is there, or is not ------------------------------------------------------------


@pytest.mark.parametrize(("pair", "side"), [(pair, side) for pair in PAIRS for side in SIDES])
def test_a_frozen_peer_is_as_silent_as_a_dead_one(
    pair: tuple[AnyHeartbeat, AnyHeartbeat], side: Side
) -> None:
    """Its kernel goes on acknowledging; the heartbeat does not care."""
    frozen = foresee(pair, side, seen_by(side, Effect(mechanism="peer-frozen", from_s=130.3)))
    assert frozen == foresee(pair, side, lost(130.3))


def test_a_peer_that_does_not_read_gives_up_by_itself() -> None:
    """Whose timers go on: a client that reads no answers is gone before its server detects
    anything.
    """
    full = Effect(mechanism="peer-frozen", from_s=130.3, not_reading=True)
    assert round(window_s(only(foresee(SIMPLE, "client", seen_by("client", full))))[0]) == 210
    outcome = only(foresee(SIMPLE, "server", seen_by("server", full)))
    assert outcome.kind == "eof"
    assert round(window_s(outcome)[0]) == 210


def test_a_peer_that_goes_on_in_time_reads_first() -> None:
    """What came meanwhile counts before timers that ran out meanwhile."""
    for side in SIDES:
        still = Effect(mechanism="peer-frozen", from_s=100, until_s=200)
        outcomes = foresee((Simple(misses=9), Simple(misses=9)), side, seen_by(side, still))
        assert only(outcomes).kind == "quiet"


@pytest.mark.parametrize("pair", PAIRS)
def test_who_beats_meets_rst(pair: tuple[AnyHeartbeat, AnyHeartbeat]) -> None:
    """A rebooted server answers the client's next heartbeat with RST.

    A rebooted client is asked nothing.
    """
    forgot = Effect(mechanism="peer-forgot", from_s=130.3, unsettled_s=0.1)
    outcome = only(foresee(pair, "client", seen_by("client", forgot)))
    assert (outcome.kind, outcome.errno) == ("detected", "ECONNRESET")
    served = foresee(pair, "server", seen_by("server", forgot))
    assert served == foresee(pair, "server", lost(130.3))


def test_a_heartbeat_in_the_moment_of_the_reboot_is_refused() -> None:
    """Nobody knows who answers it."""
    for at_s in (119.95, 119.9999, 120.0):
        with pytest.raises(Unpredictable, match="move the fault's time"):
            foresee(
                SIMPLE,
                "client",
                seen_by("client", Effect(mechanism="peer-forgot", from_s=at_s, unsettled_s=0.1)),
            )


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    ("mechanism", "errno"), [("peer-closed", None), ("peer-reset", "ECONNRESET")]
)
def test_what_the_kernel_says_needs_no_timer(side: Side, mechanism: str, errno: str | None) -> None:
    """FIN or RST at once; one that a frozen program's kernel says when it is killed, too."""
    told = Effect(mechanism=mechanism, from_s=130.3)  # type: ignore[arg-type]
    for before in ((), (Effect(mechanism="peer-frozen", from_s=125.0),)):
        outcome = only(foresee(SIMPLE, side, {side: (*before, told), other(side): ()}))
        assert outcome.errno == errno
        assert window_s(outcome)[0] == 130.3
        assert window_s(outcome)[1] < 130.306


def test_a_kill_with_something_unread_is_refused() -> None:
    """FIN or RST, nobody knows."""
    frozen, killed = (
        Effect(mechanism="peer-frozen", from_s=115),
        Effect(mechanism="peer-closed", from_s=130),
    )
    with pytest.raises(Unpredictable, match="unread"):
        foresee(SIMPLE, "client", {"client": (frozen, killed), "server": ()})


# --- outages that end ---------------------------------------------------------------------------


@pytest.mark.parametrize("machine", [VIRTUAL, REAL])
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    ("pair", "from_s", "until_s"),
    [
        (SIMPLE, 119, 122),
        (SEPARATE, 119, 122),
        (TIMER, 49, 51),
        (STATE, 59, 62),
        (URGENT, 2.8, 3.3),
    ],
)
def test_a_short_outage_is_survived(
    pair: tuple[AnyHeartbeat, AnyHeartbeat],
    from_s: float,
    until_s: float,
    side: Side,
    machine: Machine,
) -> None:
    """TCP sends the heartbeat again before anybody has missed too many."""
    outcome = only(foresee(pair, side, lost(from_s, until_s), machine, horizon_s=until_s + 8))
    assert outcome.kind == "quiet"


def test_an_outage_that_ends_too_late_is_none_that_ends() -> None:
    """Given up before."""
    assert foresee(SIMPLE, "client", lost(119, 205)) == foresee(SIMPLE, "client", lost(119))


def test_an_outage_that_ends_just_before_the_end_may_go_either_way() -> None:
    """The next repetition comes before the last timer, or does not."""
    kinds = {outcome.kind for outcome in foresee(SIMPLE, "client", lost(119, 145), horizon_s=300)}
    assert kinds == {"noticed", "quiet"}


def test_a_peer_that_gave_up_during_an_outage_is_refused() -> None:
    """Found by differential testing: its FIN is lost, and what the other side repeats meets RST."""
    with pytest.raises(Unpredictable, match="gave up during the outage"):
        foresee(
            (IdleTimer(idle_s=13, retry_s=6, tries=4), Reaper(silence_s=19)),
            "client",
            lost(35, 52),
            writes_s=(45,),
        )


# --- beside it: data, keepalive, middleboxes, other servers -------------------------------------


def test_data_that_is_written_proves_nothing() -> None:
    """A write into the void changes nothing for who counts input, and everything for who counts
    traffic.
    """
    assert foresee(SIMPLE, "client", lost(130), writes_s=(140, 150)) == foresee(
        SIMPLE, "client", lost(130)
    )
    assert (
        round(window_s(only(foresee(TIMER, "client", lost(60), writes_s=(70, 90, 110))))[0]) == 160
    )
    hidden = foresee(TIMER, "client", lost(60), horizon_s=300, writes_s=tuple(range(70, 300, 20)))
    assert only(hidden).kind == "quiet"


def test_tcp_gives_up_before_a_patient_heartbeat() -> None:
    """A heartbeat in flight for 15 minutes, or for the user timeout, is TCP's to give up."""
    with pytest.raises(Unpredictable, match="TCP may give up"):
        foresee((Simple(wait_s=400), Simple(wait_s=400)), "client", lost(10), horizon_s=2000)
    limited = Settings(keepalive=False, user_timeout_ms=20_000)
    with pytest.raises(Unpredictable, match="TCP may give up"):
        foresee(SIMPLE, "client", lost(130), settings=limited)


def test_keepalive_beside_a_heartbeat() -> None:
    """Answered by a frozen peer's kernel.

    Silenced by a heartbeat in flight; else it may be first.
    """
    alive, patient = Settings(idle_s=10, interval_s=5, count=3), Settings(idle_s=7200)
    frozen = seen_by("client", Effect(mechanism="peer-frozen", from_s=5))
    assert round(window_s(only(foresee(SIMPLE, "client", frozen, settings=alive)))[0]) == 90
    assert foresee(SIMPLE, "client", lost(130), settings=patient) == foresee(
        SIMPLE, "client", lost(130)
    )
    for settings, side in ((alive, "client"), (patient, "server")):
        with pytest.raises(Unpredictable, match="keepalive may decide"):
            foresee(SIMPLE, side, lost(130), settings=settings)  # type: ignore[arg-type]
    with pytest.raises(Unpredictable, match="apart from the heartbeats"):
        foresee(SEPARATE, "client", lost(130), settings=patient)
    both = Settings(idle_s=7200, user_timeout_ms=60_000)
    with pytest.raises(Unpredictable, match="user timeout"):
        foresee(SIMPLE, "client", lost(130), settings=both)


@pytest.mark.parametrize(
    ("timeout_s", "then", "kind"),
    [(30, "drop", "quiet"), (20, "drop", "noticed"), (20, "reset", "detected")],
)
def test_a_firewall_that_forgets(timeout_s: float, then: str, kind: str) -> None:
    """A heartbeat keeps the flow known, or comes too late for it."""
    box = Effect(mechanism="expires", timeout_s=timeout_s, then=then)  # type: ignore[arg-type]
    outcome = only(foresee(TIMER, "client", dict.fromkeys(SIDES, (box,)), horizon_s=200))
    assert outcome.kind == kind
    assert kind == "quiet" or round(window_s(outcome)[0]) == (50 if kind == "noticed" else 25)


def test_a_firewall_knows_two_connections_apart() -> None:
    """Found by differential testing: heartbeats keep their own flow known, and nothing that of the
    data.
    """
    box = Effect(mechanism="expires", timeout_s=90, then="reset")
    with pytest.raises(Unpredictable, match="two flows"):
        foresee(SEPARATE, "client", dict.fromkeys(SIDES, (box,)))


def test_a_server_that_cannot_connect_back() -> None:
    """No heartbeat is ever sent: a live server is given up, and the server told so by FIN."""
    views: Views = {"client": (), "server": ()}
    found = [
        only(
            predict(
                Pair(client=Separate(), server=Separate(), side=side, connects_back=False),
                VIRTUAL,
                views,
                10**12,
            ).outcomes
        )
        for side in SIDES
    ]
    assert [outcome.kind for outcome in found] == ["noticed", "eof"]
    assert [round(window_s(outcome)[0]) for outcome in found] == [90, 90]


def test_another_server_is_reached_after_the_wait() -> None:
    """Detection and reconnection are two times."""
    pair = Pair(
        client=IdleState(servers=("server", "router"), retry_s=2),
        server=Reaper(silence_s=90),
        side="client",
        reconnects=True,
    )
    outcome = only(predict(pair, VIRTUAL, lost(130.3), 400 * 10**9).outcomes)
    assert outcome.reconnects_ns == (2_000_000_000, 2_000_040_000)


@pytest.mark.parametrize(
    ("views", "reason"),
    [
        (
            dict.fromkeys(SIDES, (Effect(mechanism="impaired", unknown="it loses at random"),)),
            "at random",
        ),
        (dict.fromkeys(SIDES, (Effect(mechanism="parked"),)), "parked"),
        (
            {"client": (), "server": (Effect(mechanism="peer-forgot", from_s=5, midway=True),)},
            "one direction",
        ),
        (
            {"client": (Effect(mechanism="lost", from_s=5, until_s=9),), "server": ()},
            "stands still",
        ),
        (
            {"client": (), "server": (Effect(mechanism="expires", timeout_s=5, then="reset"),)},
            "differently",
        ),
        (
            dict.fromkeys(
                SIDES,
                (
                    Effect(mechanism="expires", timeout_s=50, then="drop"),
                    Effect(mechanism="lost", from_s=9),
                ),
            ),
            "what a middlebox sees",
        ),
    ],
)
def test_what_is_refused(views: Views, reason: str) -> None:
    """With the reason."""
    with pytest.raises(Unpredictable, match=reason):
        foresee(SIMPLE, "client", views)


# --- properties ---------------------------------------------------------------------------------


@st.composite
def pairs(draw: st.DrawFn) -> tuple[AnyHeartbeat, AnyHeartbeat]:
    """Designs that leave live peers alone, in tenths of seconds."""
    tenths = st.integers(5, 300).map(lambda n: n / 10)
    idle_s, wait_s, misses = draw(tenths), draw(tenths), draw(st.integers(1, 5))
    kind = draw(st.sampled_from(("simple", "separate", "urgent", "idle-timer", "idle-state")))
    if kind in ("simple", "separate"):
        make = Simple if kind == "simple" else Separate
        return (made := make(idle_s=idle_s, wait_s=wait_s, misses=misses)), made
    if kind == "urgent":
        return (octets := Urgent(interval_s=idle_s, misses=misses + 1)), octets
    reaper = Reaper(silence_s=idle_s + wait_s, poll_s=draw(tenths))
    if kind == "idle-timer":
        return IdleTimer(idle_s=idle_s, retry_s=wait_s, tries=misses), reaper
    return IdleState(write_idle_s=idle_s, read_idle_s=idle_s + wait_s, misses=misses), reaper


@PATIENT
@given(pairs(), st.sampled_from(SIDES), st.integers(0, 100_000), st.booleans())
def test_a_silent_peer_is_noticed_within_the_documented_bounds(
    pair: tuple[AnyHeartbeat, AnyHeartbeat],
    side: Side,
    at_ms: int,
    frozen: bool,  # noqa: FBT001 - drawn
) -> None:
    """Whenever the fault comes, and whether the path or the program is gone."""
    at_s = at_ms / 1000
    views = seen_by(side, Effect(mechanism="peer-frozen", from_s=at_s)) if frozen else lost(at_s)
    (least_s, most_s), (best_s, worst_s) = in_seconds(documented(*pair, side))
    for outcome in foresee(pair, side, views, EXACT, horizon_s=at_s + 2 * worst_s + 10):
        assert outcome.kind == "noticed"
        low_s, high_s = window_s(outcome)
        assert best_s - AROUND_S <= low_s - at_s
        assert high_s - at_s <= worst_s + AROUND_S
        if outcome.since_read_ns is not None:
            assert least_s - AROUND_S <= outcome.since_read_ns[0] / 1e9
            assert outcome.since_read_ns[1] / 1e9 <= most_s + AROUND_S


@PATIENT
@given(pairs(), st.sampled_from(SIDES), st.integers(0, 60_000))
def test_a_slower_machine_only_widens(
    pair: tuple[AnyHeartbeat, AnyHeartbeat], side: Side, at_ms: int
) -> None:
    """What can happen on one that is never late can happen on any."""
    at_s = at_ms / 1000
    horizon_s = at_s + 2 * in_seconds(documented(*pair, side))[1][1] + 10
    wide = [
        window_s(each)
        for each in foresee(pair, side, lost(at_s), VIRTUAL, horizon_s)
        if each.kind == "noticed"
    ]
    for outcome in foresee(pair, side, lost(at_s), EXACT, horizon_s):
        low_s, high_s = window_s(outcome)
        assert min(each[0] for each in wide) <= low_s
        assert high_s <= max(each[1] for each in wide)
