"""What an end did, from a made timeline: when, how, by which timer, and whether it recovered."""

from __future__ import annotations

import pytest

from harness.examine import signs
from harness.examine.attribution import REACTION_NS
from harness.examine.faults import FAULT_AT_S
from harness.examine.findings import Recovery
from harness.faults import Blackhole
from harness.oracle import established
from harness.oracle.established_query import Question
from harness.oracle.prediction import Settings
from harness.plan.allowances import tolerances
from harness.plan.fault_effects import effects_on
from harness.plan.planner import make
from tests.unit.examining import (
    BASE,
    MACHINE,
    OFF,
    SETTINGS,
    at,
    cell,
    described,
    events,
    printed,
    segment,
    sign,
)


def _keepalive_window() -> tuple[float, float]:
    """When keepalive 60/10/3 detects the blackhole of the grid, in seconds after the fault."""
    scenario = cell("blackhole").scenario
    fault = scenario.faults[0]
    assert isinstance(fault, Blackhole)
    settings = Settings(idle_s=60, interval_s=10, count=3)
    effects = effects_on(scenario, "client")
    question = Question(settings, tolerances(MACHINE), effects, 300_000_000_000)
    (outcome,) = established.predict(question).outcomes
    assert outcome.window_ns is not None
    low, high = outcome.window_ns
    return low / 1e9 - fault.at_s, high / 1e9 - fault.at_s


def test_keepalive_is_told_by_the_oracle_s_window() -> None:
    """An exit in the exact window of the settings that the socket had is keepalive's doing."""
    low, high = _keepalive_window()
    middle = (low + high) / 2
    found = described(cell("blackhole"), events(sign(middle, "exit", "status 1"))).end("client")
    assert (found.finding, found.grade) == ("detected", "good")
    assert found.attribution is not None
    assert found.attribution.by == "keepalive"
    assert found.attribution.words == "keepalive: 60 s idle + 3 probes x 10 s"
    assert found.attribution.window_s == pytest.approx((low, high))


@pytest.mark.parametrize("outside", ["before", "after"])
def test_outside_the_window_it_is_the_program_s_own_timer(outside: str) -> None:
    """A moment before keepalive's window, or longer after it than a program takes to react."""
    low, high = _keepalive_window()
    moment = low - 0.01 if outside == "before" else high + REACTION_NS / 1e9 + 0.01
    found = described(cell("blackhole"), events(sign(moment, "exit", "status 1"))).end("client")
    assert found.attribution is not None
    assert found.attribution.by == "own-timer"


def test_data_in_flight_is_given_up_by_its_own_timer() -> None:
    """tcp_retries2 counts from the write, whatever else arrives meanwhile."""
    scenario = cell("blackhole").scenario
    question = Question(
        Settings(keepalive=False),
        tolerances(MACHINE),
        effects_on(scenario, "client"),
        5_000_000_000_000,
        writes_ns=(80_000_000_000,),
    )
    (outcome,) = established.predict(question).outcomes
    assert outcome.window_ns is not None
    at_s = outcome.window_ns[1] / 1e9 - FAULT_AT_S
    wrote_s = 80 - FAULT_AT_S
    run = events(
        segment(wrote_s, "out"),
        segment(wrote_s + 0.2, "out", "retransmit"),
        segment(wrote_s + 5, "in", "retransmit", ack=100),
        sign(at_s, "exit", "status 1"),
        settings=OFF,
    )
    found = described(cell("blackhole"), run).end("client").attribution
    assert found is not None
    assert found.words == "data in flight was given up after 1 retransmission (tcp_retries2 = 15)"
    late = events(segment(wrote_s, "out"), sign(at_s + 40, "exit", "status 1"), settings=OFF)
    own = described(cell("blackhole"), late).end("client").attribution
    assert own is not None
    assert own.by == "own-timer"


