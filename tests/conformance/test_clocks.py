"""The two clocks: what is short enough runs on both, and both tell the same story."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree as ET

import msgspec
import pytest

from harness import capabilities, timeline
from harness.batch.batch import VERDICT_FILE
from harness.faults import Blackhole
from harness.faults.blackhole import Direction
from harness.judge.result import Result
from harness.judge.verdict import judge
from harness.model.topology import SIDES, Family, Kind, Side, Topology, layout
from harness.plan import plan_file
from harness.plan.local_machine import local_machine
from harness.plan.plan import Plan
from harness.plan.planner import ONE_SEGMENT, PHASE_SLACK_NS, lasts_longer, make
from harness.scenario import catalogue
from harness.scenario.schema import Endpoint, Expect, Scenario
from harness.timeline import Event
from harness.venue import uml
from harness.venue.kernel import Kernel
from tests import documents
from tests.running import EXHAUSTIVE, in_guests, note_retry, undisturbed

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(900)]
SHORT_NS = 12_000_000_000
AT_ONCE = 80
"""So many scenarios at the same time leave two CPUs time to inject each fault when it is due."""
BY_CHANCE = frozenset(
    {"seq", "ack", "frame", "monotonic_ns", "realtime_ns", "sport", "dport", "pid"}
)
"""What differs from run to run and means nothing: numbers drawn by the kernel, and when the guest
booted.
"""

EXACT = (
    "firewall/idle-reset-both-ipv4",
    "transport/in-flight-peer-rebooted",
    "heartbeat/idle-state-client-killed",
)
"""Scenarios whose timelines hang on exact moments, and on programs that start in time."""


def _wire(plan: Plan, events: Sequence[Event]) -> list[tuple[str, str, str, str]]:
    """What passed each endpoint from arming to the end of the watch: host, way, role and flags, in
    order.

    How many segments much data makes, and in which order they are acknowledged, is for the moment
    to decide; so is how often a heartbeat is sent again before a program's own timer ends it all.
    So is whether a proxy's kernel acknowledges by itself: it does where the proxy has not answered
    within 40 ms (TCP_DELACK_MIN).
    """
    much = any(plan.scenario.endpoint(side).write_bytes > ONE_SEGMENT for side in SIDES)
    left_out = {"icmp", "data", "ack"} if much else {"icmp"}
    if plan.scenario.client.heartbeat is not None:
        left_out.add("retransmit")
    proxied = plan.scenario.topology.proxied_by is not None
    connecting = plan.scenario.state == "connecting"
    armed = 0 if connecting else max(e.t_ns for e in events if e.kind == "subject.armed")
    watched = itertools.takewhile(lambda e: e.kind != "run.ended", events)
    segments = [
        e
        for e in watched
        if e.kind == "segment"
        and armed < e.t_ns
        and e.data["role"] not in left_out
        and not (proxied and (e.data["role"], e.data["way"]) == ("ack", "in"))
    ]
    return [
        (host, e.data["way"], e.data["role"], e.data["flags"])
        for host in ("client", "server")
        for e in sorted(segments, key=lambda e: e.t_ns)
        if e.source == host
    ]


def _normal(event: Event) -> str:
    """An event without what chance decides, as text."""
    data = {key: value for key, value in event.data.items() if key not in BY_CHANCE}
    for key in data.keys() & {"local", "remote"}:
        data[key] = data[key][0]  # the address, and not the port
    for key in data.keys() & {"took_ns", "lag_ns"}:
        data[key] = _rounded(data[key])
    return f"{_rounded(event.t_ns)} {event.kind} {event.source} {data}"


def _rounded(ns: int) -> int:
    """To 10 ns: where a run begins decides how the kernel rounds its clock (timekeeping_adjust), by
    one nanosecond.
    """
    return (ns + 5) // 10


def _runnable(*, guests: bool = False) -> list[Scenario]:
    """The catalogue but for what is behind a proxy, where there is none.

    On a CI machine there must be one. `guests`: with what runs in guests alone.
    """
    found, proxy = catalogue.find([], guests=guests), capabilities.toxiproxy()
    if proxy.available or os.environ.get("CI"):
        return found
    print(f"without scenarios behind a proxy: {proxy.found}. Fix: {proxy.fix}")  # noqa: T201 - for who looks
    return [scenario for scenario in found if layout(scenario.topology).proxied_by != "toxiproxy"]


@pytest.mark.quiet
def test_both_clocks_tell_the_same_story(tmp_path: Path, kernel: Kernel) -> None:
    """Verdict, outcome, errno, probes and the segments on the wire agree for every scenario short
    enough for both.
    """
    here = local_machine()
    plans = [
        make(scenario, here)
        for scenario in _runnable()
        if not lasts_longer(scenario, here, SHORT_NS)
    ]
    short = [each for each in plans if each.watch_ns <= SHORT_NS]
    assert len(short) > 20
    real = undisturbed(short, tmp_path / "real", AT_ONCE)
    there = uml.machine(kernel)
    virtual = _in_guests_once(
        [make(each.scenario, there) for each in short], tmp_path / "virtual", kernel
    )
    both = {one.plan.name: (one, other) for one, other in zip(real, virtual, strict=True)}
    # On a busy machine an answer comes after its retransmission timer, and the segments differ. So
    # what differs is run again, one at a time: then no other scenario takes the CPUs from it, and a
    # difference of the clocks remains.
    if differing := [one.plan for one, other in both.values() if _story(one) != _story(other)]:
        note_retry((plan.name for plan in differing), "the two clocks differed; now one at a time")
        quiet = undisturbed(differing, tmp_path / "quiet", 1)
        both |= {one.plan.name: (one, both[one.plan.name][1]) for one in quiet}
    assert not [
        (name, _story(one), _story(other))
        for name, (one, other) in both.items()
        if _story(one) != _story(other)
    ]
    assert not [
        (name, one.verdict.reason)
        for name, (one, _) in both.items()
        if one.verdict.verdict != "pass"
    ]


def _in_guests_once(plans: Sequence[Plan], out: Path, kernel: Kernel) -> list[Result]:
    """In virtual time, but for what a session of pytest has run in this run of ci/test: guests
    always tell the same.
    """
    found = {plan.name: result for plan in plans if (result := _kept(plan)) is not None}
    missing = in_guests([plan for plan in plans if plan.name not in found], out, kernel)
    found |= {result.plan.name: result for result in missing}
    return [found[plan.name] for plan in plans]


def _catalogue_folder() -> Path | None:
    """Where the sessions of ci/test keep the catalogue's runs for one another.

    None outside of ci/test.
    """
    notes = os.environ.get("TEST_NOTES")
    return Path(notes, "catalogue") if notes else None


def _kept(plan: Plan) -> Result | None:
    """What the session has told of it; None where it has not run, or for another plan."""
    folder = (_catalogue_folder() or Path("/nowhere")) / "out/scenarios" / plan.name
    if not (folder / VERDICT_FILE).exists() or _nameless(plan_file.load(folder)) != _nameless(plan):
        return None
    documents.check_run(folder)
    events = timeline.load(folder)
    return Result(plan=plan, events=events, verdict=judge(plan, events))


def _nameless(plan: Plan) -> Plan:
    """Without what a session calls the scenario, and how it learned the guest's HZ."""
    scenario = msgspec.structs.replace(plan.scenario, name="")
    machine = msgspec.structs.replace(plan.machine, hz_source="")
    ends = tuple(_nameless(end) for end in plan.ends)
    return msgspec.structs.replace(plan, scenario=scenario, machine=machine, ends=ends)


