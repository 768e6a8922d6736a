"""The judge on what programs detect by themselves: reports, reconnections, the last data, claims
known not to hold.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from harness.faults import Blackhole, ProcessKill
from harness.model.programs import Command, Detects
from harness.oracle.prediction import Outcome, Prediction
from harness.plan.plan import Plan
from harness.plan.planner import make
from harness.scenario.schema import Endpoint, Expect, Scenario
from harness.timeline import Event
from tests.unit import timelines
from tests.unit.judging import MS, TOOK_NS, bitten, verdict
from tests.unit.timelines import MACHINE, SECOND, at, moved

COMMAND = Endpoint(command=Command(argv=("client",), detects=Detects(prints="lost")))
NEAR, FAR = 41000, 7000


def noticing(known_failure: str = "", **expect: Any) -> Plan:
    """A command that must detect a blackhole, set in half a second after arming, within 1 to 2 s of
    that.
    """
    claim = {"outcome": "noticed", "origin": "fault", "window_s": (1.0, 2.0), **expect}
    return timelines.planned(
        Blackhole(at_s=0.5), client=COMMAND, known_failure=known_failure, **claim
    )


def segment(at_ns: int, way: str, length: int = 0, port: int = NEAR) -> Event:
    """One of the watched connection, unless its near port is another."""
    ports = (port, FAR) if way == "out" else (FAR, port)
    return at(
        at_ns,
        "segment",
        way=way,
        role="data",
        flags="A",
        length=length,
        sport=ports[0],
        dport=ports[1],
    )


def run(noticed_ns: int | None, *more: Event, reports: str | None = "TimeoutError") -> list[Event]:
    """What is recorded where the program says at that time after arming that its peer is gone."""
    ended_ns = 5 * SECOND if noticed_ns is None else noticed_ns + 20 * MS
    data: dict[str, Any] = {
        "side": "client",
        "how": "output",
        "found": f"lost {reports}",
        "reports": reports,
    }
    said = [] if noticed_ns is None else [at(noticed_ns, "subject.noticed", **data)]
    local = ["10.77.1.1", NEAR]
    events = [
        Event(0, "opened", "harness", {"monotonic_ns": 5, "realtime_ns": 7}),
        at(0, "subject.armed", side="client", took_ns=TOOK_NS, local=local),
        *bitten(0, SECOND // 2),
        *said,
        *more,
        at(ended_ns, "run.ended", "harness", reason="by hand"),
        at(ended_ns + MS, "capture.ended", dropped=0),
    ]
    return sorted(events, key=lambda event: event.t_ns)


def test_what_a_program_reports() -> None:
    """In its window, with the word that it must say; nothing else will do."""
    found = verdict(noticing(reports="TimeoutError"), run(2 * SECOND), "pass")
    assert (found.outcome, found.reports, found.errno) == ("noticed", "TimeoutError", None)
    assert found.detected_ns == 3 * SECOND // 2
    words = ("expected a report of 'EOF', found output: lost TimeoutError 1.500 s after the fault",)
    verdict(noticing(reports="EOF"), run(2 * SECOND), "fail", *words)
    verdict(noticing(), run(SECOND), "fail", "before expect.window_s (1 to 2 s after the fault)")
    verdict(
        noticing(),
        run(3 * SECOND),
        "fail",
        "after expect.window_s (1 to 2 s after the fault) ended",
    )
    verdict(
        noticing(),
        run(None),
        "fail",
        "expected the program to give its peer up, found nothing detected",
    )
    assert verdict(noticing(), run(2 * SECOND, reports=None), "pass").reports == "output"


def test_a_claim_that_ends_too_early_says_how_to_watch_for_longer() -> None:
    """The reason names the end of the watch, what would prolong it, and what the program printed
    last.
    """
    watched = (
        "found nothing detected until the watch ended, 4.000 s after the fault; a later end of "
        "expect.window_s"
    )
    lines = [
        at(number, "subject.printed", side="client", line=f"line {number}") for number in range(5)
    ]
    other = at(9, "subject.printed", "server", side="server", line="of the server")
    words = (watched, "; the command's last lines: line 2 | line 3 | line 4")
    assert (
        "of the server" not in verdict(noticing(), run(None, *lines, other), "fail", *words).reason
    )
    verdict(
        noticing(),
        run(None, other),
        "fail",
        watched,
        "the command has printed nothing (if it should have",
    )


def test_silence_is_doubtful_where_nothing_at_all_was_printed() -> None:
    """The claim that nothing is detected holds, and the reason says that a buffer may hide the
    contrary.
    """
    plan = noticing(outcome="never", origin="armed", window_s=None, bound_s=4.0)
    verdict(plan, run(None), "pass", "the command has printed nothing", "stdbuf -oL")
    spoken = verdict(
        plan, run(None, at(9, "subject.printed", side="client", line="connected")), "pass"
    )
    assert "printed" not in spoken.reason


def test_a_command_that_is_slow_to_say_so_is_too_late() -> None:
    """A busy machine delays it by 2 s at most.

    More is its own doing, though the kernel has told it in time.
    """
    reset = at(SECOND, "segment", way="in", role="rst", flags="R", sport=FAR, dport=NEAR)
    verdict(
        noticing(), run(3 * SECOND, reset), "inconclusive", "the kernel decided in time", "too busy"
    )
    verdict(
        noticing(),
        run(3 * SECOND + 1, reset),
        "fail",
        "after expect.window_s (1 to 2 s after the fault) ended",
    )


def test_other_ends_are_none_of_its_own() -> None:
    """An error or the end of the stream is not what the program was to say."""
    eof = [*run(None), at(2 * SECOND, "subject.eof", side="client", poll=["IN"])]
    verdict(noticing(), eof, "fail", "expected the program to give its peer up, found end of file")


def test_who_reconnects_is_held_to_that() -> None:
    """The time from the detection to the next connection is judged apart from that of detection."""
    plan = noticing(reconnects_s=(1.0, 1.5))
    again: dict[str, Any] = {"side": "client", "remote": ["10.77.1.254", FAR]}
    for after_ns, name in (
        (1000 * MS, "pass"),
        (1550 * MS, "pass"),
        (999 * MS, "fail"),
        (1551 * MS, "fail"),
    ):
        found = verdict(
            plan, run(2 * SECOND, at(2 * SECOND + after_ns, "subject.reconnected", **again)), name
        )
        assert found.reconnected_ns == after_ns
    verdict(
        plan,
        run(2 * SECOND),
        "fail",
        "no other connection was made, expected 1 to 1.5 s after that",
    )
    earlier = at(SECOND, "subject.reconnected", **again)
    verdict(plan, run(2 * SECOND, earlier), "fail", "no other connection was made")
    assert plan.reconnects_within_ns == 3_500_000_000
    assert noticing().reconnects_within_ns == 0


def healed(**expect: Any) -> Plan:
    """An outage from half a second to 2 s after arming, after which the program must say
    something.
    """
    claim = Expect(**{"outcome": "noticed", "origin": "healed", **expect})
    return make(
        Scenario(
            name="by/hand", client=COMMAND, faults=(Blackhole(at_s=0.5, for_s=1.5),), expect=claim
        ),
        MACHINE,
    )


def healed_run(noticed_ns: int, *more: Event, over_ns: int = 0) -> list[Event]:
    """The program says it at that time after arming.

    The outage wears off after 2.001 s, or when the run is over.
    """
    ended_ns = over_ns or noticed_ns + 20 * MS
    events = moved(run(noticed_ns, segment(700 * MS, "out"), *more), "run.ended", ended_ns)
    events = moved(events, "fault.healed", 2001 * MS if ended_ns > 2001 * MS else ended_ns + MS)
    return moved(events, "capture.ended", ended_ns + 2 * MS)


def test_what_counts_from_the_healing() -> None:
    """The window's origin is the moment when the last fault is healed.

    What comes before that is too early.
    """
    plan = healed(window_s=(1.0, 2.0))
    assert verdict(plan, healed_run(3500 * MS), "pass").detected_ns == 1499 * MS
    verdict(
        plan,
        healed_run(2900 * MS),
        "fail",
        "detected 0.899 s after the removal of the last fault, 0.101 s before",
    )
    words = "after expect.window_s (1 to 2 s after the removal of the last fault) ended"
    verdict(plan, healed_run(4100 * MS), "fail", words)
    assert (
        verdict(plan, healed_run(SECOND), "fail", "detected before the last").cause
        == "noticed-too-early"
    )
    assert plan.watch_ns == 6 * SECOND


def test_who_reconnects_after_the_healing() -> None:
    """It is held to that alone, whenever it was detected that the connection was lost."""
    plan = healed(reconnects_s=(0.5, 1.0))

    def again(at_ns: int) -> Event:
        return at(at_ns, "subject.reconnected", side="client", remote=["10.77.1.254", FAR])

    for after_ns, name in (
        (500 * MS, "pass"),
        (1050 * MS, "pass"),
        (499 * MS, "fail"),
        (1051 * MS, "fail"),
    ):
        found = verdict(
            plan,
            healed_run(SECOND, again(1900 * MS), again(2001 * MS + after_ns), over_ns=4 * SECOND),
            name,
        )
        assert found.reconnected_ns == after_ns
    words = "expected another connection 0.5 to 1 s after the last fault was removed, found none"
    verdict(plan, healed_run(SECOND, again(1900 * MS), over_ns=5 * SECOND), "fail", words)
    assert (plan.reconnects_within_ns, plan.watch_ns) == (5 * SECOND, 5 * SECOND)


def test_faults_after_the_loss_count_until_the_reconnection() -> None:
    """The program is killed twice, detects it the first time, and must come back after the second:
    both must act.
    """
    kills = tuple(ProcessKill(at_s=at_s, for_s=0.5) for at_s in (0.5, 2.0))
    claim = Expect(outcome="noticed", origin="healed", reconnects_s=(0.0, 1.0))
    plan = make(
        Scenario(name="by/hand", client=COMMAND, server=COMMAND, faults=kills, expect=claim),
        MACHINE,
    )
    second = [
        at(2 * SECOND, "fault.injected", "fault", index=1, took_ns=MS),
        at(2500 * MS, "fault.healed", "fault", index=1, took_ns=MS),
    ]
    evidence = at(2499 * MS, "fault.evidence", "fault", index=1, level="bit", found="dead")
    again = at(2600 * MS, "subject.reconnected", side="client", remote=["10.77.1.254", FAR])
    first = moved(run(600 * MS, again), "fault.healed", SECOND)
    events = moved(moved(first, "run.ended", 3 * SECOND), "capture.ended", 3 * SECOND + MS)
    found = verdict(
        plan, sorted([*events, *second, evidence], key=lambda event: event.t_ns), "pass"
    )
    assert found.reconnected_ns == 100 * MS
    unseen = sorted([*events, *second], key=lambda event: event.t_ns)
    verdict(plan, unseen, "inconclusive", "fault 1 (process-kill) left no evidence")


@pytest.mark.parametrize(
    ("noticed_s", "plain", "known"), [(2, "pass", "fail"), (3, "fail", "pass")]
)
def test_a_claim_that_is_known_not_to_hold(noticed_s: int, plain: str, known: str) -> None:
    """Refuted it passes, and confirmed it fails, so that nobody overlooks a fixed program."""
    verdict(noticing(), run(noticed_s * SECOND), plain)
    found = verdict(noticing(known_failure="2.5 s"), run(noticed_s * SECOND), known, "2.5 s")
    assert found.known_failure == "2.5 s"
    unready = [event for event in run(noticed_s * SECOND) if event.kind != "subject.armed"]
    verdict(noticing(known_failure="2.5 s"), unready, "inconclusive")


def foreseen(**outcome: Any) -> Plan:
    """The same, with a prediction: 1 s to 1.2 s after the last data."""
    plan = noticing(window_s=(0.0, 4.0))
    common: dict[str, Any] = {
        "errno": None,
        "probes": (0, 0),
        "probes_seen": (0, 0),
        "rst": False,
        "why": "silence",
    }
    window_ns, since_ns = (0, 4 * SECOND), (SECOND, 1200 * MS)
    one = Outcome(kind="noticed", window_ns=window_ns, since_read_ns=since_ns, **common, **outcome)
    prediction = Prediction(outcomes=(one,), probe_windows_ns=(), horizon_ns=10 * SECOND)
    return msgspec.structs.replace(plan, prediction=prediction, expected=(one,))


def test_silence_counts_from_the_last_data() -> None:
    """On whatever connection it came; segments without data, and what came later, do not count."""
    late = [segment(1500 * MS, "in"), segment(1600 * MS, "out", 5), segment(2020 * MS, "in", 5)]
    verdict(foreseen(), run(2 * SECOND, segment(SECOND, "in", 1), *late), "pass", "silence")
    verdict(foreseen(), run(2 * SECOND, segment(SECOND, "in", 1, port=42000), *late), "pass")
    words = ("detected 0.500 s after the last data came, the oracle says 1.000 s to 1.200 s",)
    verdict(foreseen(), run(2 * SECOND, segment(1500 * MS, "in", 1)), "fail", *words)
    verdict(
        foreseen(),
        run(2 * SECOND, segment(700 * MS, "in", 1)),
        "fail",
        "detected 1.300 s after the last data",
    )


def test_a_reconnection_that_is_foreseen() -> None:
    """Is judged as one that is claimed."""
    plan = foreseen(reconnects_ns=(SECOND, SECOND + MS))
    data = segment(SECOND, "in", 1)
    again = at(3 * SECOND, "subject.reconnected", side="client", remote=["10.77.1.254", FAR])
    verdict(plan, run(2 * SECOND, data, again), "pass")
    verdict(plan, run(2 * SECOND, data), "fail", "no other connection was made")
    assert plan.reconnects_within_ns == 3 * SECOND + MS


def test_only_the_watched_connection_has_a_say_in_last_received() -> None:
    """Segments of other connections of the same program do not move that origin."""
    plan = noticing(origin="last-received", window_s=(0.9, 1.1))
    others = [segment(1800 * MS, "in", 5, port=42000)]
    verdict(plan, run(2 * SECOND, segment(SECOND, "in", 5), *others), "pass")
    verdict(plan, run(2 * SECOND, segment(1800 * MS, "in", 5)), "fail", "before expect.window_s")