def test_the_oracle_is_not_asked_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where neither keepalive nor retransmissions can be over yet: its answer may take long."""

    def asked(question: Question) -> None:
        pytest.fail(f"asked {question}")

    monkeypatch.setattr("harness.oracle.established.predict", asked)
    slow = {**SETTINGS, "idle_s": 7200}
    for settings, run in ((slow, ()), (slow, (segment(5, "out"),)), (OFF, ())):
        events_found = events(*run, sign(100, "exit", "status 1"), settings=settings)
        found = described(cell("blackhole-to-server"), events_found).end("client").attribution
        assert found is not None
        assert found.by == "own-timer"


def test_what_no_capture_shows_is_not_known() -> None:
    """Where the end's own interface is down, what it sends is on no wire."""
    run = events(sign(900, "exit", "status 1"))
    found = described(cell("client-link-down"), run).end("client").attribution
    assert found is not None
    assert found.by == "unknown"


def test_the_segments_that_were_sent_meanwhile_are_counted() -> None:
    """Between the fault and the first sign, on the watched connection alone."""
    run = events(
        segment(-1, "out"),
        segment(1, "out"),
        segment(2, "out", "retransmit"),
        segment(3, "out", "probe"),
        segment(4, "out", sport=41001),
        sign(5, "exit", "status 1"),
        segment(6, "out", "retransmit"),
    )
    found = described(cell("blackhole"), run).end("client")
    assert (found.writes, found.retransmissions, found.probes) == (1, 1, 1)


@pytest.mark.parametrize(("role", "flags", "by"), [("rst", "R", "rst"), ("fin", "FA", "fin")])
def test_an_answer_of_the_peer_s_host_is_told(role: str, flags: str, by: str) -> None:
    """An RST or a FIN just before the sign decided, whatever timers were due."""
    run = events(segment(5, "in", role, flags=flags), sign(5.05, "exit", "status 1"))
    found = described(cell("server-rebooted"), run).end("client")
    assert found.attribution is not None
    assert found.attribution.by == by


def test_an_answer_to_its_own_close_decides_nothing() -> None:
    """The end had given its peer up before: the RST only answers its FIN."""
    run = events(
        segment(30, "out", "fin", flags="FA"),
        segment(30, "in", "rst", flags="R"),
        sign(30.002, "close", "FIN sent"),
    )
    found = described(cell("server-rebooted"), run).end("client")
    assert found.attribution is not None
    assert found.attribution.by == "own-timer"


def test_an_rst_after_the_end_of_the_stream_is_told_with_it() -> None:
    """Whichever of both the program has read."""
    run = events(
        segment(1, "in", "fin", flags="FA"),
        segment(5, "in", "rst", flags="R"),
        sign(5.05, "exit", "status 1"),
    )
    found = described(cell("server-killed"), run).end("client")
    assert found.attribution is not None
    assert found.attribution.words == "an RST arrived, 4.000 s after the end of the stream (FIN)"


def test_nothing_watches_a_silent_connection() -> None:
    """Without keepalive and without data an end cannot detect its peer's death, and the report says
    so.
    """
    report = described(cell("blackhole"), events(settings=OFF))
    found = report.end("client")
    assert (found.finding, found.grade, report.watched_s) == ("never", "bad", 10_800.0)
    assert found.attribution is not None
    assert found.attribution.by == "nothing"


def test_a_new_line_of_output_is_guessed_to_be_the_sign() -> None:
    """A line that differs from earlier ones in more than its digits; a number alone is nothing."""
    run = events(
        printed(-10, "pong 1"), printed(1, "pong 2"), printed(30, "lost: [Errno 110] no answer")
    )
    found = described(cell("blackhole"), run).end("client")
    assert found.sign is not None
    assert (found.sign.how, found.sign.at_s, found.sign.guessed) == ("output", 30.0, True)
    assert found.error == "ETIMEDOUT"


def test_signs_are_in_the_order_of_time() -> None:
    """The first counts, the others follow; a close of another connection is none."""
    run = events(
        sign(3, "close", "FIN sent", local=["10.77.1.1", 41001]),
        sign(5, "close", "FIN sent", local=["10.77.1.1", 41000]),
        sign(6, "reconnect", "a SYN"),
    )
    found = described(cell("blackhole"), run).end("client")
    assert found.sign is not None
    assert (found.sign.how, found.sign.at_s) == ("close", 5.0)
    assert [each.how for each in found.others] == ["reconnect"]