def _story(result: Result) -> tuple[object, ...]:
    """What both clocks must tell alike, of each end that is judged."""
    told: list[object] = []
    for end in result.of_ends:
        verdict = end.verdict
        told += [verdict.verdict, verdict.outcome, verdict.errno, verdict.probes]
        told.append(_wire(end.plan, end.events))
    return tuple(told)


def _in_flight(
    kind: Kind, family: Family, direction: Direction, side: Side, user_timeout_s: float
) -> Scenario:
    """Data is written by `side` 100 s after a blackhole has set in."""
    writer = Endpoint(user_timeout_s=user_timeout_s, writes_at_s=(200.0,))
    scenario = Scenario(
        name=f"{kind}/{family}/{direction}/{side}/{user_timeout_s:g}",
        topology=Topology(kind=kind, family=family),
        faults=(Blackhole(at_s=100.0, direction=direction),),
        expect=Expect(side=side),
    )
    return msgspec.structs.replace(scenario, **{side: writer})


@pytest.mark.virtual
def test_data_in_flight_is_given_up_as_predicted(tmp_path: Path, kernel: Kernel) -> None:
    """On every topology, family, direction and side.

    And what is planned for a moment happens then, to 10 us.

    Each of them with one of three user timeouts in turn, or with all three in an exhaustive run.
    """
    machine = uml.machine(kernel)
    whole = [kind for kind in get_args(Kind) if layout(Topology(kind=kind)).is_whole]
    places = itertools.product(whole, get_args(Family), get_args(Direction), SIDES)
    timeouts_s = (0.0, 2.0, 30.0)
    turns = itertools.cycle(timeouts_s)
    cases = [
        (*place, s) for place in places for s in (timeouts_s if EXHAUSTIVE else (next(turns),))
    ]
    late = 0
    for result in in_guests([make(_in_flight(*case), machine) for case in cases], tmp_path, kernel):
        assert result.verdict.verdict == "pass", (result.plan.name, result.verdict.reason)
        side = result.plan.scenario.expect.side
        moments = {
            e.kind: e.t_ns for e in reversed(result.events) if e.data.get("side", side) == side
        }
        for kind, planned_s in (("fault.injected", 100), ("subject.wrote", 200)):
            late = max(late, moments[kind] - moments["subject.armed"] - planned_s * 1_000_000_000)
    assert 0 <= late < 10_000


