"""Faults of a whole kernel, which a guest's alone may have: TCP does not mind the date, and a
program that reads it does.

On this machine's own kernel they are refused, and nothing is set.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.api.lab_session import Workbench
from harness.batch import batch
from harness.errors import FaultError
from harness.faults import FAULTS, Blackhole, WallClock
from harness.model.programs import Command, Detects, Ready, Simple
from harness.plan.planner import make
from harness.scenario.schema import Endpoint, Expect, Keepalive, Scenario
from harness.system import kernel_clock, wall_clock
from harness.venue import uml
from harness.venue.kernel import Kernel
from tests.conformance.traces import network_untouched, nothing_held
from tests.running import Silent

pytestmark = pytest.mark.conformance
HOUR_S = 3600.0
QUICK = Endpoint(keepalive=Keepalive(idle_s=1, interval_s=1, count=2))
BEAT = Endpoint(heartbeat=Simple(idle_s=1, wait_s=0.5, misses=2))
BY_THE_DATE = """
import os, socket, time
sock = socket.create_connection((os.environ["HARNESS_SERVER"], int(os.environ["HARNESS_PORT"])))
deadline = getattr(time, {clock!r})() + 60
print("connected", flush=True)
while getattr(time, {clock!r})() < deadline:
    time.sleep(0.5)
print("lost: no word for 60 s", flush=True)
time.sleep(1000)
"""


@pytest.fixture
def bench() -> Iterator[Workbench]:
    """A routed workbench that leaves nothing behind, and the clock as it was."""
    ahead_ns = wall_clock.ahead_ns()
    with nothing_held(), network_untouched(), Workbench("routed") as built:
        yield built
    assert abs(wall_clock.ahead_ns() - ahead_ns) < wall_clock.TOLERANCE_NS


def test_no_fault_of_guests_is_missing() -> None:
    """Each has its tests here."""
    assert {fault for fault in FAULTS.values() if fault.of_guests} == {WallClock}


@pytest.mark.skipif(kernel_clock.clock() == "virtual", reason="in a guest the clock may be set")
def test_the_clock_of_this_machine_is_not_set(bench: Workbench) -> None:
    """By neither a plan nor a fault that is injected by hand, and both name the fix."""
    bench.connect()
    before = wall_clock.moved_ns(), wall_clock.ahead_ns()
    with (
        pytest.raises(FaultError, match=r"wall-clock: expected a guest.*--clock virtual"),
        WallClock(step_s=HOUR_S).inject(bench.lab),
    ):
        pass
    with (
        pytest.raises(FaultError, match="--clock virtual"),
        bench.inject(WallClock(step_s=HOUR_S)),
    ):
        pass
    assert wall_clock.moved_ns() == before[0]
    assert abs(wall_clock.ahead_ns() - before[1]) < wall_clock.TOLERANCE_NS


@pytest.mark.timed
@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S])
def test_the_clock_steps_and_is_right_again(bench: Workbench, step_s: float) -> None:
    """At once and for all hosts, by exactly so much; captured segments keep their times."""
    link = bench.connect()
    assert link.echo()
    before_s, began_ns = time.time(), time.monotonic_ns()
    with WallClock(step_s=step_s).inject(bench.lab) as evidence:
        assert evidence().level == "bit"
        assert time.time() - before_s == pytest.approx(step_s, abs=0.01)
        assert link.echo()
    assert time.time() - before_s == pytest.approx(0, abs=1)
    assert link.echo()
    bench.loop.drain()
    times = [event.t_ns for event in bench.timeline.events if event.kind == "segment"]
    assert len(times) > 10
    latest_ns = time.monotonic_ns() - bench.timeline.opened_ns
    assert all(0 <= t_ns <= latest_ns for t_ns in times)
    assert sum(t_ns >= began_ns - bench.timeline.opened_ns for t_ns in times) >= 8
    assert not [event for event in bench.timeline.events if event.data.get("stamped") is False]


@pytest.mark.timed
def test_who_sets_the_clock_meanwhile_is_found_out(bench: Workbench) -> None:
    """A step that did not stay is no evidence; another fault's step is none of that."""
    bench.connect()
    with WallClock(step_s=HOUR_S).inject(bench.lab) as evidence:
        with WallClock(step_s=-60).inject(bench.lab) as other:
            assert evidence().level == other().level == "bit"
        now_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)
        time.clock_settime_ns(time.CLOCK_REALTIME, now_ns - 5_000_000_000)
        assert evidence().level == "none"
        time.clock_settime_ns(time.CLOCK_REALTIME, now_ns)


