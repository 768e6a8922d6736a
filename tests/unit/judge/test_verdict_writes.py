"""Judging runs in which data is in flight."""

from __future__ import annotations

from typing import Any

import pytest

from harness.faults import Blackhole
from harness.judge.verdict import judge
from harness.plan.plan import Plan
from harness.scenario.schema import Endpoint
from tests.unit.timelines import SECOND, as_foreseen, at, changed, moved, planned, segments, without

MS = 1_000_000


def _plan(user_timeout_s: float = 2.0) -> Plan:
    """Data is written into a blackhole; detected by the user timeout."""
    writer = Endpoint(user_timeout_s=user_timeout_s, writes_at_s=(1.0,))
    return planned(Blackhole(at_s=0.5), client=writer, outcome="detected", errno="ETIMEDOUT")


def test_data_given_up_in_its_window_passes() -> None:
    """Retransmissions are counted where keepalive's probes are in an idle connection.

    The write is cited.
    """
    plan = _plan()
    events = as_foreseen(plan)
    found = judge(plan, events)
    assert (found.verdict, found.probes, found.probes_expected) == ("pass", 4, (4, 4)), found.reason
    assert "subject.wrote" in [events[index].kind for index in found.cites]


def test_without_a_user_timeout_the_watch_is_long_enough() -> None:
    """924.6 s and what the timer wheel adds, whatever keepalive would do."""
    plan = _plan(user_timeout_s=0.0)
    assert plan.prediction is not None
    assert 930 * SECOND < plan.watch_ns < 1100 * SECOND
    assert judge(plan, as_foreseen(plan)).verdict == "pass"


@pytest.mark.parametrize(
    ("moment_ns", "words"),
    [(SECOND - MS, "write 0 of the client came 0.999 s"), (SECOND + 60 * MS, "too busy")],
)
def test_a_write_at_another_time_proves_nothing(moment_ns: int, words: str) -> None:
    """The window was computed for the planned moment and what this machine may be late by."""
    plan = _plan()
    found = judge(plan, moved(as_foreseen(plan), "subject.wrote", moment_ns))
    assert found.verdict == "inconclusive"
    assert words in found.reason


def test_a_write_that_never_happened_or_failed_proves_nothing() -> None:
    """There was nothing in flight then."""
    plan = _plan()
    events = as_foreseen(plan)
    never = judge(plan, without(events, "subject.wrote"))
    failed = judge(plan, changed(events, "subject.wrote", written=False))
    assert (never.verdict, failed.verdict) == ("inconclusive", "inconclusive")
    assert "never happened, planned for 1.000 s" in never.reason
    assert "took no data" in failed.reason


def test_retransmissions_are_held_to_their_number_and_times() -> None:
    """As probes are."""
    plan = _plan()
    events = as_foreseen(plan)
    last = segments(events, "retransmit")[-1]
    found = judge(plan, [event for event in events if event is not last])
    assert (found.verdict, found.reason) == (
        "fail",
        "3 retransmissions on the wire, the oracle says 4",
    )
    found = judge(plan, moved(events, "segment", 3 * SECOND))
    assert found.verdict == "fail"
    assert "retransmission 1 was sent" in found.reason


def test_what_the_oracle_has_no_model_of_needs_a_claim() -> None:
    """Data again before the loss probe of the first, or the peer's on a path that is cut."""
    claim: dict[str, Any] = {"outcome": "detected", "errno": "ETIMEDOUT", "window_s": (1, 2000)}
    twice = Endpoint(writes_at_s=(1.0, 1.1))
    again = planned(Blackhole(at_s=0.5), client=twice, **claim)
    assert (
        again.unpredictable
        == "data is written again before the loss probe of what was written before"
    )
    other = planned(Blackhole(at_s=0.5), server=Endpoint(writes_at_s=(1.0,)), **claim)
    assert (
        other.unpredictable == "the peer writes while the path is cut: its retransmissions decide"
    )


def _shut() -> Plan:
    """A direction is shut into a blackhole: the FIN is in flight."""
    closer = Endpoint(user_timeout_s=2.0, shuts_at_s=1.0)
    return planned(Blackhole(at_s=0.5), client=closer, outcome="detected", errno="ETIMEDOUT")


def test_a_fin_given_up_in_its_window_passes() -> None:
    """The shutdown is cited."""
    plan = _shut()
    events = as_foreseen(plan)
    found = judge(plan, events)
    assert found.verdict == "pass", found.reason
    assert "subject.shut" in [events[index].kind for index in found.cites]


def test_a_shutdown_that_never_happened_or_failed_proves_nothing() -> None:
    """Or came at another time."""
    plan = _shut()
    events = as_foreseen(plan)
    found = [
        judge(plan, without(events, "subject.shut")),
        judge(plan, changed(events, "subject.shut", done=False)),
        judge(plan, moved(events, "subject.shut", SECOND + 60 * MS)),
    ]
    assert [each.verdict for each in found] == ["inconclusive"] * 3
    words = ("never happened, planned for 1.000 s", "not connected any more", "too busy")
    assert all(word in each.reason for word, each in zip(words, found, strict=True))


def test_a_round_trip_that_was_too_long_proves_nothing() -> None:
    """In real time the first timeout is foreseen for what a handshake may take."""
    plan = _plan()
    events = as_foreseen(plan)
    asked = at(-60 * MS, "segment", "client", way="out", role="syn", flags="S")
    answered = at(-50 * MS, "segment", "client", way="in", role="syn-ack", flags="SA")
    found = judge(plan, [asked, answered, *events])
    assert found.verdict == "inconclusive"
    assert "the handshake's round trip took" in found.reason
