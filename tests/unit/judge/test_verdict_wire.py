"""Judging: probes, answers, RSTs and captures."""

from __future__ import annotations

import msgspec

from harness.faults import Blackhole, LinkDown, PeerReboot
from harness.plan.allowances import TIMER_ALLOWANCE_MS
from harness.scenario.schema import Endpoint, Keepalive
from harness.timeline import Event
from tests.unit import timelines
from tests.unit.judging import MS, TOOK_NS, verdict, window
from tests.unit.timelines import SECOND, as_foreseen, at, flap, moved, planned, unreachable


def test_probes_are_counted() -> None:
    """One probe too many or too few on the wire is a disagreement with the oracle."""
    plan = unreachable()
    events = as_foreseen(plan)
    first = timelines.segments(events, "probe")[0]
    verdict(
        plan,
        [e for e in events if e is not first],
        "fail",
        "2 probes on the wire, the oracle says 3",
    )
    more = at(4500 * MS, "segment", way="out", role="probe", flags="A")
    assert (
        verdict(plan, [*events, more], "fail", "4 probes on the wire, the oracle says 3").probes
        == 4
    )
    after_the_end = at(window(plan)[1] + MS, "segment", way="out", role="probe", flags="A")
    verdict(plan, [*events, after_the_end], "pass")
    from_the_peer = at(4500 * MS, "segment", way="in", role="probe", flags="A")
    verdict(plan, [*events, from_the_peer], "pass")


def test_probes_beyond_the_horizon_are_not_counted() -> None:
    """A quiet connection that is watched for longer than was looked ahead may be probed again."""
    plan = flap()
    longer = msgspec.structs.replace(plan, watch_ns=plan.watch_ns + 5 * SECOND)
    events = moved(as_foreseen(plan), "run.ended", longer.watch_ns)
    late = at(plan.watch_ns + SECOND, "segment", way="out", role="probe", flags="A")
    verdict(longer, [*events, late], "pass")
    verdict(
        longer,
        [*events, at(7 * SECOND, "segment", way="out", role="probe", flags="A")],
        "fail",
        "5 probes",
    )


def test_probes_keep_to_their_windows() -> None:
    """Probes that are all a nanosecond outside of their windows fail.

    Only a busy kernel is allowed for.
    """
    plan = unreachable()
    assert plan.prediction is not None
    lo, hi = plan.prediction.probe_windows_ns[1]
    busy_ns = TIMER_ALLOWANCE_MS * MS

    def sent(second_ns: int) -> list[Event]:
        probes = timelines.segments(as_foreseen(plan), "probe")
        later_ns = timelines.ARMED_NS + second_ns - probes[1].t_ns
        return [
            msgspec.structs.replace(e, t_ns=e.t_ns + later_ns)
            if e.data.get("role") == "probe"
            else e
            for e in as_foreseen(plan)
        ]

    verdict(plan, sent(lo), "pass")
    verdict(plan, sent(hi + busy_ns + TOOK_NS), "pass")
    verdict(plan, sent(lo - 1), "fail", "was sent", "the oracle says")
    verdict(plan, sent(hi + busy_ns + TOOK_NS + 1), "fail", "was sent")


def test_probes_keep_their_distance() -> None:
    """One probe moved within its window betrays itself: the kernel's spacing is exact."""
    plan = unreachable()
    events = as_foreseen(plan)
    second = timelines.segments(events, "probe")[1]
    moved_by = (TIMER_ALLOWANCE_MS + 4) * MS

    def shifted(by_ns: int) -> list[Event]:
        return [
            msgspec.structs.replace(e, t_ns=e.t_ns + by_ns) if e is second else e for e in events
        ]

    verdict(plan, shifted(moved_by), "pass")
    verdict(
        plan,
        shifted(moved_by + 1),
        "fail",
        "probe 2 came 1.078 s after probe 1",
        "the oracle says 1.024 s",
    )


def test_survival_rests_on_answers() -> None:
    """Where as many probes in a row as the count went unanswered, a live connection is a
    contradiction.
    """
    plan = flap()
    unanswered = [e for e in as_foreseen(plan) if e.data.get("role") != "answer"]
    verdict(plan, unanswered, "fail", "probes in a row went unanswered")


def test_a_reset_needs_its_rst() -> None:
    """ECONNRESET without an RST on the wire is nobody's doing."""
    plan = planned(PeerReboot(at_s=0.5), outcome="detected", errno="ECONNRESET")
    verdict(plan, as_foreseen(plan), "pass")
    silent = [e for e in as_foreseen(plan) if e.data.get("role") != "rst"]
    verdict(plan, silent, "fail", "no RST was captured")


def test_what_lies_between_two_possible_ends_is_in_neither() -> None:
    """The number of probes tells which of several ends it was, and each has a window of its own."""
    short = Blackhole(at_s=0.5, for_s=2.52)
    alive = Endpoint(keepalive=Keepalive(idle_s=1, interval_s=1, count=3))
    plan = planned(short, Blackhole(at_s=6), client=alive, outcome="detected", errno="ETIMEDOUT")
    (outcome,) = plan.expected
    windows = sorted(w for w in outcome.window_by_probes.values() if w is not None)
    assert len(windows) > 1
    assert windows[0][1] < windows[-1][0]
    assert outcome.window_ns == (windows[0][0], windows[-1][1])


def test_the_rst_at_the_abort_is_checked() -> None:
    """An RST that is missing, or that leaves though one's own link is down, is a disagreement with
    the oracle.
    """
    plan = unreachable()
    silent = [event for event in as_foreseen(plan) if event.data.get("role") != "rst"]
    verdict(plan, silent, "fail", "no RST left at the abort")
    local = planned(LinkDown(on="client", at_s=0.5))
    rst = at(window(local)[0], "segment", way="out", role="rst", flags="RA")
    verdict(local, [*as_foreseen(local), rst], "fail", "an RST left at the abort")
    torn_down = at(plan.watch_ns, "segment", way="out", role="rst", flags="RA")
    verdict(local, [*as_foreseen(local), torn_down], "pass")


def test_a_capture_that_lost_frames_decides_nothing() -> None:
    """Where frames were lost, probes cannot be counted.

    Those lost on the other host do not matter.
    """
    plan = unreachable()
    lost = at(6 * SECOND, "capture.ended", dropped=3)
    verdict(plan, [*as_foreseen(plan), lost], "inconclusive", "the capture lost 3 frames")
    verdict(plan, [*as_foreseen(plan), msgspec.structs.replace(lost, source="server")], "pass")
    verdict(plan, [*as_foreseen(plan), at(6 * SECOND, "capture.ended", dropped=0)], "pass")
