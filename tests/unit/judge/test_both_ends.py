"""The judge on runs in which both ends are judged, and on runs of which nothing is claimed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from harness.faults import Blackhole, ProcessKill
from harness.judge.verdict import judge
from harness.model.programs import Command, Detects
from harness.plan.plan import Plan
from harness.scenario.schema import Endpoint
from harness.timeline import Event
from tests.unit.judging import MS, verdict
from tests.unit.timelines import (
    ALIVE,
    ARMED_NS,
    SECOND,
    SILENT,
    as_both_foresee,
    as_foreseen,
    at,
    both_judged,
    moved,
    planned,
)

DEAD: dict[str, Any] = {"outcome": "detected", "errno": "ETIMEDOUT"}
NEVER: dict[str, Any] = {"outcome": "never", "bound_s": 8.0}
COMMAND = Endpoint(command=Command(argv=("program",), detects=Detects(prints="dead")))


def aborted(events: list[Event], side: str, to_ns: int) -> list[Event]:
    """The events, with the abort of one end, and its RST, at another moment after arming."""
    return [
        msgspec.structs.replace(event, t_ns=ARMED_NS + to_ns)
        if event.source == side
        and (event.kind == "subject.detected" or event.data.get("role") == "rst")
        else event
        for event in events
    ]


def test_each_end_is_judged_by_its_own_plan() -> None:
    """The verdict has the measurements of both, and is a pass where both pass."""
    plan = both_judged(DEAD, DEAD)
    found = verdict(plan, as_both_foresee(plan), "pass", "3 probes unanswered")
    assert [end.side for end in found.ends] == ["client", "server"]
    client, server = found.ends
    assert (client.verdict, server.verdict) == ("pass", "pass")
    assert client.detected_ns is not None
    assert server.detected_ns is not None
    assert (client.detected_ns // SECOND, server.detected_ns // SECOND) == (5, 13)
    assert (found.side, found.detected_ns) == ("client", client.detected_ns)
    assert found.claimed == "client: ETIMEDOUT; server: ETIMEDOUT"
    assert found.as_foreseen
    assert set(found.cites) == {*client.cites, *server.cites}


@pytest.mark.parametrize("late", ["client", "server"])
def test_the_worse_verdict_is_that_of_the_run(late: str) -> None:
    """With the measurements of its end, whose name stands first in the reason."""
    plan = both_judged({**DEAD, "window_s": (5.0, 5.5)}, {**DEAD, "window_s": (13.0, 13.5)})
    moment_ns = 7 * SECOND if late == "client" else 14 * SECOND
    events = aborted(as_both_foresee(plan), late, moment_ns)
    found = verdict(plan, moved(events, "run.ended", 15 * SECOND), "fail", f"{late}: detected")
    assert found.reason.startswith(f"{late}: ")
    assert (found.cause, found.side, found.detected_ns) == ("noticed-too-late", late, moment_ns)
    assert {end.side: end.verdict for end in found.ends} == {
        "client": "pass",
        "server": "pass",
        late: "fail",
    }


def test_inconclusive_is_worse_than_a_pass_and_better_than_a_fail() -> None:
    """As it is for several scenarios."""
    plan = both_judged(DEAD, DEAD)
    events = as_both_foresee(plan)
    lost = [
        msgspec.structs.replace(event, data={"dropped": 3})
        if event.kind == "capture.ended" and event.source == "server"
        else event
        for event in events
    ]
    found = verdict(plan, lost, "inconclusive", "server: the capture lost 3 frames", "client: 3")
    assert found.cause == "capture-incomplete"
    failing = aborted(lost, "client", 7 * SECOND)
    assert verdict(plan, failing, "fail").cause == "oracle-refuted"


def test_what_breaks_a_run_is_told_once() -> None:
    """It is the same for both ends."""
    plan = both_judged(DEAD, DEAD)
    found = verdict(plan, [at(0, "run.broken", "harness", error="gone")], "inconclusive")
    assert found.reason == "the run broke: gone"


def test_an_end_is_judged_by_what_it_saw_in_its_own_watch() -> None:
    """The run of that end alone would have been over, though the other one is still awaited."""
    plan = both_judged(DEAD, {**NEVER, "bound_s": 8.0})
    client, server = plan.ends
    assert client.watch_ns < server.watch_ns == plan.watch_ns == 8 * SECOND
    longer = both_judged({**NEVER, "bound_s": 3.0}, DEAD)
    events = moved(as_both_foresee(longer), "run.ended", longer.watch_ns)
    late = at(5 * SECOND, "subject.detected", side="client", errno="ETIMEDOUT")
    found = verdict(longer, [*events, late], "pass")
    assert [end.outcome for end in found.ends] == ["quiet", "detected"]
    assert found.ends[0].detected_ns is None
    soon = at(2 * SECOND, "subject.detected", side="client", errno="ETIMEDOUT")
    verdict(longer, [*events, soon], "fail", "client: expected nothing to be detected")


def test_a_closed_socket_answers_the_other_end_with_rst() -> None:
    """Which is no abort: that came with the detection."""
    plan = both_judged(DEAD, DEAD)
    events = as_both_foresee(plan)
    for end in plan.ends:
        rst = at(11 * SECOND, "segment", end.side, way="out", role="rst", flags="R")
        if end.side == "client":
            verdict(plan, [*events, rst], "pass")
        else:
            verdict(plan, [*events, rst], "fail", "server: an RST left")


def test_a_known_failure_may_be_that_of_one_end() -> None:
    """It passes while one end is too late, and fails once both keep their claims."""
    soon, later = {**DEAD, "window_s": (5.0, 5.5)}, {**DEAD, "window_s": (13.0, 13.5)}
    plan = both_judged(soon, later, known_failure="too late")
    events = as_both_foresee(plan)
    late = moved(aborted(events, "client", 7 * SECOND), "run.ended", 15 * SECOND)
    found = verdict(plan, late, "pass", "client: a known failure (too late)", "server: 3 probes")
    assert [end.cause for end in found.ends] == ["known-failure", "confirmed"]
    assert found.cause == "known-failure"
    assert verdict(plan, events, "fail", "take known_failure away").cause == "known-failure-gone"


# --- nothing is claimed -------------------------------------------------------------------------


def anything(server: Endpoint = SILENT, client: Endpoint = ALIVE) -> Plan:
    """A blackhole of which nothing is claimed, watched for 20 s."""
    return planned(Blackhole(at_s=0.5), client=client, server=server, outcome="any", bound_s=20.0)


def watched(plan: Plan) -> list[Event]:
    """The run in which the client detects what is foreseen, watched to the end."""
    events = [
        *as_foreseen(plan.ends[0]),
        at(0, "subject.armed", "server", side="server", took_ns=1000),
        at(21 * SECOND, "capture.ended", "server", dropped=0),
    ]
    return moved(events, "run.ended", 20 * SECOND)


def test_where_nothing_is_claimed_a_sound_run_passes() -> None:
    """With what each end saw; a detection before any fault, too."""
    plan = anything()
    assert plan.watch_ns == 20 * SECOND
    found = verdict(plan, watched(plan), "pass", "client: nothing is claimed; ETIMEDOUT 5.0")
    assert [end.outcome for end in found.ends] == ["detected", "quiet"]
    assert found.claimed == "nothing in particular for 20 s after arming"
    assert [end.as_foreseen for end in found.ends] == [True, True]
    early = aborted(watched(plan), "client", 100 * MS)
    (client, _) = verdict(plan, early, "pass", "ETIMEDOUT 0.1").ends
    assert not client.as_foreseen


def test_where_nothing_is_claimed_the_run_must_still_be_sound() -> None:
    """Watched to the end, with faults that acted."""
    plan = anything()
    events = watched(plan)
    verdict(plan, moved(events, "run.ended", 19 * SECOND), "inconclusive", "cut short")
    idle = [
        msgspec.structs.replace(event, data={**event.data, "level": "in-place"})
        if event.kind == "fault.evidence"
        else event
        for event in events
    ]
    assert judge(plan, idle).cause == "fault-met-nothing"


def test_the_watch_may_end_with_both_programs() -> None:
    """There is nothing more to see then."""
    plan = anything(COMMAND, COMMAND)
    events = [
        *(at(0, "subject.armed", side, side=side, took_ns=0) for side in ("client", "server")),
        *(
            event
            for event in as_foreseen(anything().ends[0])
            if event.kind.startswith(("opened", "fault"))
        ),
        at(5 * SECOND, "subject.ended", "client", side="client", status=1),
        at(6 * SECOND, "run.ended", "harness", reason="by hand"),
        *(at(7 * SECOND, "capture.ended", side, dropped=0) for side in ("client", "server")),
    ]
    verdict(plan, events, "inconclusive", "cut short: watched for 6")
    ended = at(5 * SECOND, "subject.ended", "server", side="server", status=0)
    verdict(plan, [*events, ended], "pass", "nothing is claimed; nothing detected")
    eof = at(5 * SECOND, "subject.eof", "server", side="server", poll=["IN"])
    verdict(plan, [*events, eof], "inconclusive", "cut short: watched for 6")
    verdict(anything(SILENT, COMMAND), [*events, eof], "pass", "nothing is claimed; ")


def test_of_a_program_that_a_fault_ends_nothing_is_predicted() -> None:
    """The other end has a prediction all the same."""
    plan = planned(ProcessKill(on="server", at_s=1), outcome="any", bound_s=9.0)
    client, server = plan.ends
    assert client.prediction is not None
    assert (server.prediction, server.unpredictable) == (
        None,
        "process-kill acts on the server's own program",
    )
