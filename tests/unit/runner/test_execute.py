"""One run on a fake lab and a fake clock: the order of its steps, and steps that fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from harness import timeline
from harness.errors import FaultError, LabError, SubjectError
from harness.faults import AnyFault, Blackhole, FirewallIdle, LinkDown, ProcessKill
from harness.model.machine import MachineFacts
from harness.model.programs import Command, Detects, Ready
from harness.model.topology import SIDES, Side, Topology, other
from harness.plan.plan import Plan
from harness.plan.planner import make
from harness.runner import event_loop, execute
from harness.runner.recovery_watch import RecoveryWatch
from harness.scenario.schema import EndExpect, Endpoint, Expect, OutcomeName, Scenario
from harness.subjects import tcp_driver
from harness.subjects.interface import (
    ConnectionEnd,
    Notices,
    SubjectLoop,
    WatchedCommand,
    WatchedConnection,
)
from harness.timeline import Event, Timeline
from tests.unit.fake_clock import FakeClock
from tests.unit.fake_lab import FakeCapture, FakeLab
from tests.unit.fake_subject import FakeCommand, FakeEnd, FakeProgram
from tests.unit.timelines import ALIVE, SECOND, planned

MS = 1_000_000
GUEST = MachineFacts(kernel="6.18.0", hz=250, hz_source="given", cpus=1, clock="virtual")
NEVER: Any = {"outcome": "never", "bound_s": 8}
ON, OFF = "router +ingress:to-server,to-client", "router -ingress:to-server,to-client"
SERVER = Endpoint(command=Command(argv=("it",), ready=Ready(listens=True)))
DOWN, UP = "server eth0 down", "server eth0 up"


def plan_of(*faults: AnyFault, outcome: OutcomeName = "detected", **more: Any) -> Plan:
    """For a guest, where nothing happens beside what a test says."""
    return planned(*faults, machine=GUEST, outcome=outcome, **more)


class Bench:
    """Carries a plan out. `armed`: called once both ends are armed."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.clock = plan, FakeClock()
        self.lab = FakeLab(plan.scenario.topology, self.clock)
        self.ends = {side: FakeEnd(self.clock) for side in SIDES}
        self.command = FakeCommand()
        self.armed: Callable[[], object] = lambda: None
        self.armed_ns = 0
        self.statuses: list[tuple[str | None, int | None]] = []
        self.emitted: Timeline | None = None

    @contextmanager
    def connected(
        self,
        scenario: Scenario,
        lab: FakeLab,
        timeline: Timeline,
        _: SubjectLoop,
        listening: Callable[[], None],
        acted: Callable[[], bool],
    ) -> Iterator[WatchedConnection]:
        """Stands for `harness.subjects.connect.connected`."""
        lab.step("listening")
        if scenario.state == "connecting":
            listening()
        notices = Notices(timeline, acted)
        notices.commands.append(cast("WatchedCommand", self.command))
        self.emitted = timeline
        self.clock.takes(3 * MS)
        self.armed_ns = self.clock.now_ns()
        for side in SIDES:
            notices.emitter(side)("subject.armed", took_ns=1000)
        lab.step("armed")
        self.armed()
        try:
            yield WatchedConnection(cast("dict[Side, ConnectionEnd]", self.ends), notices)
        finally:
            lab.step("disconnected")

    def notices_at(
        self, after_ns: int, kind: str = "subject.detected", side: Side = "client"
    ) -> None:
        """An end detects the fault so long after arming."""

        def comes(at_ns: int) -> None:
            assert self.emitted is not None
            self.emitted.add(kind, side, at_ns=at_ns, side=side, errno="ETIMEDOUT")

        self.ends[side]._comes = comes
        self.ends[side].ready_at(self.armed_ns + after_ns)

    def carry_out(self, folder: Path | None = None) -> list[Event]:
        """All events of the run."""

        def status(name: str, what: str | None, until_ns: int | None) -> None:
            assert name == self.plan.name
            if not self.statuses or self.statuses[-1][0] != what:
                self.statuses.append((what, until_ns))

        return list(execute.execute(self.plan, folder, status, clock=self.clock))