def test_a_sign_before_the_fault_is_a_false_alarm() -> None:
    """So is one under a fault that leaves the peer where it is; a guess is not."""
    early = described(cell("blackhole"), events(sign(-3, "exit", "status 1"))).end("client")
    assert (early.finding, early.grade) == ("false-alarm", "bad")
    harmless = described(cell("slow-lossy"), events(sign(3, "reconnect", "a SYN"))).end("client")
    assert (harmless.finding, harmless.grade) == ("false-alarm", "bad")
    guessed = described(cell("slow-lossy"), events(printed(3, "slow"))).end("client")
    assert (guessed.finding, guessed.grade) == ("unaffected", "good")


def test_recovery_on_the_same_connection() -> None:
    """The first data that arrives after the outage, counted from its end."""
    run = events(segment(2, "in"), segment(31.5, "in"), healed_s=30)
    found = described(cell("outage"), run).end("client")
    assert (found.finding, found.grade) == ("unaffected", "good")
    assert found.recovery == Recovery(connection="same", by="data", after_s=1.5)


def test_recovery_on_a_new_connection() -> None:
    """Data on another connection than the one that was given up."""
    run = events(
        sign(20, "reconnect", "a SYN"),
        at(33, "subject.reconnected", side="client", remote=[]),
        segment(34, "in", dport=41001),
        healed_s=30,
    )
    found = described(cell("outage"), run).end("client")
    assert (found.finding, found.grade) == ("detected", "good")
    assert found.recovery == Recovery(connection="new", by="data", after_s=4.0)


def test_a_client_that_never_works_again() -> None:
    """It detected the outage, stays, and no data comes any more: that is bad. One that ends leaves
    it to others to start it again.
    """
    stays = described(cell("outage"), events(sign(20, "close", "FIN sent"), healed_s=30))
    assert (stays.end("client").finding, stays.end("client").grade) == ("detected", "bad")
    ended = at(20, "subject.ended", side="client", status=1)
    ends = described(cell("outage"), events(sign(20, "exit", "status 1"), ended, healed_s=30))
    assert (ends.end("client").grade, ends.end("client").ended) == ("good", 1)


def test_what_is_left() -> None:
    """Sockets with their queues and the number of processes, as the run found them at its end."""
    socket = {"local": [], "remote": [], "state": "FIN_WAIT1", "held": False}
    left = at(
        10_799,
        "subject.left",
        side="client",
        processes=["client"],
        sockets=[{**socket, "unsent": 5, "unread": 0}],
    )
    found = described(cell("blackhole"), events(left)).end("client").left
    assert found is not None
    assert (found.processes, found.sockets[0].state, found.sockets[0].unsent) == (1, "FIN_WAIT1", 5)


def test_a_run_that_broke_is_not_described() -> None:
    """Its reason stands in the report. A fault that met no packet is a note."""
    broken = described(
        cell("blackhole"), events(), verdict="inconclusive", cause="run-broken", reason="no client"
    )
    assert (broken.trouble, broken.end("client").finding) == ("no client", "unknown")
    idle = described(
        cell("blackhole"),
        events(),
        verdict="inconclusive",
        cause="fault-met-nothing",
        reason="nothing was sent",
    )
    assert (idle.trouble, idle.notes) == ("", ("nothing was sent",))
    assert idle.end("client").finding == "never"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("read: ETIMEDOUT", "ETIMEDOUT"),
        ("OSError: [Errno 104] x", "ECONNRESET"),
        ("write failed: Broken pipe", "EPIPE"),
        ("ERROR EVERYTHING is lost", None),
    ],
)
def test_the_errno_in_a_line(line: str, error: str | None) -> None:
    """By its name, its number, or the words of strerror(3)."""
    assert signs.error_in(line) == error


def test_the_plan_of_a_cell_is_sound() -> None:
    """The planner takes each scenario of the grid."""
    assert make(cell("blackhole", BASE).scenario, MACHINE).watch_ns > 10_800_000_000_000
