"""For hand-written tests: a lab, faults and a connection to wait on, without a scenario file.

net = Workbench("routed")                    # or the `lab` fixture: net = lab("routed") link =
net.connect(Endpoint(keepalive=Keepalive(idle_s=1, interval_s=1, count=3))) with
net.inject(Blackhole()): expected = link.predict()                # computed from what has been
injected, before it is detected seen = link.wait() assert seen in expected and seen.errno ==
"ETIMEDOUT"
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self, get_args

import msgspec

from harness.api.detection import Detection, Expected
from harness.errors import FaultError, LabError, UsageError
from harness.faults import FAULTS, AnyFault, Fault, meant
from harness.faults.host import NewHost
from harness.lab.factory import built
from harness.lab.host import Host, Lab
from harness.lab.namespace import ensure_privileges
from harness.lab.process import Program
from harness.model.topology import SIDES, Family, Kind, LabKind, Side, Topology
from harness.plan.local_machine import local_machine
from harness.plan.plan import Plan
from harness.plan.planner import make
from harness.runner.event_loop import EventLoop
from harness.runner.execute import ECHO_TIMEOUT_S
from harness.runner.injection import Injection, without_evidence
from harness.scenario.loader import checked
from harness.scenario.schema import Endpoint, Expect, Scenario
from harness.subjects.connect import connected
from harness.subjects.interface import WatchedConnection
from harness.system import kernel_clock, stall
from harness.system.spelling import did_you_mean, hint
from harness.system.stall import Stall
from harness.timeline import Event, Timeline


class Link:
    """A connection between the client and the server of a workbench."""

    def __init__(self, bench: Workbench, scenario: Scenario, connection: WatchedConnection) -> None:
        self.side = side = scenario.expect.side
        self._bench, self._scenario, self._connection = bench, scenario, connection
        armed = next(
            e
            for e in reversed(bench.timeline.events)
            if e.kind == "subject.armed" and e.data["side"] == side
        )
        self.armed_ns = armed.t_ns + bench.timeline.opened_ns

    def predict(self) -> Expected:
        """What must come, given the faults injected so far.

        Raises ScenarioError where the oracle has no model.
        """
        return self._bench.expected(self._scenario, self.armed_ns)

    def wait(self, within_s: float | None = None) -> Detection:
        """Wait for the observed side's detection, `within_s` seconds at most (default: until it
        must have come).
        """
        if within_s is None:
            deadline_ns = self.armed_ns + self._bench.plan(self._scenario, self.armed_ns).watch_ns
        else:
            deadline_ns = time.monotonic_ns() + round(within_s * 1e9)
        self._bench.loop.wait(deadline_ns, lambda: self._noticed() is not None)
        return msgspec.structs.replace(self._detection(), gaps_s=self._bench.gaps_s(self.armed_ns))

    def _detection(self) -> Detection:
        """What has been detected so far."""
        found = self._noticed()
        if found is None:
            return Detection(kind="quiet")
        after_s = (found.t_ns + self._bench.timeline.opened_ns - self.armed_ns) / 1e9
        if found.kind == "subject.eof":
            return Detection(kind="eof", after_armed_s=after_s)
        if found.kind == "subject.noticed":
            reports = found.data["reports"] or found.data["how"]
            return Detection(kind="noticed", reports=reports, after_armed_s=after_s)
        return Detection(kind="detected", errno=found.data["errno"], after_armed_s=after_s)

    def echo(self, within_s: float = ECHO_TIMEOUT_S) -> bool:
        """Whether data sent now comes back in time."""
        if not self._connection.ends["client"].say():
            return False
        self._bench.loop.wait(
            time.monotonic_ns() + round(within_s * 1e9), lambda: self._connection.echo_is_over
        )
        return self._connection.echoed

    def _noticed(self) -> Event | None:
        return self._connection.noticed.get(self.side)


class Workbench:
    """A lab with everything that a hand-written test needs.

    Use as a context manager, from one thread.

    `lab`: how hosts are created, as network namespaces or containers. `images`: of containers by
    host, others than the default.
    """

    def __init__(
        self,
        kind: Kind = "routed",
        family: Family = "ipv4",
        *,
        lab: LabKind = "netns",
        images: Mapping[str, str] | None = None,
    ) -> None:
        if lab not in get_args(LabKind):
            kinds = get_args(LabKind)
            raise UsageError(
                f"lab: expected {' or '.join(kinds)}{did_you_mean(lab, kinds)}, found {lab!r}"
            )
        self._kind, self._images = lab, images
        self.topology = checked(
            Scenario(name="workbench", topology=Topology(kind=kind, family=family)), "Workbench"
        ).topology
        self.timeline = Timeline()
        self.loop = EventLoop(self.timeline)
        self.injections: list[Injection] = []
        self._stack = ExitStack()
        self._lab: Lab | None = None
        self._stalls: Callable[[], list[Stall]] = list

    def __enter__(self) -> Self:
        """Build the lab. Raises CapabilityError or LabError; nothing is left behind then."""
        ensure_privileges()
        with ExitStack() as stack:
            self._lab = stack.enter_context(built(self.topology, self._kind, self._images))
            if kernel_clock.clock() == "real":
                self._stalls = stack.enter_context(stall.watched())
            stack.callback(self.loop.close)
            self.loop.capture(self._lab)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def lab(self) -> Lab:
        """The lab underneath, once it is built."""
        if self._lab is None:
            raise LabError("expected a built lab; enter the workbench as a context manager first")
        return self._lab

    def host(self, name: str) -> Host:
        """A host by its name in the topology: client, server, and switch or router in between."""
        if name not in self.lab.layout.host_names:
            names = self.lab.layout.host_names
            raise UsageError(
                f"expected a host of {', '.join(names)}{did_you_mean(name, names)}, found {name!r}"
            )
        return self.lab.host(name)

    def address(self, side: Side) -> str:
        """The IP address of an endpoint."""
        return self.lab.layout.address(side)

    def start(self, host: str, argv: Sequence[str]) -> Program:
        """Run a program on a host; it is killed at the end. Raises SubjectError."""
        return self.host(host).start(argv[0], argv)

    def connect(
        self,
        client: Endpoint = Endpoint(),  # noqa: B008 - frozen
        server: Endpoint = Endpoint(),  # noqa: B008 - frozen
        *,
        observe: Side = "client",
        processes: Collection[Side] = (),
    ) -> Link:
        """Connect a client to a server: the built-in ones, those with a heartbeat, or commands.

        Raises SubjectError.

        `processes`: sides to run as a process of their own, for faults that kill or freeze one.
        """
        scenario = checked(
            Scenario(
                name="workbench",
                topology=self.topology,
                client=client,
                server=server,
                expect=Expect(side=observe),
            ),
            "connect",
        )
        connection = self._stack.enter_context(
            connected(
                scenario,
                self.lab,
                self.timeline,
                self.loop,
                frozenset(processes),
                acted=self._acted,
            )
        )
        for end in connection.ends.values():
            self.loop.watch(end)
        return Link(self, scenario, connection)

    def _acted(self) -> bool:
        return any(injection.has_acted for injection in self.injections)

    @contextmanager
    def inject(self, fault: AnyFault) -> Iterator[Injection]:
        """Inject now, heal at the end of the block.

        The fault's own `at_s` and `for_s` do not apply.

        Raises ScenarioError for a fault out of place, and FaultError at the end where one that is
        not standing left no evidence.
        """
        _check_is_fault(fault)
        checked(
            Scenario(
                name="workbench",
                topology=self.topology,
                faults=(fault,),
                expect=Expect(side=_spectator(fault)),
            ),
            "inject",
        )
        for side in sorted(fault.processes()):
            self._check_program(fault, side)
        injection = Injection(fault, len(self.injections), self.lab, self.timeline)
        self.injections.append(injection)
        self.loop.capture(self.lab)
        try:
            yield injection
        finally:
            injection.heal()
        proof = injection.gather()
        if proof.level != "bit" and not fault.standing:
            raise FaultError(without_evidence(fault, proof))

    def _check_program(self, fault: AnyFault, side: Side) -> None:
        """Raise UsageError where a fault of a side's program finds none: the built-in ones run in
        this process.
        """
        if not self.host(side).programs:
            expected = (
                f'a program on host {side}: say connect(processes={{"{side}"}}), or give it a '
                "command"
            )
            found = "none there; built-in endpoints run in the harness's own process"
            raise UsageError(f"inject: {fault.kind}: expected {expected}; found {found}")

    def plan(self, scenario: Scenario, armed_ns: int) -> Plan:
        """The plan of what has been done so far: `scenario` with each fault from when it was
        injected until healed.

        `armed_ns`: CLOCK_MONOTONIC in ns. Raises ScenarioError.
        """
        happened = (_as_happened(injection, armed_ns) for injection in self.injections)
        faults = tuple(fault for fault in happened if fault is not None)
        return make(msgspec.structs.replace(scenario, faults=faults), local_machine(self._kind))

    def expected(self, scenario: Scenario, armed_ns: int) -> Expected:
        """The oracle's answer to `plan`. Raises ScenarioError where it has no model."""
        plan = self.plan(scenario, armed_ns)
        changes_s = tuple(self._changes_s(armed_ns))
        return Expected(
            outcomes=plan.expected, allowance_s=plan.allowance_ns / 1e9, changes_s=changes_s
        )

    def _changes_s(self, armed_ns: int) -> Iterator[tuple[float, float]]:
        """From when to when faults were injected and healed so far, in seconds after arming."""
        for event in self.timeline.events:
            if event.kind in ("fault.injected", "fault.healed"):
                begun_ns = event.t_ns + self.timeline.opened_ns - armed_ns
                yield begun_ns / 1e9, (begun_ns + int(event.data["took_ns"])) / 1e9

    def gaps_s(self, armed_ns: int) -> tuple[tuple[float, float], ...]:
        """From when to when this process did not run, in seconds after `armed_ns`.

        Nothing in virtual time.
        """
        found = (each for each in self._stalls() if each.until_ns > armed_ns)
        return tuple(
            ((each.from_ns - armed_ns) / 1e9, (each.until_ns - armed_ns) / 1e9) for each in found
        )

    def predict(self, observed: Endpoint, armed_ns: int, side: Side = "client") -> Expected:
        """What a socket of your own must see, with the options of `observed`, armed at `armed_ns`
        (time.monotonic_ns).

        Call it once the faults are injected. Raises ScenarioError where the oracle has no model.
        """
        scenario = Scenario(name="workbench", topology=self.topology, expect=Expect(side=side))
        return self.expected(msgspec.structs.replace(scenario, **{side: observed}), armed_ns)


