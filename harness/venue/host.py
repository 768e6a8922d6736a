"""The host venue: this kernel, real time. The one place with concurrency: a thread for each plan, mostly waiting."""

from __future__ import annotations

import gc
import queue
import sys
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from harness import timeline
from harness.descriptors import raise_limit
from harness.errors import UsageError
from harness.lab.namespace import ensure_privileges
from harness.plan import Plan
from harness.plan import save as save_plan
from harness.run import Status, execute
from harness.timeline import Event

SWITCH_INTERVAL_S = 0.0005
"""How long a thread may keep the interpreter while another one has been woken (Python's default is 5 ms)."""
OVERTIME_NS = 60_000_000_000
"""How long after its last moment a run may take to build, heal and end before it is given up."""
DEFAULT_JOBS = 1000
CONTAINER_JOBS = 20
"""How many labs of containers there are at a time, where nobody says: a daemon starts one container after the other."""
CONTAINERS_NS = 5_000_000_000
"""How much longer each lab of containers may take to build and to take down."""
DESCRIPTORS_PER_RUN = 24
"""Namespaces, sockets, captures, pipes and files that one run may hold open, with room to spare."""


def folder_of(out: Path, plan: Plan) -> Path:
    """The run directory of one plan."""
    return out / plan.name


def run_all(
    plans: Sequence[Plan], out: Path, status: Status, jobs: int | None = None
) -> Generator[tuple[Plan, tuple[Event, ...]]]:
    """Carry out all plans at the same time, at most `jobs` at once; yields each as it ends.

    Plan and timeline of each are kept below `out`. Raises CapabilityError where no lab can be built.
    """
    in_containers = any(plan.machine.lab == "docker" for plan in plans)
    _prepare(in_containers=in_containers)

    waiting: queue.SimpleQueue[Plan] = queue.SimpleQueue()
    ended: queue.SimpleQueue[tuple[Plan, tuple[Event, ...]]] = queue.SimpleQueue()
    for plan in plans:
        folder_of(out, plan).mkdir(parents=True, exist_ok=True)
        save_plan(plan, folder_of(out, plan))
        waiting.put(plan)

    def work() -> None:
        while True:
            try:
                plan = waiting.get_nowait()
            except queue.Empty:
                return
            ended.put((plan, execute(plan, folder_of(out, plan), status)))

    descriptors = raise_limit(DEFAULT_JOBS * DESCRIPTORS_PER_RUN)
    most = jobs or (CONTAINER_JOBS if in_containers else DEFAULT_JOBS)
    workers = min(len(plans), most, descriptors // DESCRIPTORS_PER_RUN)
    with _responsive():
        for number in range(workers):
            threading.Thread(target=work, name=f"run-{number}", daemon=True).start()
        yield from _collect(plans, out, ended, workers)


def _prepare(*, in_containers: bool) -> None:
    """See to what labs need, and load it once, not by every thread at the same moment. Raises CapabilityError."""
    ensure_privileges()
    import harness.lab.netns  # noqa: F401 - so that threads find it

    if in_containers:
        from harness.lab import containers, docker

        docker.ensure_root()
        with closing(containers.connect()) as client:
            containers.ensure_image(client, containers.HOST_TREE)


@contextmanager
def _responsive() -> Iterator[None]:
    """Let a thread that is woken run at once.

    Garbage collection stops all threads, so it leaves out what was there before: with 60 runs its longest pause was
    27 ms, and 9 ms since.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(before)


def _collect(
    plans: Sequence[Plan], out: Path, ended: queue.SimpleQueue[tuple[Plan, tuple[Event, ...]]], workers: int
) -> Generator[tuple[Plan, tuple[Event, ...]]]:
    """Each plan as it ends; what has not ended when it must have is given up, with what it recorded."""
    longest_ns = max((plan.watch_ns for plan in plans), default=0)
    rounds = -(-len(plans) // workers) if workers else 0
    containers = sum(plan.machine.lab == "docker" for plan in plans)
    deadline = time.monotonic_ns() + rounds * longest_ns + OVERTIME_NS + containers * CONTAINERS_NS
    missing = {plan.name: plan for plan in plans}
    while missing:
        try:
            plan, events = ended.get(timeout=max(0.0, (deadline - time.monotonic_ns()) / 1e9))
        except queue.Empty:
            break
        del missing[plan.name]
        yield plan, events
    for plan in missing.values():
        yield plan, given_up(folder_of(out, plan), "the run did not end in time and was given up")


def given_up(folder: Path, error: str) -> tuple[Event, ...]:
    """What a run recorded until it was given up, and, there and on disk, that it was."""
    try:
        events = timeline.load(folder)
    except UsageError:
        events = ()  # it was still waiting for its turn
    last_ns = events[-1].t_ns if events else 0
    broken = Event(
        last_ns, "run.broken", "venue", {"error": f"{error}; its last event came after {last_ns / 1e9:.3f} s"}
    )
    timeline.append(folder, broken)
    return (*events, broken)
