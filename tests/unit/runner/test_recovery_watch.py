"""When a run need not wait for data any longer."""

from __future__ import annotations

from harness.model.events import CapturedPacket
from harness.runner.recovery_watch import RecoveryWatch
from tests.unit.recovering import CLIENT, OUTAGE, RESET, answered, recovering, sent
from tests.unit.timelines import ARMED_NS, SECOND, planned


def fed(watch: RecoveryWatch, *moments_s: float, host: str = "client") -> None:
    """Answers come at these moments after arming."""
    for at_s in moments_s:
        for event in answered(at_s):
            watch.take(host, event.t_ns, event.data)


def test_it_is_over_when_data_has_passed_since_the_fault_was_removed() -> None:
    """Not by what had passed before, nor on the other host."""
    plan = recovering()
    watch, now_ns = RecoveryWatch(plan), ARMED_NS + 40 * SECOND
    fed(watch, 1, 9)
    fed(watch, 33, host="server")
    assert not watch.is_over(plan, ARMED_NS, now_ns)
    fed(watch, 33)
    assert watch.is_over(plan, ARMED_NS, now_ns)


def test_faults_that_are_still_to_come_are_awaited() -> None:
    """The claim is about the last of them."""
    plan = recovering(OUTAGE, RESET)
    watch = RecoveryWatch(plan)
    fed(watch, 1, 31)
    assert not watch.is_over(plan, ARMED_NS, ARMED_NS + 34 * SECOND)
    assert watch.is_over(plan, ARMED_NS, ARMED_NS + 35 * SECOND)


def test_acknowledgements_are_enough_of_a_peer_that_only_receives() -> None:
    """As to the judge."""
    plan = recovering()
    watch = RecoveryWatch(plan)
    for event in sent(32):
        watch.take("client", event.t_ns, event.data)
    assert watch.is_over(plan, ARMED_NS, ARMED_NS + 33 * SECOND)


def test_nothing_is_watched_without_a_claim() -> None:
    """And what is captured is no segment at all, sometimes."""
    watch = RecoveryWatch(planned(OUTAGE, client=CLIENT, outcome="never", bound_s=60))
    assert watch.ends == []
    watch.take("client", 1, {"way": "in", "role": "icmp"})
    assert CapturedPacket(way="in", role="icmp").sport == 0
