"""The venue on this kernel: how many runs at once, for how long, and runs that cannot go on."""

from __future__ import annotations

import errno
import gc
import os
import queue
import resource
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from harness import timeline
from harness.errors import CapabilityError
from harness.plan import plan_file
from harness.plan.plan import BEGINS_NS, Plan
from harness.runner.execute import longest_ns
from harness.timeline import Event, Timeline
from harness.venue import host, virtual
from tests.unit.timelines import flap, unreachable


def named(plan: Plan, *names: str, clock: str = "real", lab: str = "netns") -> list[Plan]:
    """Copies of a plan, by these names, for another clock or lab."""
    machine = msgspec.structs.replace(plan.machine, clock=clock, lab=lab)
    return [
        msgspec.structs.replace(
            plan, machine=machine, scenario=msgspec.structs.replace(plan.scenario, name=name)
        )
        for name in names
    ]


def unseen(name: str, what: str | None, until_ns: int | None) -> None:
    """Nobody looks."""


def ended(plan: Plan) -> tuple[Event, ...]:
    """The events of a run that tell only which one it was."""
    return (Event(0, "run.ended", "harness", {"reason": plan.name}),)


@pytest.fixture(autouse=True)
def _needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No lab is built here."""
    monkeypatch.setattr(host, "_prepare", lambda **_: None)


# --- one run after the other, or all at once ----------------------------------------------------


def test_each_plan_is_carried_out_and_comes_back_as_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the same time: here each waits for all others. Its plan is on disk before."""
    plans = named(unreachable(), "a/one", "a/two", "three")
    together = threading.Barrier(3, timeout=60)

    def execute(plan: Plan, folder: Path, _: object) -> tuple[Event, ...]:
        assert folder == tmp_path / plan.name
        assert plan_file.load(folder) == plan
        together.wait()
        return ended(plan)

    monkeypatch.setattr(host, "execute", execute)
    found = list(host.run_all(plans, tmp_path, unseen))
    assert {carried.plan.name: carried.events for carried in found} == {
        plan.name: ended(plan) for plan in plans
    }
    assert all(carried.wall_s >= 0 for carried in found)


def test_no_more_than_so_many_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others wait for their turn, in the order of the plans."""
    began: list[str] = []

    def execute(plan: Plan, *_: object) -> tuple[Event, ...]:
        began.append(plan.name)
        return ended(plan)

    monkeypatch.setattr(host, "execute", execute)
    plans = named(unreachable(), *"abcdef")
    found = [carried.plan.name for carried in host.run_all(plans, tmp_path, unseen, jobs=1)]
    assert found == began == list("abcdef")


def test_in_a_guest_one_plan_comes_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the guest was made ready, in the one way in which a clock that jumps allows it."""
    did: list[str] = []
    monkeypatch.setattr(virtual, "go_first", lambda: did.append("go first"))
    monkeypatch.setattr(virtual, "warm_up", lambda: did.append("warm up"))

    def carry_out(plan: Plan, *_: object) -> tuple[Event, ...]:
        did.append(plan.name)
        return ended(plan)

    monkeypatch.setattr(virtual, "carry_out", carry_out)
    before = sys.getswitchinterval()
    for carried in host.run_all(
        named(unreachable(), "a", "b", clock="virtual"), tmp_path, unseen, jobs=9
    ):
        assert carried.events == ended(carried.plan)
        assert sys.getswitchinterval() == before
    assert did == ["go first", "warm up", "a", "b"]


def test_who_stops_looking_leaves_the_process_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interpreter's threads take turns more often only while there are runs."""
    monkeypatch.setattr(host, "execute", lambda plan, *_: ended(plan))
    before = sys.getswitchinterval()
    running = host.run_all(named(unreachable(), "a", "b"), tmp_path, unseen)
    next(running)
    assert sys.getswitchinterval() == pytest.approx(host.SWITCH_INTERVAL_S)
    running.close()
    assert sys.getswitchinterval() == before
    assert gc.get_freeze_count() == 0


