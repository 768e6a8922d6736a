"""The judge on claims that data passes again."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from harness.faults import Blackhole, LinkDown
from harness.judge.verdict import judge
from harness.timeline import Event
from tests.unit.judging import verdict
from tests.unit.recovering import (
    OUTAGE,
    RESET,
    SECOND_OUTAGE,
    answered,
    reconnected,
    recovering,
    run,
    sent,
)
from tests.unit.timelines import ARMED_NS, SECOND, at

ON_A_NEW_ONE = 42000


@pytest.mark.parametrize("port", [41000, ON_A_NEW_ONE])
def test_data_passes_again_on_whatever_connection(port: int) -> None:
    """On the same one or on a new one: from the removal of the fault to the answer."""
    plan = recovering()
    found = verdict(
        plan,
        run(plan, *answered(32.5, port)),
        "pass",
        "data passed again 2.500 s after the removal of the last fault",
    )
    assert found.recovered_ns == 5 * SECOND // 2
    assert found.claimed == "data to pass again 0 to 8 s after the removal of the last fault"


def test_what_passes_while_the_fault_is_on_is_no_recovery() -> None:
    """Nor is what had passed before."""
    plan = recovering()
    found = verdict(plan, run(plan, *answered(9), *answered(20)), "fail")
    assert (found.cause, found.recovered_ns) == ("never-recovered", None)


def test_the_window_has_two_edges() -> None:
    """Each refutes the claim with a cause of its own."""
    plan = recovering(recovers_s=(1.0, 8.0))
    assert judge(plan, run(plan, *answered(31))).verdict == "pass"
    assert judge(plan, run(plan, *answered(38.05))).verdict == "pass"  # the allowance
    early = verdict(plan, run(plan, *answered(30.9)), "fail", "found it 0.900 s after that")
    late = verdict(plan, run(plan, *answered(38.1)), "fail", "8.100 s after that, 0.100 s too late")
    assert (early.cause, late.cause) == ("recovered-too-early", "recovered-too-late")


def test_a_connection_on_which_nothing_passes_is_no_recovery() -> None:
    """It is told from a program that never connects again."""
    plan = recovering()
    made = verdict(
        plan,
        run(plan, reconnected(31), *sent(32, ON_A_NEW_ONE)),
        "fail",
        "found none in the 50.000 s until the end of the run: another connection stood 1.000 s "
        "after the removal, and no data passed on it",
    )
    assert made.cause == "reconnected-without-data"
    during = verdict(plan, run(plan, reconnected(25)), "fail", "stood 5.000 s before the removal")
    assert during.cause == "reconnected-without-data"
    before = verdict(plan, run(plan, reconnected(5)), "fail", "and no other connection")
    assert before.cause == "never-recovered"


def test_a_peer_that_never_answered_need_not_do_so_now() -> None:
    """Its acknowledgement of new data is enough."""
    plan = recovering()
    answers = [event for event in answered(1) if event.data["way"] == "in"]
    events = [event for event in run(plan, *sent(33)) if event not in answers]
    assert judge(plan, events).recovered_ns == 3 * SECOND
    assert judge(plan, run(plan, *sent(33))).cause == "never-recovered"


def test_data_that_passes_only_after_another_fault() -> None:
    """The reset of a connection is what made the program connect again."""
    plan = recovering(OUTAGE, RESET)
    found = verdict(
        plan,
        run(plan, *answered(36.5, ON_A_NEW_ONE)),
        "fail",
        "found none until fault 1 (rst-injected) was injected 5.000 s after that; data passed "
        "1.500 s after this other fault",
    )
    assert (found.cause, found.recovered_ns) == ("recovered-after-another-fault", None)
    judged = verdict(plan, run(plan, *answered(33), *answered(36.5)), "pass")
    assert judged.recovered_ns == 3 * SECOND
    assert judge(plan, run(plan)).cause == "never-recovered"


def test_each_outage_that_leaves_the_time_for_it_is_recovered_from() -> None:
    """Else a program that works after the second one alone would pass."""
    plan = recovering(OUTAGE, SECOND_OUTAGE)
    found = verdict(
        plan,
        run(plan, *answered(66)),
        "fail",
        "data passed again only after another fault: none came in the 30.000 s from the removal "
        "of fault 0 (blackhole) to the injection of fault 1 (blackhole), expected within 8 s",
    )
    assert (found.cause, found.recovered_ns) == ("recovered-after-another-fault", SECOND)
    verdict(plan, run(plan, *answered(50), *answered(66)), "pass", "again 1.000 s after")
    close = recovering(OUTAGE, Blackhole(at_s=33, for_s=5))
    verdict(close, run(close, *answered(40)), "pass", "again 2.000 s after")


def test_faults_that_overlap_are_one_outage() -> None:
    """It ends with the last of them."""
    plan = recovering(OUTAGE, LinkDown(on="server", at_s=25, for_s=20))
    found = verdict(plan, run(plan, *answered(47)), "pass")
    assert found.recovered_ns == 2 * SECOND


def test_it_may_be_claimed_beside_a_detection() -> None:
    """Each claim is judged by itself, also where the fault ends after the detection."""
    plan = recovering(outcome="noticed", origin="fault", window_s=(4.0, 6.0))
    said: dict[str, Any] = {"side": "client", "how": "output", "found": "lost", "reports": None}
    noticed = at(15 * SECOND, "subject.noticed", **said)
    found = verdict(plan, run(plan, noticed, reconnected(31), *answered(32)), "pass")
    assert (found.detected_ns, found.recovered_ns) == (5 * SECOND, 2 * SECOND)
    assert found.claimed.startswith("the program to give its peer up 4 to 6 s after the fault and")
    assert judge(plan, run(plan, noticed)).cause == "never-recovered"
    assert judge(plan, run(plan, *answered(32))).cause == "never-noticed"


def test_a_run_that_ends_too_early_proves_nothing() -> None:
    """Unless data had passed by then; nor does one whose fault was never removed."""
    plan = recovering()
    verdict(plan, run(plan, ended_s=37), "inconclusive", "watched for 7.000 s of 8.000 s after")
    verdict(plan, run(plan, *answered(33), ended_s=34), "pass")
    kept = [event for event in run(plan, *answered(33)) if event.kind != "fault.healed"]
    assert judge(plan, kept).cause == "fault-mistimed"


def test_a_late_machine_is_not_blamed_on_the_program() -> None:
    """Where its delays may be why the data came late."""
    plan = recovering()
    events = run(plan, *answered(38.1))
    waited = at(79 * SECOND, "program.waited", program="client", took_ns=SECOND)
    assert judge(plan, [*events, waited]).cause == "machine-too-busy"


def test_a_known_failure_may_be_that_it_never_recovers() -> None:
    """As a detection that never comes may be one."""
    plan = recovering()
    scenario = msgspec.structs.replace(plan.scenario, known_failure="it hangs")
    known = msgspec.structs.replace(plan, scenario=scenario)
    assert judge(known, run(known)).cause == "known-failure"
    assert judge(known, run(known, *answered(32))).cause == "known-failure-gone"


def test_where_nothing_is_claimed_the_recovery_is_measured() -> None:
    """For those who describe what a program does."""
    plan = recovering(recovers_s=None, outcome="any", bound_s=80.0)
    server = [
        Event(ARMED_NS, "subject.armed", "server", {"side": "server", "took_ns": 0}),
        at(81 * SECOND, "capture.ended", "server", dropped=0),
    ]
    found = verdict(plan, [*run(plan, *answered(33)), *server], "pass")
    assert [end.recovered_ns for end in found.ends] == [3 * SECOND, None]
