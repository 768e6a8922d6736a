"""The judge on commands that detected nothing: the claim holds only with a sign of life that comes
late enough.
"""

from __future__ import annotations

import pytest

from harness.errors import ScenarioError
from harness.faults import Blackhole
from harness.model.programs import Alive, Command, Detects
from harness.plan.plan import Plan
from harness.scenario.schema import Endpoint, OutcomeName
from harness.timeline import Event
from tests.unit import timelines
from tests.unit.judging import verdict
from tests.unit.timelines import SECOND, at

BOUND_S = 10.0


def outage(
    outcome: OutcomeName = "survives",
    heals_after_s: float | None = 1.0,
    within_s: float = 4.0,
    bound_s: float | None = BOUND_S,
) -> Plan:
    """A command that must live through an outage which begins 2 s after arming, watched for 10
    s.
    """
    alive = Alive(prints="pong", within_s=within_s)
    live = Endpoint(command=Command(argv=("client",), detects=Detects(prints="lost"), alive=alive))
    fault = Blackhole(at_s=2.0, for_s=heals_after_s)
    return timelines.planned(fault, client=live, outcome=outcome, bound_s=bound_s)


def run(*signs_s: float, healed_s: float = 3.0, within_ns: int = 0) -> list[Event]:
    """What is recorded where nothing is detected, and the command shows life at these seconds after
    arming.
    """
    common = {"index": 0, "fault": "blackhole"}
    events = [
        Event(0, "opened", "harness", {"monotonic_ns": 5, "realtime_ns": 7}),
        at(0, "subject.armed", side="client", took_ns=0, local=["10.77.1.1", 41000]),
        at(2 * SECOND, "fault.injected", "fault", took_ns=1000, **common),
        at(
            5 * SECOND // 2,
            "segment",
            way="out",
            role="data",
            flags="A",
            length=1,
            sport=41000,
            dport=7000,
        ),
        at(
            round(healed_s * SECOND) - 1,
            "fault.evidence",
            "fault",
            level="bit",
            found="traces",
            **common,
        ),
        at(round(healed_s * SECOND), "fault.healed", "fault", took_ns=1000 + within_ns, **common),
        *(
            at(round(sign_s * SECOND), "subject.lives", side="client", line="pong")
            for sign_s in signs_s
        ),
        at(10 * SECOND, "run.ended", "harness", reason="by hand"),
        at(10 * SECOND + 2, "capture.ended", dropped=0),
    ]
    return sorted(events, key=lambda event: event.t_ns)


@pytest.mark.parametrize("outcome", ["survives", "never"])
@pytest.mark.parametrize("signs_s", [(6.0,), (1.0, 9.9), (10.0,), (5.0, 7.0, 9.0)])
def test_a_sign_late_enough(outcome: OutcomeName, signs_s: tuple[float, ...]) -> None:
    """One in the last seconds of the watch will do."""
    assert verdict(outage(outcome), run(*signs_s), "pass").outcome == "quiet"


@pytest.mark.parametrize("outcome", ["survives", "never"])
@pytest.mark.parametrize("signs_s", [(), (1.0,), (5.99,), (11.0,)])
def test_none_late_enough(outcome: OutcomeName, signs_s: tuple[float, ...]) -> None:
    """A command that was silent in the end may hang: that it detected nothing proves nothing."""
    found = verdict(
        outage(outcome),
        run(*signs_s),
        "fail",
        "the command shows no life: expected",
        "from 6.000 s",
    )
    assert found.cause == "connection-dead"


def test_the_last_one_is_named() -> None:
    """Whoever reads the verdict sees how far it is off."""
    verdict(outage(), run(4.0, 5.5), "fail", "the last one came 5.500 s after arming")
    verdict(outage(), run(), "fail", "none came")


def test_signs_before_the_last_change_say_nothing() -> None:
    """What was printed during the outage is no proof of life after it, however short the rest of
    the watch is.
    """
    plan = outage(heals_after_s=6.5, within_s=1.5)
    verdict(plan, run(7.0, 8.4, healed_s=8.5), "fail", "from 8.550 s to 10.000 s after arming")
    verdict(plan, run(7.0, 8.6, healed_s=8.5), "pass")


def test_a_line_may_be_read_after_the_change_that_it_was_printed_before() -> None:
    """In real time it has a moment that may be 50 ms late."""
    verdict(
        outage(heals_after_s=6.5, within_s=1.5),
        run(8.54, healed_s=8.5),
        "fail",
        "the last one came 8.540 s",
    )


@pytest.mark.parametrize("outcome", ["survives", "never"])
def test_the_watch_leaves_time_for_a_sign_after_the_last_change(outcome: OutcomeName) -> None:
    """A line that is printed at once may be about data from before.

    Left out, the bound is late enough.
    """
    with pytest.raises(
        ScenarioError,
        match=r"alive\.within_s: expected 1\.5 s at most, what expect\.bound_s leaves",
    ):
        outage(outcome, heals_after_s=6.5, within_s=1.6)
    with pytest.raises(ScenarioError, match=r"alive\.within_s: expected 8 s at most"):
        outage(outcome, heals_after_s=None, within_s=60.0)
    assert outage(outcome, within_s=60.0, bound_s=None).watch_ns >= (3 + 2 * 60) * SECOND


def test_an_outage_without_end() -> None:
    """What is healed when the run is over is no change; its injection is."""
    late = [
        at(11 * SECOND, e.kind, e.source, **e.data) if e.kind == "fault.healed" else e
        for e in run(7.0)
    ]
    verdict(outage("never", heals_after_s=None), sorted(late, key=lambda event: event.t_ns), "pass")


def test_no_data_of_ours_is_asked_for() -> None:
    """A command's connection is its own: nobody else can write on it."""
    assert not outage().must_echo