@pytest.mark.virtual
def test_the_same_plan_gives_the_same_timeline(tmp_path: Path, kernel: Kernel) -> None:
    """Twelve runs of each in six guests, after different predecessors, tell one story with the same
    times.
    """
    machine = uml.machine(kernel)
    scenarios = catalogue.find(
        ["outcomes/peer-down", "outcomes/firewall-resets", "settings/user-timeout-in-flight"]
    )
    stories: dict[str, set[str]] = {scenario.name: set() for scenario in scenarios}
    for batch_number in range(3):
        plans = [
            make(msgspec.structs.replace(scenario, name=f"{scenario.name}/{number}"), machine)
            for number in range(4)
            for scenario in (*scenarios[batch_number % 3 :], *scenarios[: batch_number % 3])
        ]
        for result in in_guests(plans, tmp_path / str(batch_number), kernel):
            assert result.verdict.verdict == "pass", result.verdict.reason
            stories[result.plan.name.rpartition("/")[0]].add("\n".join(map(_normal, result.events)))
    assert {name: len(versions) for name, versions in stories.items()} == dict.fromkeys(stories, 1)


@pytest.mark.virtual
@pytest.mark.timeout(1800)  # two minutes of CPU time, which other tests share
def test_a_session_of_pytest_judges_the_catalogue_as_guests_do(
    tmp_path: Path, kernel: Kernel
) -> None:
    """All scenarios in one session pass, and a plan's timeline is that of `--clock virtual` from
    arming on.

    A process of pytest is beside them, which may make a program some microseconds late: less than
    the oracle allows.
    """
    topics = sorted({scenario.name.partition("/")[0] for scenario in _runnable(guests=True)})
    out = (_catalogue_folder() or tmp_path) / "out"
    ended = _session(kernel, f"--harness-out={out}", *(f"scenarios/{topic}" for topic in topics))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    folders = [out / "scenarios" / name for name in EXACT]
    apart = in_guests([plan_file.load(folder) for folder in folders], tmp_path / "apart", kernel)
    for folder, result in zip(folders, apart, strict=True):
        here, there = _from_arming(timeline.load(folder)), _from_arming(result.events)
        assert [what for _, what in here] == [what for _, what in there], folder
        assert all(
            abs(one - other) <= PHASE_SLACK_NS
            for (one, _), (other, _) in zip(here, there, strict=True)
        ), folder


def _from_arming(events: Sequence[Event]) -> list[tuple[int, str]]:
    """What happened from then on, but for how long it took, with the nanoseconds since then."""
    armed_ns = max(event.t_ns for event in events if event.kind == "subject.armed")
    found = []
    for event in (event for event in events if event.t_ns >= armed_ns):
        data = {key: value for key, value in event.data.items() if key not in ("took_ns", "lag_ns")}
        found.append((event.t_ns - armed_ns, _normal(Event(0, event.kind, event.source, data))))
    return found


def _session(kernel: Kernel, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A session of pytest in a guest, in this checkout, without plugins that take a guest long to
    import.
    """
    options = ["--clock=virtual", f"--harness-kernel={kernel.path}", "--harness-wall-limit=0", "-q"]
    options += ["-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:xdist"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *arguments],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.virtual
def test_the_conformance_tests_pass_in_virtual_time(tmp_path: Path, kernel: Kernel) -> None:
    """Labs, faults and captures do there what they do here, and hand-written tests see what is
    predicted, in time.

    The sample of tests/conformance/halves.py, and all that is of no topology. Of proxies, which
    take a guest long to set up and run in real time, one.
    """
    chosen = "(not proxied and not docker) or both_ends or (proxy_that_is_down and ipv4)"
    where = ["tests/conformance", "tests/live/test_workbench.py"]
    junit = f"--junitxml={tmp_path / 'junit.xml'}"
    session = _session(kernel, "-k", chosen, "-m", "not containers", junit, *where)
    assert session.returncode == 0, session.stdout + session.stderr
    (suite,) = ET.parse(tmp_path / "junit.xml").getroot()  # noqa: S314 - pytest wrote it
    assert int(suite.attrib["tests"]) - int(suite.attrib["skipped"]) > 250
