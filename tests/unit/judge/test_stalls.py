"""Judging runs in which the harness stood still: no verdict rests on a moment that may lie beyond a
window's edge.
"""

from __future__ import annotations

import pytest

from harness.faults import Blackhole, PeerReboot, ProcessKill
from harness.model.programs import Command, Detects, Simple
from harness.model.topology import Topology
from harness.plan.plan import Plan
from harness.plan.planner import make
from harness.scenario.schema import Endpoint, Expect, Keepalive, Scenario
from harness.timeline import Event
from tests.unit.judging import MS, bitten, noticed_at, verdict, window
from tests.unit.timelines import (
    MACHINE,
    SECOND,
    as_foreseen,
    at,
    changed,
    flap,
    planned,
    segments,
    unreachable,
    without,
)


def stalled(from_ns: int, until_ns: int) -> Event:
    """The harness did not run between two moments after arming."""
    return at(from_ns, "run.stalled", "harness", took_ns=until_ns - from_ns)


def command_noticed(after_s: float, window_s: tuple[float, float]) -> tuple[Plan, list[Event]]:
    """A command that gives its peer up at a moment, as it was seen."""
    client = Endpoint(command=Command(argv=("client",), detects=Detects(prints="lost")))
    claim = Expect(outcome="noticed", window_s=window_s)
    plan = make(
        Scenario(name="by/hand", client=client, faults=(Blackhole(at_s=0.5),), expect=claim),
        MACHINE,
    )
    seen_ns = round(after_s * SECOND)
    return plan, [
        at(0, "subject.armed", side="client", took_ns=1000),
        *bitten(0, SECOND // 2),
        at(seen_ns, "subject.noticed", side="client", how="output", found="lost"),
        at(seen_ns + 20 * MS, "run.ended", "harness"),
        at(seen_ns + 40 * MS, "capture.ended", dropped=0),
    ]


@pytest.mark.parametrize("window_s", [(4.0, 6.0), (2.0, 4.0)])
def test_a_command_seen_after_a_stall_decides_nothing(window_s: tuple[float, float]) -> None:
    """Seen at 4.7 s it would pass in one window and fail in the other.

    It may have come at any moment of the stall.
    """
    plan, events = command_noticed(4.72, window_s)
    verdict(plan, events, "pass" if window_s[0] == 4.0 else "fail")
    found = verdict(
        plan,
        [*events, stalled(1500 * MS, 4700 * MS)],
        "inconclusive",
        "did not run from 1.500 s to 4.700 s after arming",
    )
    assert found.cause == "machine-too-busy"


def test_a_stall_after_the_decision_changes_nothing() -> None:
    """What came before it is known."""
    plan, events = command_noticed(4.72, (4.0, 6.0))
    verdict(plan, [*events, stalled(4721 * MS, 4735 * MS)], "pass")
    verdict(plan, [*events, stalled(-2 * SECOND, -SECOND)], "pass")


def test_a_short_stall_is_within_the_allowance_of_programs() -> None:
    """Their windows have room for it, but not at the edge: there the moment itself is in doubt."""
    plan, events = command_noticed(4.72, (4.0, 6.0))
    verdict(plan, [*events, stalled(2000 * MS, 2050 * MS)], "pass")
    verdict(plan, [*events, stalled(2000 * MS, 2051 * MS)], "inconclusive", "its peer stood still")
    plan, events = command_noticed(4.01, (4.0, 6.0))
    verdict(plan, events, "pass")
    verdict(
        plan,
        [*events, stalled(3970 * MS, 4010 * MS)],
        "inconclusive",
        "this may be true as well: detected 3.970 s",
    )


def test_heartbeats_prove_nothing_across_a_stall() -> None:
    """Both programs stood still: each may have taken the other for dead, or have seen it late."""
    end = Endpoint(heartbeat=Simple(idle_s=2, wait_s=1, misses=2))
    plan = planned(Blackhole(at_s=0.5), client=end, server=end, outcome="noticed")
    low, high = window(plan)
    middle = (low + high) // 2
    events = [
        at(0, "subject.armed", side="client", took_ns=1000),
        *bitten(0, SECOND // 2),
        at(middle, "subject.noticed", side="client", how="heartbeat", found="silence"),
        at(middle + 20 * MS, "run.ended", "harness"),
        at(middle + 40 * MS, "capture.ended", dropped=0),
    ]
    verdict(plan, events, "pass")
    verdict(
        plan,
        [*events, stalled(SECOND, 2 * SECOND)],
        "inconclusive",
        "a program may have detected the fault late",
    )


def test_the_kernels_decision_is_known_whenever_it_is_seen() -> None:
    """An RST that left in the window shows that it was in time, though the harness ran again only
    after that.
    """
    plan = unreachable(window_s=(5.0, 5.4))
    low, high = window(plan)
    rst_ns, seen_ns = low + 10 * MS, high + 30 * MS
    events = [event for event in noticed_at(plan, seen_ns) if event.data.get("role") != "rst"]
    rst = at(rst_ns, "segment", way="out", role="rst", flags="RA")
    stall = stalled(rst_ns - SECOND // 2, seen_ns - MS)
    verdict(plan, [*events, rst, stall], "pass")
    verdict(
        plan,
        [*events, at(low - MS, "segment", way="out", role="rst", flags="RA"), stall],
        "inconclusive",
    )
    verdict(plan, [*events, stall], "inconclusive")


def test_a_stall_while_the_kernel_waits_changes_nothing() -> None:
    """Neither a probe nor the end was due in it."""
    plan = unreachable()
    probes = segments(as_foreseen(plan), "probe")
    first_ns, second_ns = (probe.t_ns - 100 * MS for probe in probes[:2])
    verdict(plan, [*as_foreseen(plan), stalled(first_ns + 10 * MS, second_ns - 60 * MS)], "pass")


def test_what_is_sent_right_after_a_stall_may_have_been_due_in_it() -> None:
    """A machine that stood still sends its probes late, and everything after them."""
    plan = unreachable()
    probe = segments(as_foreseen(plan), "probe")[1]
    sent_ns = probe.t_ns - 100 * MS
    stall = stalled(sent_ns - 500 * MS, sent_ns - MS)
    verdict(
        plan,
        [*as_foreseen(plan), stall],
        "inconclusive",
        "the kernel's timers may have stood still too",
    )


def test_an_injection_that_a_stall_interrupted_sets_no_origin() -> None:
    """The fault may have set in before or after the stall, and the claim counts from it."""
    plan = planned(PeerReboot(at_s=0.5), errno="ECONNRESET", window_s=(1.0, 1.6), origin="fault")
    events = as_foreseen(plan)
    found = verdict(plan, events, "pass")
    assert found.detected_ns is not None
    took_ns = found.detected_ns - 900 * MS
    stretched = changed(events, "fault.injected", took_ns=took_ns)
    verdict(plan, stretched, "pass")
    stall = stalled(505 * MS, 500 * MS + took_ns)
    verdict(plan, [*stretched, stall], "inconclusive", "this may be true as well: detected 0.900 s")


def test_nothing_is_refuted_across_a_stall() -> None:
    """Neither what came, nor what did not come, nor what else is missing, by a stall longer than
    the allowance.
    """
    stall = stalled(3000 * MS, 3051 * MS)
    plan = unreachable()
    verdict(
        plan,
        [*noticed_at(plan, window(plan)[0] - 1), stall],
        "inconclusive",
        "before the oracle's window opens",
    )
    verdict(
        plan,
        [*changed(as_foreseen(plan), "subject.detected", errno="EPIPE"), stall],
        "inconclusive",
        "EPIPE",
    )
    plan = flap()
    dead = changed(as_foreseen(plan), "subject.alive", echo=False)
    verdict(plan, dead, "fail")
    verdict(plan, [*dead, stall], "inconclusive", "data sent at the end did not come back")
    found = verdict(
        plan,
        [*without(as_foreseen(plan), "subject.alive"), stall],
        "inconclusive",
        "did not run from",
    )
    assert found.cause == "machine-too-busy"


def test_a_program_that_printed_right_after_a_stall_was_armed_by_it() -> None:
    """A command counts from what was seen of it, which may have been there before."""
    plan, events = command_noticed(4.72, (4.0, 6.0))
    verdict(plan, [*events, stalled(-1000 * MS, -10 * MS)], "inconclusive")
    patient = planned(
        Blackhole(at_s=0.5), client=Endpoint(keepalive=Keepalive(idle_s=2, interval_s=1, count=3))
    )
    verdict(patient, [*as_foreseen(patient), stalled(-1000 * MS, -10 * MS)], "pass")


def waited(took_ns: int) -> Event:
    """A program under test waited so long for a CPU."""
    return at(0, "program.waited", "client", program="client", took_ns=took_ns)


def test_a_program_that_waited_for_a_cpu_may_have_noticed_sooner() -> None:
    """In quiet it might have been before the window, or in it; the whole of its waiting counts."""
    plan, events = command_noticed(4.2, (4.0, 6.0))
    verdict(plan, [*events, waited(199 * MS)], "pass")
    verdict(
        plan,
        [*events, waited(201 * MS)],
        "inconclusive",
        "waited 0.201 s for a CPU",
        "detected 3.999 s",
    )
    plan, events = command_noticed(4.2, (2.0, 4.0))
    verdict(plan, [*events, waited(149 * MS)], "fail")
    verdict(
        plan,
        [*events, waited(151 * MS)],
        "inconclusive",
        "this may be why detected 4.200 s after arming",
    )
    verdict(plan, [*events, waited(2300 * MS)], "inconclusive", "waited 2.300 s for a CPU")
    plan, events = command_noticed(4.2, (4.5, 6.0))
    verdict(plan, [*events, waited(2300 * MS)], "fail", "before expect.window_s")


def test_a_proxy_that_waited_for_a_cpu_may_have_passed_it_on_sooner() -> None:
    """Nothing is refuted that this may account for; a claim that holds needs no doubt."""
    claim = Expect(outcome="eof", window_s=(0.0, 0.15), origin="fault")
    proxied = Scenario(
        name="by/hand",
        topology=Topology(kind="proxied"),
        faults=(ProcessKill(on="server", at_s=0.5),),
        expect=claim,
    )
    plan = make(proxied, MACHINE)

    def ended(after_s: float, *more: Event) -> list[Event]:
        seen_ns = round((0.5 + after_s) * SECOND)
        return [
            at(0, "subject.armed", side="client", took_ns=1000),
            *bitten(0, SECOND // 2),
            at(seen_ns - MS, "segment", "client", way="in", role="fin", flags="FA"),
            at(seen_ns, "subject.eof", "client", side="client", poll=["IN", "RDHUP"]),
            at(seen_ns + 20 * MS, "run.ended", "harness"),
            at(seen_ns + 40 * MS, "capture.ended", dropped=0),
            *more,
        ]

    verdict(plan, ended(0.1, waited(50 * MS)), "pass")
    verdict(plan, ended(0.45), "fail", "detected 0.450 s after the fault")
    verdict(plan, ended(0.45, waited(100 * MS)), "fail", "detected 0.450 s after the fault")
    verdict(plan, ended(0.45, waited(301 * MS)), "inconclusive", "waited 0.301 s for a CPU")


def test_nothing_was_noticed_while_programs_waited_for_a_cpu() -> None:
    """It might have been detected in quiet."""
    plan, events = command_noticed(4.2, (2.0, 4.0))
    quiet = [
        *without(events, "subject.noticed", "run.ended"),
        at(plan.watch_ns, "run.ended", "harness"),
    ]
    verdict(plan, quiet, "fail", "found nothing detected")
    verdict(plan, [*quiet, waited(51 * MS)], "inconclusive", "found nothing detected")


def test_short_stalls_refute_nothing_that_they_may_have_brought_about() -> None:
    """They add up. What is later than that, or is no matter of time, stays refuted."""
    shorts = [stalled(1000 * MS, 1030 * MS), stalled(2000 * MS, 2030 * MS)]
    plan, events = command_noticed(4.109, (2.0, 4.0))
    verdict(plan, events, "fail")
    verdict(plan, [*events, *shorts], "inconclusive", "the harness did not run for 0.060 s in all")
    plan, events = command_noticed(4.111, (2.0, 4.0))
    verdict(plan, [*events, *shorts], "fail")
    plan = unreachable()
    verdict(
        plan,
        [*noticed_at(plan, window(plan)[0] - 1), shorts[0]],
        "inconclusive",
        "before the oracle's window opens",
    )
    verdict(
        plan,
        [*changed(as_foreseen(plan), "subject.detected", errno="EPIPE"), *shorts],
        "fail",
        "EPIPE",
    )
    dead = changed(as_foreseen(flap()), "subject.alive", echo=False)
    verdict(flap(), [*dead, shorts[0]], "fail")
    verdict(flap(), [*dead, *shorts], "inconclusive", "data sent at the end did not come back")
