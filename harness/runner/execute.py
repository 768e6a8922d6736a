"""Run one plan and write down everything that happens.

    1. open the timeline, in the run's folder
    2. build the lab
    3. put standing faults in place (a firewall is there before the connection)
    4. start capturing on both endpoints
    5. start the subject: connect, set the options; from `armed` on the scenario's times count.
       Where what is observed is the making of the connection, the faults of its first moment are
       injected once the server listens
    6. watch: sleep until a socket, a captured segment, a write's or a fault's time wakes us; write,
       inject, gather evidence, heal
       Where nothing is claimed, both ends are watched until the time is up or both have ended
    7. where nothing was detected and the claim is survival: send data through. Where nothing is
       claimed: write down what is left of both ends
    8. gather the last evidence, heal in reverse order, take everything down

Nothing is judged here. Whatever goes wrong becomes the event `run.broken`, which makes the run
inconclusive.
"""

from __future__ import annotations

import functools
import threading
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from harness.errors import HarnessError
from harness.faults import AnyFault
from harness.lab.host import Lab
from harness.model.topology import SIDES, Side
from harness.model.values import count
from harness.plan.plan import Plan, last_restored_s
from harness.runner.cpu_waits import CpuWaits
from harness.runner.event_loop import EventLoop
from harness.runner.injection import Injection
from harness.runner.recovery_watch import RecoveryWatch
from harness.runner.scenario_lab import later_counts, realised, watched_in
from harness.subjects import tcp_driver
from harness.subjects.connect import connected
from harness.subjects.interface import ENDS, WatchedConnection
from harness.system import priority
from harness.system.monotonic import MonotonicClock
from harness.system.stall import Stall, watched
from harness.timeline import Event, Timeline

BUILDERS = threading.BoundedSemaphore(2)
"""How many labs are built at a time: building is work, not waiting, and more at once only delays
wake-ups.
"""
ECHO_TIMEOUT_S = 2.0
SETTLE_NS = 20_000_000
"""How long to go on after the end, so that what the end set off (an RST, the other side's error) is
seen too.
"""

STARTING_STEPS = 2
"""How often an end is awaited before it is armed: until it listens or connects, and until the
connection stands.
"""

LEAVING_NS = 1_000_000_000
"""How long a command may take to end that closed the connection before any fault: its end breaks
the run.
"""

Status = Callable[[str, str | None, int | None], None]
"""Called with (scenario, what it waits for, deadline in CLOCK_MONOTONIC ns) at each change.

None: it has ended.
"""


def longest_ns(plan: Plan) -> int:
    """How long `execute` may wait, in nanoseconds of the clock that the plan runs in, before it
    ends by itself.

    It counts what the plan's watch does not: the wait for the phase of the timer wheel, which
    virtual time alone has; the start of all programs; the connection that takes the place of the
    lost one, or the last data; and a command that takes its time to end.
    """
    phase_ns = plan.period_ns if plan.machine.clock == "virtual" else 0
    afterwards_ns = max(
        plan.reconnects_within_ns + SETTLE_NS + LEAVING_NS, round(ECHO_TIMEOUT_S * 1e9)
    )
    watch_ns = max(plan.watch_ns, plan.recovers_until_ns)
    return phase_ns + _starting_ns(plan) + watch_ns + afterwards_ns


def _starting_ns(plan: Plan) -> int:
    """How long all programs may take to get ready, before they are given up."""
    within_s = {key: command.ready.within_s for key, _, command in plan.scenario.commands}
    seconds = STARTING_STEPS * sum(within_s.pop(side, tcp_driver.READY_TIMEOUT_S) for side in SIDES)
    if plan.scenario.topology.kind == "proxied":
        seconds += within_s.pop("proxy", tcp_driver.READY_TIMEOUT_S)
    return round((seconds + sum(within_s.values())) * 1e9)