def _check_is_fault(fault: object) -> None:
    """Raise UsageError for what is no fault, such as a fault's name."""
    if isinstance(fault, Fault):
        return
    near = hint([f"{FAULTS[kind].__name__}()" for kind in meant(fault)])
    raise UsageError(
        f"inject: expected a fault of the harness package, such as Blackhole(){near}, found "
        f"{fault!r}"
    )


def _as_happened(injection: Injection, armed_ns: int) -> AnyFault | None:
    """The fault with its times after arming; None for one that was over by then.

    In virtual time both may happen in the same nanosecond: what lasts is then taken to have come
    later.
    """
    fault, healed_ns = injection.fault, injection.healed_ns
    if (healed_ns is not None and healed_ns <= armed_ns) or (
        fault.is_final and injection.injected_ns < armed_ns
    ):
        return None
    if fault.standing:
        return fault
    began_ns = max(injection.injected_ns, armed_ns)
    for_s = None if healed_ns is None or fault.is_final else (healed_ns - began_ns) / 1e9
    happened: AnyFault = msgspec.structs.replace(
        fault, at_s=(began_ns - armed_ns) / 1e9, for_s=for_s, every_s=None, times=1
    )
    return happened


def _spectator(fault: AnyFault) -> Side:
    """A side that can watch the fault: neither its program nor its whole host is what goes."""
    gone = {fault.on} if isinstance(fault, NewHost) else fault.processes()
    return next((side for side in SIDES if side not in gone), "client")