@pytest.mark.timed
@pytest.mark.parametrize("end", [QUICK, BEAT], ids=["keepalive", "heartbeat"])
@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S])
def test_what_counts_by_the_monotonic_clock_keeps_its_windows(
    bench: Workbench, end: Endpoint, step_s: float
) -> None:
    """The prediction is that without the step, and holds."""
    link = bench.connect(end, BEAT if end is BEAT else Endpoint())
    with bench.inject(Blackhole()):
        plain = link.predict()
        with bench.inject(WallClock(step_s=step_s)):
            assert link.predict().windows_s == plain.windows_s
            seen = link.wait()
    assert seen in plain


@pytest.mark.timed
@pytest.mark.parametrize(
    ("clock", "step_s", "kind"),
    [("time", HOUR_S, "noticed"), ("time", -HOUR_S, "quiet"), ("monotonic", HOUR_S, "quiet")],
)
def test_a_program_that_counts_by_the_date_raises_a_false_alarm(
    bench: Workbench, clock: str, step_s: float, kind: str
) -> None:
    """At the step, with its deadline of 60 s, while nothing is wrong with its connection."""
    command = Command(
        argv=("{python}", "-c", BY_THE_DATE.format(clock=clock)),
        ready=Ready(prints="^connected", within_s=20.0),
        detects=Detects(prints="^lost: (.*)"),
    )
    link = bench.connect(Endpoint(command=command))
    with bench.inject(WallClock(step_s=step_s)):
        seen = link.wait(within_s=10)
    assert seen.kind == kind
    if kind == "noticed":
        assert seen.reports == "no word for 60 s"
        assert seen.after_armed_s is not None
        assert seen.after_armed_s < 2


SETS_THE_DATE = """
import os, socket, time
sock = socket.create_connection((os.environ["HARNESS_SERVER"], int(os.environ["HARNESS_PORT"])))
time.clock_settime(time.CLOCK_REALTIME, time.time() + 86400)
print("lost: set the date", flush=True)
time.sleep(1000)
"""


@pytest.mark.virtual
def test_the_next_scenario_begins_with_the_right_clock(tmp_path: Path, kernel: Kernel) -> None:
    """Whether a fault stepped it until the end of a run, or a program under test set it."""
    stepped = Scenario(
        name="stepped",
        faults=(WallClock(step_s=HOUR_S, at_s=0.5),),
        expect=Expect(outcome="survives", bound_s=1),
    )
    program = Command(argv=("{python}", "-c", SETS_THE_DATE), detects=Detects(prints="^lost: (.*)"))
    setting = Scenario(
        name="setting",
        client=Endpoint(command=program),
        expect=Expect(outcome="noticed", origin="armed", window_s=(0, 5)),
    )
    last = Scenario(name="zz-last", expect=Expect(outcome="survives", bound_s=1))
    plans = [make(scenario, uml.machine(kernel)) for scenario in (stepped, setting, last)]
    venue = functools.partial(uml.run_all, kernel=kernel, jobs=1)
    results = batch.run(plans, tmp_path, Silent(), venue)
    assert {each.plan.name: each.verdict.verdict for each in results} == dict.fromkeys(
        ("stepped", "setting", "zz-last"), "pass"
    )
    opened = [each.events[0].data for each in results]
    ahead = [data["realtime_ns"] - data["monotonic_ns"] for data in opened]
    assert max(ahead) - min(ahead) < wall_clock.TOLERANCE_NS