def execute(
    plan: Plan,
    folder: Path | None,
    status: Status,
    secure: Callable[[int], None] = lambda _: None,
    clock: MonotonicClock | None = None,
) -> tuple[Event, ...]:
    """Carry the plan out on this kernel; returns the timeline's events. Raises nothing on purpose.

    `secure`, `clock`: see `Timeline`.
    """
    timeline = Timeline(folder, secure, clock)
    try:
        with ExitStack() as stack:
            _Run(plan, timeline, status, stack).go()
    except HarnessError as error:
        timeline.add("run.broken", "harness", error=str(error))
    except Exception as error:  # noqa: BLE001 - any defect of one run must not take the batch with it
        text = "".join(traceback.format_exception(error))
        timeline.add(
            "run.broken", "harness", error=f"{type(error).__name__}: {error}", traceback=text
        )
    finally:
        timeline.close()
        status(plan.name, None, None)
    return tuple(timeline.events)


class _Run:
    """The state of one run; `go` is the order of things."""

    def __init__(self, plan: Plan, timeline: Timeline, status: Status, stack: ExitStack) -> None:
        self.plan, self.scenario = plan, plan.scenario
        is_real = plan.machine.clock == "real"
        self._stalls: Callable[[], list[Stall]] = (
            stack.enter_context(watched()) if is_real else list
        )
        self.timeline, self.clock, self.stack = timeline, timeline.clock, stack
        self.tell = functools.partial(status, plan.name)
        self.loop = EventLoop(timeline, notes_delays=is_real)
        self.injections: list[Injection] = []
        self._recovery = RecoveryWatch(plan)
        self._read = 0
        self._noticed_ns: dict[Side, int] = {}
        self._is_settled = False

    def go(self) -> None:
        lab = self._build()
        try:
            self._carry_out(lab)
        finally:
            for name in lab.layout.host_names:
                lab.host(name).restarts = False  # healing what is still on starts nothing any more

    def _carry_out(self, lab: Lab) -> None:
        for index, fault in enumerate(self.scenario.faults):
            if fault.standing:
                self._inject(index, fault, lab)
        self.stack.callback(self.loop.close)
        if self._recovery.ends:
            self.loop.on_segment(self._recovery.take)
        self.loop.capture(lab)
        if self.plan.machine.clock == "virtual":
            self._observe(lab)
            return
        with priority.urgent(watches=True):
            self._observe(lab)

    def _observe(self, lab: Lab) -> None:
        self.tell("connecting", None)
        if self.plan.machine.clock == "virtual":
            self.clock.sleep_until(self.plan.arming_ns(self.clock.now_ns()))
        connecting = self.scenario.state == "connecting"
        timed = [
            (index, fault) for index, fault in enumerate(self.scenario.faults) if not fault.standing
        ]
        first = [index for index, fault in timed if connecting and fault.at_s == 0]
        connection = self._connect(lab, first)
        self._look(lab)
        may_change = self.scenario.topology.kind == "nat" or later_counts(self.scenario)
        self._is_settled = not connecting and not may_change
        for end in connection.ends.values():
            self.loop.watch(end)
        self._schedule(lab, connection, first)
        waits = CpuWaits(lab) if self.plan.machine.clock == "real" else None
        self._watch(connection)
        connection.look()
        if waits is not None and not self._recovery.ends:
            waits.note(self.timeline)
        noticed = self._noticed().keys() & {end.side for end in self.plan.judged}
        if self._claims_nothing:
            self.loop.wait(self.clock.now_ns() + SETTLE_NS)
            connection.look_back()
        elif noticed or self._recovered():
            self._await_reconnection()
            self._await_recovery()
            self.loop.wait(self.clock.now_ns() + SETTLE_NS)
            self.loop.wait(self.clock.now_ns() + LEAVING_NS, lambda: not connection.is_left)
        if waits is not None and self._recovery.ends:
            waits.note(self.timeline)
        if any(end.must_echo and end.side not in noticed for end in self.plan.judged):
            self._echo(connection)
        self._finish()

    def _build(self) -> Lab:
        self.tell("building the lab", None)
        with BUILDERS:
            started = self.clock.now_ns()
            lab = self.stack.enter_context(realised(self.scenario, self.plan.machine.lab))
            took_ns = self.clock.now_ns() - started
        self._look(lab)
        kind, hosts = self.plan.machine.lab, list(lab.layout.host_names)
        self.timeline.add("lab.ready", "lab", hosts=hosts, lab=kind, took_ns=took_ns)
        return lab

    def _look(self, lab: Lab) -> None:
        """Have the lab know which connection is watched, as far as the timeline tells."""
        if not self._is_settled:
            lab.watched = watched_in(self.scenario, lab.layout, self.timeline.events)

    def _connect(self, lab: Lab, first: list[int]) -> WatchedConnection:
        """Start both ends, with faults by their index injected once the server listens."""

        def listening() -> None:
            for index in first:
                self._inject(index, self.scenario.faults[index], lab)

        def acted() -> bool:
            return any(injection.has_acted for injection in self.injections)

        ends = connected(
            self.scenario, lab, self.timeline, self.loop, listening=listening, acted=acted
        )
        return self.stack.enter_context(ends)

    def _schedule(self, lab: Lab, connection: WatchedConnection, injected: list[int]) -> None:
        """Put down what is to happen when, counting from arming."""
        armed_ns = self._armed_ns()
        for index, fault in enumerate(self.scenario.faults):
            if not fault.standing and index not in injected:
                self.loop.at(
                    armed_ns + round(fault.at_s * 1e9),
                    functools.partial(self._act, index, fault, lab),
                )
        for injection in self.injections:
            if injection.fault.for_s is not None:
                self.loop.at(armed_ns + round(injection.fault.for_s * 1e9), injection.heal)
        for side in SIDES:
            end = self.scenario.endpoint(side)
            for at_s in end.writes_at_s:
                write = functools.partial(connection.ends[side].write, end.write_bytes)
                self.loop.at(armed_ns + round(at_s * 1e9), write)
            if end.shuts_at_s is not None:
                self.loop.at(armed_ns + round(end.shuts_at_s * 1e9), connection.ends[side].shut)

    def _act(self, index: int, fault: AnyFault, lab: Lab) -> None:
        injection = self._inject(index, fault, lab)
        if fault.for_s is not None:
            self.loop.at(injection.injected_ns + round(fault.for_s * 1e9), injection.heal)

    def _inject(self, index: int, fault: AnyFault, lab: Lab) -> Injection:
        look = functools.partial(self._look, lab)
        injection = Injection(fault, index, lab, self.timeline, look)
        self.injections.append(injection)
        self.stack.callback(injection.heal)
        if not fault.standing:
            self.loop.capture(lab)
        return injection

    def _armed_ns(self) -> int:
        armed = next(
            e
            for e in reversed(self.timeline.events)
            if e.kind == "subject.armed" and e.data["side"] == self.plan.side
        )
        return armed.t_ns + self.timeline.opened_ns

    def _noticed(self) -> dict[Side, int]:
        """When each side first saw an error, the end of the stream, or what else ends its watch
        (CLOCK_MONOTONIC in ns). Sides that have seen nothing are left out.
        """
        for event in self.timeline.events[self._read :]:
            if event.kind in ENDS:
                at_ns = event.t_ns + self.timeline.opened_ns
                self._noticed_ns.setdefault(event.data["side"], at_ns)
        self._read = len(self.timeline.events)
        return self._noticed_ns

    @property
    def _claims_nothing(self) -> bool:
        return self.scenario.expect.outcome == "any"

    def _watch(self, connection: WatchedConnection) -> None:
        """Watch until each judged end has detected something or its time is over, saying what is
        awaited. Where nothing is claimed, until both ends have ended or the time is over.
        """
        armed_ns = self._armed_ns()
        if self._claims_nothing:
            deadline_ns = armed_ns + self.plan.watch_ns
            self.tell("the end of the watch", deadline_ns)
            self.loop.wait(deadline_ns, functools.partial(self._all_is_over, connection))
            return
        for end in sorted(self.plan.judged, key=lambda end: end.watch_ns):
            self._await_detection(
                armed_ns + end.watch_ns,
                frozenset(each.side for each in self.plan.judged if each.watch_ns >= end.watch_ns),
            )

    def _all_is_over(self, connection: WatchedConnection) -> bool:
        """Whether both ends have ended, and no fault will start one of them again."""
        done = {each.index for each in self.injections if each.healed_ns or each.fault.lasting}
        starting = {
            index for index, fault in enumerate(self.scenario.faults) if fault.starts is not None
        }
        return connection.has_ended and starting <= done

    def _await_detection(self, deadline_ns: int, awaited: frozenset[Side]) -> None:
        """Watch until these sides have detected something, or recovered where that is the whole
        claim, or the deadline passes.
        """

        def enough() -> bool:
            self.tell(
                count(self.loop.pending, "change") if self.loop.pending else "detection",
                deadline_ns,
            )
            return awaited <= self._noticed().keys() | self._recovered()

        self.loop.wait(deadline_ns, enough)

    def _recovered(self) -> set[Side]:
        """The ends of which the recovery is the whole claim, and has come."""
        armed_ns, now_ns = self._armed_ns(), self.clock.now_ns()
        return {
            end.side
            for end in self._recovery.ends
            if end.claims_recovery_alone and self._recovery.is_over(end, armed_ns, now_ns)
        }

    def _await_reconnection(self) -> None:
        """Where another connection is to take the lost one's place, wait for it."""
        for end in self.plan.judged:
            noticed_ns = self._noticed().get(end.side)
            if end.reconnects_within_ns and noticed_ns is not None:
                deadline_ns = noticed_ns + end.reconnects_within_ns
                self.tell("reconnection", deadline_ns)
                self.loop.wait(deadline_ns, functools.partial(self._has_reconnected, end))

    def _await_recovery(self) -> None:
        """Where data is to pass again, wait for it."""
        armed_ns = self._armed_ns()
        for end in self._recovery.ends:
            deadline_ns = armed_ns + end.recovers_until_ns
            self.tell("data to pass again", deadline_ns)

            def enough(end: Plan = end) -> bool:
                return self._recovery.is_over(end, armed_ns, self.clock.now_ns())

            self.loop.wait(deadline_ns, enough)

    def _has_reconnected(self, end: Plan) -> bool:
        """Whether the connection that a judged end is to make stands."""
        since_ns = 0
        if end.scenario.expect.origin == "healed":
            restored_ns = round(last_restored_s(end.scenario) * 1e9)
            since_ns = self._armed_ns() - self.timeline.opened_ns + restored_ns
        again = (event for event in self.timeline.events if event.kind == "subject.reconnected")
        return any(event.data["side"] == end.side and event.t_ns >= since_ns for event in again)

    def _echo(self, connection: WatchedConnection) -> None:
        """Send data through the surviving connection and wait for it to come back."""
        deadline_ns = self.clock.now_ns() + round(ECHO_TIMEOUT_S * 1e9)
        if connection.ends["client"].say():
            self.loop.wait(deadline_ns, lambda: connection.echo_is_over)
        self.timeline.add("subject.alive", "client", side="client", echo=connection.echoed)

    def _finish(self) -> None:
        """Gather what is left before teardown's own packets can blur it."""
        self.tell("taking everything down", None)
        self.loop.drain()
        for injection in self.injections:
            injection.gather()
        for stall in self._stalls():
            took_ns = stall.until_ns - stall.from_ns
            self.timeline.add("run.stalled", "harness", at_ns=stall.from_ns, took_ns=took_ns)
        noticed = self._noticed().keys() >= {end.side for end in self.plan.judged}
        self.timeline.add(
            "run.ended", "harness", reason="noticed" if noticed else "watched to the end"
        )