# --- how many, and how long ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "jobs", "lab", "clock", "workers"),
    [
        (3, None, "netns", "real", 3),
        (3, 2, "netns", "real", 2),
        (5000, None, "netns", "real", 1000),
        (50, None, "docker", "real", host.CONTAINER_JOBS),
        (50, 40, "docker", "real", 40),
        (50, 40, "netns", "virtual", 1),
        (0, None, "netns", "real", 0),
    ],
)
def test_how_many_at_once(
    number: int,
    jobs: int | None,
    lab: str,
    clock: str,
    workers: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As many as there are plans, up to what was asked for or the lab allows; in a guest one."""
    monkeypatch.setattr(host, "reachable_limit", lambda wanted: wanted)
    (plan,) = named(unreachable(), "it", lab=lab, clock=clock)
    assert host._workers([plan] * number, jobs) == workers


@pytest.mark.parametrize(("limit", "workers"), [(240, 10), (24, 1), (1, 1)])
def test_open_files_limit_how_many(
    limit: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least one is tried."""
    monkeypatch.setattr(host, "reachable_limit", lambda _: limit)
    assert host._workers([unreachable()] * 20, None) == workers


def test_too_few_open_files_for_any_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is made, and the fix is said."""
    monkeypatch.setattr(host, "raise_limit", lambda _: host.LEAST_DESCRIPTORS - 1)
    with pytest.raises(CapabilityError, match=f"ulimit -n {host.LEAST_DESCRIPTORS}"):
        next(host.run_all([unreachable()], tmp_path, unseen))
    assert list(tmp_path.iterdir()) == []


def test_how_long_all_runs_may_take() -> None:
    """The longest one for each round; more for containers, and for the boot of a guest."""
    short, long = unreachable(), flap()
    both = [short, long]
    longest = max(map(longest_ns, both))
    assert host.gives_up_after_ns([]) == host.OVERTIME_NS
    assert host.gives_up_after_ns(both) == longest + host.OVERTIME_NS
    assert host.gives_up_after_ns([*both, short], jobs=2) == 2 * longest + host.OVERTIME_NS
    contained = named(short, "a", "b", lab="docker")
    assert (
        host.gives_up_after_ns(contained)
        == longest_ns(short) + host.OVERTIME_NS + 2 * host.CONTAINERS_NS
    )
    guests = named(short, "a", "b", clock="virtual")
    each = longest_ns(guests[0]) + guests[0].period_ns
    assert host.gives_up_after_ns(guests) == BEGINS_NS + 2 * each + host.OVERTIME_NS


def test_how_long_the_runs_are_watched() -> None:
    """Each worker takes the next plan when it is done with one."""

    def watches(lengths: Sequence[int], jobs: int) -> int:
        return host.watches_ns(
            [msgspec.structs.replace(unreachable(), watch_ns=ns) for ns in lengths], jobs
        )

    assert host.watches_ns([]) == 0
    assert watches([5, 3, 4], 3) == 5
    assert watches([5, 3, 4], 2) == 7
    assert watches([5, 3, 4], 1) == 12


# --- what cannot go on --------------------------------------------------------------------------


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), MemoryError()])
def test_what_cannot_be_recorded_is_not_awaited(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its deadline would be minutes away."""

    def execute(*_: object) -> None:
        raise error

    monkeypatch.setattr(host, "execute", execute)
    with pytest.raises(type(error)):
        list(host.run_all([unreachable()], tmp_path, unseen))


def test_a_run_that_does_not_end_is_given_up(tmp_path: Path) -> None:
    """With what it recorded until then; the others have their results."""
    plans = named(unreachable(), "ends", "hangs", "waits")
    for plan in plans:
        (tmp_path / plan.name).mkdir()
    written = Timeline(tmp_path / "hangs")
    written.add("subject.armed", "client", at_ns=written.opened_ns + 1_500_000_000)
    results: queue.SimpleQueue[host.Carried | Exception] = queue.SimpleQueue()
    results.put(host.Carried(plans[0], ended(plans[0]), 1.0))
    found = {
        carried.plan.name: carried.events for carried in host._collect(plans, tmp_path, results, 0)
    }
    written.close()
    assert list(found) == ["ends", "hangs", "waits"]
    assert found["ends"] == ended(plans[0])
    why = "the run did not end in time and was given up; its last event came after"
    assert [event.kind for event in found["hangs"]] == ["opened", "subject.armed", "run.broken"]
    assert found["hangs"][-1].data == {"error": f"{why} 1.500 s"}
    assert [event.data for event in found["waits"]] == [{"error": f"{why} 0.000 s"}]
    assert timeline.load(tmp_path / "hangs") == found["hangs"]


@pytest.mark.parametrize("most", [0, 2])
def test_fewer_threads_than_runs(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that can be started do the work of all; without any nothing is begun."""
    begun: list[threading.Thread] = []

    def begin(thread: threading.Thread) -> None:
        if len(begun) == most:
            raise CapabilityError("threads", "can't start new thread", "raise the limit")
        begun.append(thread)

    monkeypatch.setattr(host, "begin", begin)
    if most:
        assert host._begin(lambda: None, 5) == most
    else:
        with pytest.raises(CapabilityError):
            host._begin(lambda: None, 5)


@pytest.mark.parametrize(
    ("mebibytes", "workers"), [(256, 1), (319, 1), (320, 2), (768, 9), (100_000, 20)]
)
def test_fewer_runs_at_once_in_little_memory(
    mebibytes: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as fit into the limit of the address space."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (mebibytes << 20, resource.RLIM_INFINITY))
    monkeypatch.setattr(host, "reachable_limit", lambda _: 1 << 20)
    assert host._workers([unreachable()] * 20, None) == workers