Make = Callable[[Plan], Bench]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes one for a plan."""

    def made(plan: Plan) -> Bench:
        found = Bench(plan)
        monkeypatch.setattr(execute, "realised", lambda *_: found.lab)
        monkeypatch.setattr(execute, "connected", found.connected)
        monkeypatch.setattr(event_loop, "Capture", FakeCapture)
        FakeCapture.made = []
        return found

    return made


def after_arming(events: list[Event], *kinds: str) -> list[tuple[str, int]]:
    """The events of some kinds, each with its moment in ms after arming."""
    (armed_ns,) = (
        event.t_ns for event in events if event.kind == "subject.armed" and event.source == "client"
    )
    return [(event.kind, (event.t_ns - armed_ns) // MS) for event in events if event.kind in kinds]


def broken(events: list[Event]) -> str:
    """Why the run cannot be judged; the event is there once."""
    (event,) = (event for event in events if event.kind == "run.broken")
    return str(event.data["error"])


# --- the order of steps -------------------------------------------------------------------------


def test_the_order_of_a_run(bench: Make) -> None:
    """A standing fault comes before the connection, and is healed just before the teardown."""
    run = bench(plan_of(FirewallIdle(timeout_s=60), Blackhole(at_s=0.5)))
    run.armed = lambda: run.notices_at(5 * SECOND)
    kinds = [event.kind for event in run.carry_out()]
    assert kinds == [
        *(
            "opened",
            "lab.ready",
            "fault.injected",
            "subject.armed",
            "subject.armed",
            "fault.injected",
        ),
        *("subject.detected", "fault.evidence", "fault.evidence", "run.ended"),
        *("fault.healed", "capture.ended", "capture.ended", "fault.healed"),
    ]
    standing = run.lab.done.index("listening")
    assert run.lab.done[0] == "built"
    assert standing > 1
    assert run.lab.done[standing : standing + 3] == ["listening", "armed", ON]
    assert run.lab.done[standing + 3] == OFF
    assert run.lab.done[-1] == "taken down"
    assert run.lab.done.index("disconnected") == standing + 4
    assert [what for what, _ in run.statuses] == [
        *(
            "building the lab",
            "connecting",
            "1 change",
            "detection",
            "taking everything down",
            None,
        ),
    ]


def test_arming_waits_for_the_phase_that_is_asked_for(bench: Make) -> None:
    """In virtual time; and the time that connecting takes does not count."""
    run = bench(plan_of(Blackhole(at_s=0.5), window="exact", phase_ns=40 * MS))
    began_ns = run.clock.now_ns()
    run.carry_out()
    assert run.armed_ns - 3 * MS == run.plan.arming_ns(began_ns)


def test_writes_shuts_and_faults_come_at_their_times_after_arming(bench: Make) -> None:
    """Of both sides."""
    client = msgspec.structs.replace(ALIVE, writes_at_s=(0.25, 1.5), write_bytes=9)
    run = bench(
        plan_of(
            LinkDown(on="server", at_s=1, for_s=2),
            client=client,
            server=Endpoint(shuts_at_s=4),
            outcome="never",
            bound_s=8,
        )
    )
    events = run.carry_out()
    calls = {
        side: [(at - run.armed_ns, what) for at, what in end.calls]
        for side, end in run.ends.items()
    }
    assert calls["client"][:2] == [(SECOND // 4, "write 9"), (SECOND * 3 // 2, "write 9")]
    assert calls["server"] == [(4 * SECOND, "shut")]
    assert after_arming(events, "fault.injected", "fault.healed") == [
        ("fault.injected", 1000),
        ("fault.healed", 3000),
    ]
    assert (DOWN in run.lab.done, UP in run.lab.done) == (True, True)


def test_the_run_goes_on_a_little_after_what_was_noticed(bench: Make) -> None:
    """So that what the end set off is seen, too: on the wire, and by the other side."""
    run = bench(plan_of(Blackhole(at_s=0.5)))

    def armed() -> None:
        run.notices_at(5 * SECOND)
        run.notices_at(5 * SECOND + execute.SETTLE_NS, "subject.eof", "server")

    run.armed = armed
    events = run.carry_out()
    seen = after_arming(events, "subject.detected", "subject.eof", "run.ended")
    assert seen == [("subject.detected", 5000), ("subject.eof", 5020), ("run.ended", 5020)]
    assert {"reason": "noticed"} in [event.data for event in events]


def test_what_the_other_side_notices_does_not_end_the_run(bench: Make) -> None:
    """The claim is about one side."""
    run = bench(plan_of(Blackhole(at_s=0.5)))
    run.armed = lambda: run.notices_at(2 * SECOND, side="server")
    events = run.carry_out()
    assert after_arming(events, "run.ended") == [("run.ended", run.plan.watch_ns // MS)]


def both_judged(**server: Any) -> Plan:
    """Both ends of a blackhole are judged: the client by the prediction."""
    made = plan_of(Blackhole(at_s=0.5))
    claims = Expect(client=EndExpect(), server=EndExpect(**server))
    return make(msgspec.structs.replace(made.scenario, expect=claims), GUEST)


@pytest.mark.parametrize("first", SIDES)
def test_each_judged_end_is_awaited(bench: Make, first: Side) -> None:
    """The run ends when both have detected something, whichever is the first."""
    run = bench(both_judged(**NEVER))

    def armed() -> None:
        run.notices_at(2 * SECOND, side=first)
        run.notices_at(4 * SECOND, side=other(first))

    run.armed = armed
    assert after_arming(run.carry_out(), "run.ended") == [("run.ended", 4020)]


def test_an_end_is_awaited_no_longer_than_its_own_watch(bench: Make) -> None:
    """The other one's may be longer or shorter."""
    run = bench(both_judged(**NEVER))
    client, server = run.plan.ends
    assert client.watch_ns < server.watch_ns
    run.armed = lambda: run.notices_at(client.watch_ns + 100 * MS, side="server")
    ended_ms = (client.watch_ns + 100 * MS + execute.SETTLE_NS) // MS
    assert after_arming(run.carry_out(), "run.ended") == [("run.ended", ended_ms)]
    silent = bench(both_judged(**NEVER))
    assert after_arming(silent.carry_out(), "run.ended") == [("run.ended", server.watch_ns // MS)]


@pytest.mark.parametrize("recovers", [True, False])
def test_data_that_is_to_pass_again_is_awaited(
    bench: Make, monkeypatch: pytest.MonkeyPatch, *, recovers: bool
) -> None:
    """After the detection, until it has passed or for as long as the plan says."""
    client = Endpoint(command=Command(argv=("it",), detects=Detects(exits=True)))
    claim: Any = {"outcome": "noticed", "window_s": (1, 3), "recovers_s": (0, 5)}
    run = bench(plan_of(Blackhole(at_s=0.5, for_s=5), client=client, **claim))
    assert run.plan.recovers_until_ns == 12_500 * MS
    passed_ns = 7 * SECOND

    def is_over(_: object, end: Plan, armed_ns: int, now_ns: int) -> bool:
        assert (end, armed_ns) == (run.plan, run.armed_ns)
        return recovers and now_ns >= armed_ns + passed_ns

    monkeypatch.setattr(RecoveryWatch, "is_over", is_over)

    def armed() -> None:
        run.notices_at(2 * SECOND)
        run.clock.at(run.armed_ns + passed_ns, lambda: run.ends["server"].ready_at(passed_ns))

    run.armed = armed
    ended_ms = 7020 if recovers else 12_520
    assert after_arming(run.carry_out(), "run.ended") == [("run.ended", ended_ms)]
    assert "data to pass again" in [what for what, _ in run.statuses]


def test_where_nothing_is_claimed_no_detection_ends_the_watch(bench: Make) -> None:
    """Both ends are watched until the bound."""
    run = bench(plan_of(Blackhole(at_s=0.5), outcome="any", bound_s=8))

    def armed() -> None:
        for side in SIDES:
            run.notices_at(SECOND, side=side)

    run.armed = armed
    (ended,) = after_arming(run.carry_out(), "run.ended")
    assert ended == ("run.ended", 8020)


@pytest.mark.parametrize("comes_back", [True, False])
def test_another_connection_may_take_the_place_of_the_lost_one(
    bench: Make, *, comes_back: bool
) -> None:
    """Where the plan gives it time, it is awaited for so long, and for no longer."""
    run = bench(plan_of(Blackhole(at_s=0.5)))
    scenario = run.plan.scenario
    claim = msgspec.structs.replace(scenario.expect, reconnects_s=(0.0, 0.5))
    run.plan = msgspec.structs.replace(
        run.plan, scenario=msgspec.structs.replace(scenario, expect=claim)
    )

    def armed() -> None:
        run.notices_at(5 * SECOND)
        if comes_back:

            def reconnected() -> None:
                run.notices_at(6 * SECOND, "subject.reconnected")

            run.clock.at(run.armed_ns + 5 * SECOND + MS, reconnected)

    run.armed = armed
    ended_ns = 6 * SECOND if comes_back else 5 * SECOND + run.plan.reconnects_within_ns
    found = after_arming(run.carry_out(), "run.ended")
    assert found == [("run.ended", (ended_ns + execute.SETTLE_NS) // MS)]
    assert "reconnection" in [what for what, _ in run.statuses]


@pytest.mark.parametrize("comes_back", [True, False])
def test_data_is_sent_through_a_connection_that_survived(bench: Make, *, comes_back: bool) -> None:
    """Until it has come back, or for two seconds."""
    run = bench(plan_of(LinkDown(on="server", at_s=0.5, for_s=3.1), outcome="survives", bound_s=8))
    assert run.plan.must_echo

    def armed() -> None:
        def echo(_: int) -> None:
            run.ends["client"].received = 1

        run.ends["client"]._comes = echo
        if comes_back:
            run.ends["client"].ready_at(run.armed_ns + run.plan.watch_ns + 30 * MS)

    run.armed = armed
    events = run.carry_out()
    (alive,) = (event for event in events if event.kind == "subject.alive")
    assert alive.data == {"side": "client", "echo": comes_back}
    took_ms = 30 if comes_back else round(execute.ECHO_TIMEOUT_S * 1000)
    assert after_arming(events, "subject.alive") == [
        ("subject.alive", run.plan.watch_ns // MS + took_ms)
    ]
    assert {"reason": "watched to the end"} in [event.data for event in events]


def test_faults_of_the_first_moment_of_a_connection(bench: Make) -> None:
    """They are injected once the server listens; their length counts from connect(2)."""
    run = bench(plan_of(Blackhole(at_s=0, for_s=2), client=Endpoint(), state="connecting", **NEVER))
    events = run.carry_out()
    assert run.lab.done[:4] == ["built", "listening", ON, "armed"]
    assert after_arming(events, "fault.injected", "fault.healed") == [
        ("fault.injected", -3),
        ("fault.healed", 2000),
    ]


# --- where nothing is claimed -------------------------------------------------------------------

ANY: Any = {"outcome": "any", "bound_s": 8}


def ends_at(run: Bench, side: Side, after_ns: int) -> None:
    """An end is over so long after arming, having detected something."""

    def comes(at_ns: int) -> None:
        assert run.emitted is not None
        run.ends[side].watching = False
        run.emitted.add("subject.detected", side, at_ns=at_ns, side=side, errno="ETIMEDOUT")

    run.ends[side]._comes = comes
    run.ends[side].ready_at(run.armed_ns + after_ns)


def test_what_is_detected_does_not_end_a_run_that_claims_nothing(bench: Make) -> None:
    """It goes on until its time is up, and a little longer; then it is asked what is left."""
    run = bench(plan_of(Blackhole(at_s=0.5), **ANY))
    run.armed = lambda: run.notices_at(2 * SECOND)
    events = run.carry_out()
    settled_ms = (8 * SECOND + execute.SETTLE_NS) // MS
    assert after_arming(events, "run.ended") == [("run.ended", settled_ms)]
    assert run.command.looked_back == 1
    assert "the end of the watch" in [what for what, _ in run.statuses]


def test_a_run_that_claims_nothing_is_over_with_both_ends(bench: Make) -> None:
    """The first one to end is not enough."""
    run = bench(plan_of(Blackhole(at_s=0.5), **ANY))

    def armed() -> None:
        ends_at(run, "client", 2 * SECOND)
        ends_at(run, "server", 3 * SECOND)

    run.armed = armed
    events = run.carry_out()
    settled_ms = (3 * SECOND + execute.SETTLE_NS) // MS
    assert after_arming(events, "run.ended") == [("run.ended", settled_ms)]
    assert run.command.looked_back == 1


def test_a_program_that_will_be_started_again_is_waited_for(bench: Make) -> None:
    """Both ends have ended, and a fault is still to start one of them."""
    run = bench(plan_of(ProcessKill(at_s=1, for_s=5), server=SERVER, **ANY))
    program = cast("Any", FakeProgram())
    host = run.lab.hosts["server"]
    host._programs.append((program, ""))
    host.start_again = lambda *_, **__: run.lab.step("started again")  # type: ignore[method-assign]
    host.unread = lambda *_: 0  # type: ignore[method-assign]

    def armed() -> None:
        ends_at(run, "client", 2 * SECOND)
        ends_at(run, "server", 2 * SECOND)

    run.armed = armed
    events = run.carry_out()
    settled_ms = (6 * SECOND + execute.SETTLE_NS) // MS
    assert after_arming(events, "run.ended") == [("run.ended", settled_ms)]
    assert "started again" in run.lab.done


# --- late, or not at all ------------------------------------------------------------------------


def test_a_late_fault_lasts_as_long_as_it_is_to(bench: Make) -> None:
    """Its length counts from the injection; events say when that was, and how long it took."""
    run = bench(
        plan_of(Blackhole(at_s=1, for_s=1), LinkDown(on="server", at_s=1, for_s=2), **NEVER)
    )
    run.lab.takes_ns = {ON: 300 * MS, OFF: 40 * MS}
    events = run.carry_out()
    found = [
        (event.kind, event.data["fault"], event.data["took_ns"] // MS)
        for event in events
        if event.kind in ("fault.injected", "fault.healed")
    ]
    assert found == [
        ("fault.injected", "blackhole", 300),
        ("fault.injected", "link-down", 0),
        ("fault.healed", "blackhole", 40),
        ("fault.healed", "link-down", 0),
    ]
    moments = [moment for _, moment in after_arming(events, "fault.injected", "fault.healed")]
    assert moments == [1000, 1300, 2000, 3300]


def test_a_late_healing_is_told_as_it_was(bench: Make) -> None:
    """What keeps the run from healing in time is another action."""
    run = bench(
        plan_of(LinkDown(on="server", at_s=1, for_s=1), Blackhole(at_s=1.9, for_s=1), **NEVER)
    )
    run.lab.takes_ns = {ON: 500 * MS}
    events = run.carry_out()
    healed = [moment for _, moment in after_arming(events, "fault.healed")]
    assert healed == [2400, 2900]


def test_a_fault_that_cannot_be_injected_breaks_the_run(bench: Make) -> None:
    """Those before it are healed, the last first, and the lab is taken down."""
    run = bench(plan_of(LinkDown(on="server", at_s=1), Blackhole(at_s=2)))
    run.lab.fails[ON] = FaultError("expected room for a rule, found none")
    events = run.carry_out()
    assert broken(events) == "expected room for a rule, found none"
    assert run.lab.done == [
        "built",
        "listening",
        "armed",
        DOWN,
        ON,
        UP,
        "disconnected",
        "taken down",
    ]
    assert after_arming(events, "fault.injected", "fault.healed") == [
        ("fault.injected", 1000),
        ("fault.healed", 2000),
    ]
    assert "run.ended" not in {event.kind for event in events}


def test_a_fault_that_cannot_be_healed_breaks_the_run(bench: Make) -> None:
    """All others are healed nevertheless."""
    run = bench(plan_of(LinkDown(on="server", at_s=1), Blackhole(at_s=2)))
    run.armed = lambda: run.notices_at(5 * SECOND)
    run.lab.fails[OFF] = LabError("expected the table, found none")
    events = run.carry_out()
    assert broken(events) == "expected the table, found none"
    assert run.lab.done[-4:] == [OFF, UP, "disconnected", "taken down"]


def test_a_lab_that_cannot_be_built_breaks_the_run(bench: Make) -> None:
    """Nothing else is begun."""
    run = bench(plan_of(Blackhole(at_s=0.5)))
    run.lab.fails["built"] = LabError("expected a namespace, found no room")
    events = run.carry_out()
    assert [event.kind for event in events] == ["opened", "run.broken"]
    assert run.lab.done == ["built"]
    assert run.statuses[-1] == (None, None)


def test_a_lab_that_cannot_be_taken_down_breaks_the_run(bench: Make) -> None:
    """After all else has been written down."""
    run = bench(plan_of(Blackhole(at_s=0.5)))
    run.lab.fails["taken down"] = LabError("expected it gone, found it there")
    events = run.carry_out()
    assert [event.kind for event in events[-2:]] == ["capture.ended", "run.broken"]


# --- programs that end early, defects, interrupts -----------------------------------------------


def test_a_program_that_ends_early_breaks_the_run(bench: Make) -> None:
    """It is found when the watch is over at the latest; faults are healed, nothing restarts."""
    run = bench(plan_of(Blackhole(at_s=0.5)))
    run.command.ended = SubjectError("expected client to run, found that it ended with status 1")
    events = run.carry_out()
    assert broken(events) == "expected client to run, found that it ended with status 1"
    assert run.lab.done[-3:] == [OFF, "disconnected", "taken down"]
    assert not any(host.restarts for host in run.lab.hosts.values())


@pytest.mark.parametrize("ends_ms", [300, None])
def test_a_program_that_closed_the_connection_may_take_a_second_to_end(
    bench: Make, ends_ms: int | None
) -> None:
    """It closed it before there was a fault, so that its end would break the run."""
    run = bench(plan_of(Blackhole(at_s=0.5)))
    settled_ns = 5 * SECOND + execute.SETTLE_NS

    def armed() -> None:
        run.command.leaves = True
        run.notices_at(5 * SECOND)
        if ends_ms is not None:
            run.clock.at(
                run.armed_ns + settled_ns + ends_ms * MS,
                lambda: setattr(run.command, "leaves", False),
            )
            run.ends["server"].ready_at(run.armed_ns + settled_ns + ends_ms * MS)

    run.armed = armed
    last_ns = settled_ns + (execute.LEAVING_NS if ends_ms is None else ends_ms * MS)
    assert after_arming(run.carry_out(), "run.ended") == [("run.ended", last_ns // MS)]


def test_a_defect_does_not_take_the_batch_with_it(bench: Make) -> None:
    """It is told with its traceback."""
    run = bench(plan_of(Blackhole(at_s=0.5)))
    run.lab.fails["armed"] = ZeroDivisionError("division by zero")
    events = run.carry_out()
    assert broken(events) == "ZeroDivisionError: division by zero"
    assert events[-1].data["traceback"].startswith("Traceback")
    assert run.lab.done[-1] == "taken down"


def test_an_interrupt_heals_everything_and_goes_on(bench: Make, tmp_path: Path) -> None:
    """All that was seen stays on disk, and the run is not said to have ended."""
    run = bench(plan_of(LinkDown(on="server", at_s=1), Blackhole(at_s=2, for_s=1)))

    def interrupt() -> None:
        raise KeyboardInterrupt

    run.armed = lambda: run.clock.at(run.armed_ns + 5 * SECOND // 2, interrupt)
    with pytest.raises(KeyboardInterrupt):
        run.carry_out(tmp_path)
    assert run.lab.done[3:] == [DOWN, ON, OFF, UP, "disconnected", "taken down"]
    assert run.statuses[-1] == (None, None)
    kinds = [event.kind for event in timeline.load(tmp_path)]
    assert kinds.count("fault.healed") == 2
    assert "run.ended" not in kinds


def test_an_interrupt_while_it_heals(bench: Make) -> None:
    """The rest is healed all the same."""
    run = bench(plan_of(LinkDown(on="server", at_s=1), Blackhole(at_s=2)))
    run.armed = lambda: run.notices_at(5 * SECOND)
    run.lab.fails[OFF] = KeyboardInterrupt()
    with suppress(KeyboardInterrupt):
        run.carry_out()
    assert run.lab.done[-4:] == [OFF, UP, "disconnected", "taken down"]


# --- how long it may take -----------------------------------------------------------------------


def test_how_long_a_run_may_take() -> None:
    """The watch, the phase in virtual time, the start of each program, and the time after."""
    bare = plan_of(Blackhole(at_s=0.5))
    ours_s = 2 * 2 * tcp_driver.READY_TIMEOUT_S
    afterwards_ns = round(execute.ECHO_TIMEOUT_S * 1e9)
    assert (
        execute.longest_ns(bare)
        == bare.period_ns + round(ours_s * 1e9) + bare.watch_ns + afterwards_ns
    )
    real = msgspec.structs.replace(bare, machine=msgspec.structs.replace(GUEST, clock="real"))
    assert execute.longest_ns(real) == execute.longest_ns(bare) - bare.period_ns
    command = Command(argv=("it",), ready=Ready(listens=True, within_s=50))
    slow = msgspec.structs.replace(
        real, scenario=msgspec.structs.replace(real.scenario, server=Endpoint(command=command))
    )
    usual_s = tcp_driver.READY_TIMEOUT_S
    assert execute.longest_ns(slow) - execute.longest_ns(real) == round(2e9 * (50 - usual_s))
    proxied = msgspec.structs.replace(
        real, scenario=msgspec.structs.replace(real.scenario, topology=Topology(kind="proxied"))
    )
    assert execute.longest_ns(proxied) - execute.longest_ns(real) == round(1e9 * usual_s)
