"""Judging: runs that cannot be judged, several verdicts, and any timeline at all."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.faults import Blackhole
from harness.judge.verdict import EXIT_STATUS, judge, worst
from harness.scenario.schema import Endpoint, Keepalive
from harness.timeline import Event
from tests.unit.judging import ALLOWANCE_NS, MS, saved, verdict, window
from tests.unit.timelines import (
    SECOND,
    as_foreseen,
    at,
    changed,
    flap,
    moved,
    planned,
    unreachable,
    without,
)


def test_a_broken_run_is_inconclusive() -> None:
    """Whatever else it says, with the error in the reason."""
    plan = unreachable()
    broken = at(6 * SECOND, "run.broken", "harness", error="the lab is gone")
    verdict(plan, [*as_foreseen(plan), broken], "inconclusive", "the run broke: the lab is gone")
    assert judge(plan, [broken]).outcome is None


def test_a_killed_run_is_inconclusive() -> None:
    """Without its last event a run has not said everything."""
    plan = unreachable()
    verdict(
        plan, without(as_foreseen(plan), "run.ended"), "inconclusive", "cut short: no run.ended"
    )
    verdict(plan, [], "inconclusive", "never got ready")


def test_a_run_that_was_never_armed_is_inconclusive() -> None:
    """There is nothing to count from."""
    plan = unreachable()
    found = verdict(
        plan, without(as_foreseen(plan), "subject.armed"), "inconclusive", "no subject.armed event"
    )
    assert (found.probes, found.detected_ns, found.window_ns) == (None, None, window(plan))
    from_fault = unreachable(origin="fault", window_s=(4.0, 5.0))
    assert (judge(from_fault, []).window_ns, judge(from_fault, []).claimed_ns) == (
        None,
        (4 * SECOND, 5 * SECOND),
    )


def test_a_quiet_run_must_be_watched_to_the_end() -> None:
    """Nothing detected means nothing when nobody looked."""
    plan = flap()
    events = moved(as_foreseen(plan), "run.ended", plan.watch_ns - 1)
    verdict(plan, events, "inconclusive", "watched for 7.999999999 s of 8.000000000 s")
    verdict(plan, moved(events, "run.ended", plan.watch_ns), "pass")


def test_options_that_were_set_late_decide_nothing() -> None:
    """A call that took longer than the allowance leaves the origin unknown."""
    plan = unreachable()
    verdict(plan, changed(as_foreseen(plan), "subject.armed", took_ns=ALLOWANCE_NS), "pass")
    slow = changed(as_foreseen(plan), "subject.armed", took_ns=ALLOWANCE_NS + 1)
    verdict(
        plan,
        slow,
        "inconclusive",
        "setting the options took 0.050000001 s, allowed are 0.050000000 s",
        "this machine is too busy",
    )


def test_user_timeout_counts_from_the_handshake() -> None:
    """With TCP_USER_TIMEOUT the time between handshake and arming matters.

    With keepalive alone it does not.
    """
    patient = Endpoint(keepalive=Keepalive(idle_s=2, interval_s=1, count=9), user_timeout_s=3.0)
    plan = planned(Blackhole(at_s=0.5), client=patient)
    events = as_foreseen(plan)
    verdict(plan, events, "pass")
    early = [
        at(-80 * MS, "segment", way="in", role="syn-ack", flags="SA")
        if e.data.get("role") == "syn-ack"
        else e
        for e in events
    ]
    verdict(
        plan, early, "inconclusive", "armed 0.080 s after the handshake", "this machine is too busy"
    )
    plain = unreachable()
    verdict(
        plain,
        [at(-80 * MS, "segment", way="in", role="ack", flags="A"), *as_foreseen(plain)],
        "pass",
    )


@pytest.mark.parametrize(
    ("invalid", "words"),
    [
        (at(0, "segment", way="up", role="probe"), "event 0 (segment)"),
        (at(0, "fault.injected", "fault", index=1, took_ns=1), "the scenario has no fault 1"),
        (at(0, "fault.injected", "fault", index=-1, took_ns=1), "event 0 (fault.injected)"),
        (at(0, "subject.armed", side="client"), "missing required field `took_ns`"),
        (at(0, "subject.detected", side="nobody", errno="EPIPE"), "Invalid enum value 'nobody'"),
        (
            at(-1, "subject.detected", side="client", errno="EPIPE"),
            "event 0 (subject.detected) is older than arming",
        ),
        (at(0, "run.broken", "harness"), "missing required field `error`"),
    ],
)
def test_an_invalid_timeline_is_inconclusive_and_named(invalid: Event, words: str) -> None:
    """An event that no run can have written makes the timeline worthless, and the reason says which
    and why.
    """
    plan = unreachable()
    found = verdict(
        plan, [invalid, *as_foreseen(plan)], "inconclusive", "the timeline makes no sense", words
    )
    assert (found.outcome, found.cites) == (None, ())


def test_unknown_kinds_of_events_are_passed_over() -> None:
    """A later version may write more than this one knows."""
    plan = unreachable()
    verdict(plan, [*as_foreseen(plan), at(1, "weather", "sky", rain=True)], "pass")


def test_fail_is_worse_than_inconclusive_is_worse_than_pass() -> None:
    """The worst verdict stands for a whole run, and each has an exit status of its own."""
    plan = unreachable()
    events = as_foreseen(plan)
    good, bad = judge(plan, events), judge(plan, changed(events, "subject.detected", errno="EPIPE"))
    unclear = judge(plan, [])
    assert worst([good, good]) == "pass"
    assert worst([good, unclear]) == "inconclusive"
    assert worst([unclear, bad, good]) == "fail"
    assert EXIT_STATUS == {"pass": 0, "fail": 1, "inconclusive": 3}


def test_nothing_judged_is_inconclusive() -> None:
    """A run of no scenarios proves nothing."""
    assert worst([]) == "inconclusive"


REAL = {
    "peer-unreachable": (unreachable(window_s=(5.0, 5.4)), saved("peer-unreachable")),
    "outage-survived": (
        planned(Blackhole(at_s=0.5, for_s=3.1), outcome="survives", bound_s=8),
        saved("outage-survived"),
    ),
}
NEEDED = {
    "peer-unreachable": {
        "subject.armed",
        "subject.detected",
        "fault.injected",
        "fault.evidence",
        "run.ended",
        "segment",
    },
    "outage-survived": {
        *(
            "subject.armed",
            "subject.alive",
            "fault.injected",
            "fault.evidence",
            "fault.healed",
            "run.ended",
            "segment",
        ),
    },
}
JUNK = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=3)
    | st.lists(st.integers(), max_size=2)
)


@settings(deadline=None)
@given(st.data())
def test_any_timeline_gets_a_verdict(data: st.DataObject) -> None:
    """Cut, shuffled, torn, with mangled times and data: the judge never raises, and says the same
    twice.
    """
    plan, real = REAL[data.draw(st.sampled_from(sorted(REAL)))]
    events = data.draw(st.lists(st.sampled_from(real), max_size=len(real)))
    for _ in range(data.draw(st.integers(0, 4)) if events else 0):
        index = data.draw(st.integers(0, len(events) - 1))
        events[index] = data.draw(mangled(events[index]))
    found = judge(plan, events)
    assert found.verdict in EXIT_STATUS
    assert judge(plan, list(events)) == found


@st.composite
def mangled(draw: st.DrawFn, event: Event) -> Event:
    """An event with another time, kind, source or piece of data."""
    what = draw(st.sampled_from(("t_ns", "kind", "source", "data", "missing")))
    if what == "t_ns":
        return msgspec.structs.replace(event, t_ns=draw(st.integers(-(2**40), 2**40)))
    if what == "kind":
        kinds = sorted(
            {e.kind for _, real in REAL.values() for e in real} | {"subject.eof", "run.broken"}
        )
        return msgspec.structs.replace(event, kind=draw(st.sampled_from(kinds)))
    if what == "source":
        return msgspec.structs.replace(
            event, source=draw(st.sampled_from(("client", "server", "?")))
        )
    if not event.data:
        return event
    key = draw(st.sampled_from(sorted(event.data)))
    if what == "data":
        return msgspec.structs.replace(event, data={**event.data, key: draw(JUNK)})
    return msgspec.structs.replace(event, data={k: v for k, v in event.data.items() if k != key})


@settings(deadline=None)
@given(st.data())
def test_no_timeline_passes_without_what_it_needs(data: st.DataObject) -> None:
    """Whatever else is left out and in whatever order: without one kind of needed event a run is no
    pass.
    """
    name = data.draw(st.sampled_from(sorted(REAL)))
    plan, real = REAL[name]
    gone = data.draw(st.sampled_from(sorted(NEEDED[name])))
    kept = [e for e in real if e.kind != gone or (gone == "subject.armed" and e.source == "server")]
    optional = [e for e in kept if e.kind not in NEEDED[name]]
    left_out = data.draw(st.sets(st.integers(0, len(optional) - 1))) if optional else set()
    missing = {id(optional[index]) for index in left_out}
    events = data.draw(st.permutations([e for e in kept if id(e) not in missing]))
    assert judge(plan, events).verdict != "pass"
