"""The host venue: this kernel.

The one place with concurrency: a thread for each plan, mostly waiting.

In a guest, whose clock is virtual, one plan is carried out after the other, as `venue.virtual`
says.
"""

from __future__ import annotations

import gc
import heapq
import queue
import resource
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

from harness import timeline
from harness.errors import CapabilityError, UsageError
from harness.lab.namespace import ensure_privileges
from harness.plan import plan_file
from harness.plan.plan import BEGINS_NS, Plan
from harness.runner.execute import Status, execute, longest_ns
from harness.system import priority
from harness.system.file_descriptors import raise_limit, reachable_limit
from harness.system.threads import begin
from harness.timeline import Event

SWITCH_INTERVAL_S = 0.0005
"""How long a thread may keep the interpreter while another one has been woken (Python's default is
5 ms).
"""
OVERTIME_NS = 60_000_000_000
"""How much longer than `harness.runner.execute.longest_ns` runs may take to build, heal and end."""
DEFAULT_JOBS = 1000
CONTAINER_JOBS = 20
"""How many labs of containers there are at a time, where nobody says: a daemon starts one container
after the other.
"""
CONTAINERS_NS = 5_000_000_000
"""How much longer each lab of containers may take to build and to take down."""
DESCRIPTORS_PER_RUN = 24
"""Namespaces, sockets, captures, pipes and files that one run may hold open, with room to spare."""
LEAST_DESCRIPTORS = 2 * DESCRIPTORS_PER_RUN
"""Below this limit of open files not even one run is begun, as this process has some open too."""
_DESCRIPTORS = DEFAULT_JOBS * DESCRIPTORS_PER_RUN
LEAST_ADDRESS_SPACE = 256 << 20
"""In octets: under a lower limit (`ulimit -v`) no run is begun.

Libraries without memory end the process, or hang.
"""
ADDRESS_SPACE_PER_RUN = 64 << 20
"""Each run beyond the first needs so much more: for its threads' stacks, and what the C library
reserves for them.
"""


class Carried(NamedTuple):
    """A plan that was carried out, with what was recorded.

    `wall_s`: how long that took here, whatever its clock.
    """

    plan: Plan
    events: tuple[Event, ...]
    wall_s: float


def folder_of(out: Path, plan: Plan) -> Path:
    """The run directory of one plan."""
    return out / plan.name


def run_all(
    plans: Sequence[Plan], out: Path, status: Status, jobs: int | None = None
) -> Generator[Carried]:
    """Carry out all plans at the same time, at most `jobs` at once; yields each as it ends.

    In a guest one by one.

    Plan and timeline of each are kept below `out`. Raises CapabilityError where no lab can be
    built, and whatever keeps a run from being recorded, such as OSError or MemoryError.
    """
    limit = raise_limit(_DESCRIPTORS)
    if limit < LEAST_DESCRIPTORS:
        fix = f"raise it with `ulimit -n {LEAST_DESCRIPTORS}` or more, and the hard limit with it"
        raise CapabilityError("open files", f"a limit of {limit}, fewer than a run needs", fix)
    _check_address_space()
    _prepare(in_containers=_in_containers(plans))

    waiting: queue.SimpleQueue[Plan] = queue.SimpleQueue()
    ended: queue.SimpleQueue[Carried | Exception] = queue.SimpleQueue()
    for plan in plans:
        folder_of(out, plan).mkdir(parents=True, exist_ok=True)
        plan_file.save(plan, folder_of(out, plan))
        waiting.put(plan)

    def work() -> None:
        carry_out = _way(plans)
        while True:
            try:
                plan = waiting.get_nowait()
            except queue.Empty:
                return
            began = time.monotonic()
            try:
                events = carry_out(plan, folder_of(out, plan), status)
            except Exception as error:  # noqa: BLE001 - raised again where the results are awaited
                ended.put(error)
                return
            ended.put(Carried(plan, events, time.monotonic() - began))

    with nullcontext() if _in_a_guest(plans) else _responsive():
        workers = _begin(work, _workers(plans, jobs))
        yield from _collect(plans, out, ended, gives_up_after_ns(plans, workers))


def _begin(work: Callable[[], None], number: int) -> int:
    """Start so many threads, or as many as can be, which do the work of all.

    Raises CapabilityError.
    """
    for begun in range(number):
        try:
            begin(threading.Thread(target=work, name=f"run-{begun}", daemon=True))
        except CapabilityError:
            if not begun:
                raise
            return begun
    return number


def gives_up_after_ns(plans: Sequence[Plan], jobs: int | None = None) -> int:
    """How long `run_all` takes with these plans at most, in nanoseconds of their clock.

    Then it gives up the rest.
    """
    if not plans:
        return OVERTIME_NS
    rounds = -(-len(plans) // _workers(plans, jobs))
    containers = sum(plan.machine.lab == "docker" for plan in plans)
    booted_ns, phase_ns = 0, 0
    if _in_a_guest(plans):
        booted_ns = BEGINS_NS
        phase_ns = max(plan.period_ns for plan in plans)  # that each begins at
    rounds_ns = rounds * (max(map(longest_ns, plans)) + phase_ns)
    return booted_ns + rounds_ns + OVERTIME_NS + containers * CONTAINERS_NS


def watches_ns(plans: Sequence[Plan], jobs: int | None = None) -> int:
    """How long `run_all` watches these plans, in nanoseconds: until the last worker is done with
    its last one.
    """
    ends_ns = [0] * _workers(plans, jobs)
    for plan in plans:
        heapq.heapreplace(ends_ns, ends_ns[0] + plan.watch_ns)
    return max(ends_ns, default=0)


def _workers(plans: Sequence[Plan], jobs: int | None) -> int:
    """How many plans are carried out at the same time."""
    if _in_a_guest(plans):
        return min(len(plans), 1)
    most = jobs or (CONTAINER_JOBS if _in_containers(plans) else DEFAULT_JOBS)
    space = _address_space()
    fitting = (
        most if space is None else 1 + max(0, space - LEAST_ADDRESS_SPACE) // ADDRESS_SPACE_PER_RUN
    )
    return min(
        len(plans), most, fitting, max(1, reachable_limit(_DESCRIPTORS) // DESCRIPTORS_PER_RUN)
    )


def _address_space() -> int | None:
    """The limit of this process's address space in octets, None where there is none."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _check_address_space() -> None:
    """Raise CapabilityError where a run would not fit."""
    space = _address_space()
    if space is not None and space < LEAST_ADDRESS_SPACE:
        fix = (
            f"raise it with `ulimit -v {LEAST_ADDRESS_SPACE >> 10}` or more, and the hard limit "
            "with it"
        )
        found = f"a limit of {space >> 10} KiB of address space, fewer than a run needs"
        raise CapabilityError("memory", found, fix)


def _in_a_guest(plans: Sequence[Plan]) -> bool:
    """Whether this kernel's clock is virtual: plans that are carried out here are made for it."""
    return any(plan.machine.clock == "virtual" for plan in plans)


def _way(plans: Sequence[Plan]) -> Callable[[Plan, Path, Status], tuple[Event, ...]]:
    """The function with which the calling thread carries out a plan."""
    if not _in_a_guest(plans):
        return _urgently
    from harness.venue import virtual

    virtual.go_first()
    virtual.warm_up()
    return virtual.carry_out


def _urgently(plan: Plan, folder: Path, status: Status) -> tuple[Event, ...]:
    """In real time: before other threads of this machine, where that is allowed."""
    with priority.urgent():
        return execute(plan, folder, status)


def _in_containers(plans: Sequence[Plan]) -> bool:
    return any(plan.machine.lab == "docker" for plan in plans)


def _prepare(*, in_containers: bool) -> None:
    """Check what labs need, and import it once, before the threads start.

    Raises CapabilityError.
    """
    ensure_privileges()
    import harness.lab.netns_lab  # noqa: F401 - so that threads find it

    if in_containers:
        from harness.lab import docker_client, docker_images, docker_lab

        docker_lab.ensure_root()
        with closing(docker_client.connect()) as client:
            docker_images.ensure_image(client, docker_client.HOST_TREE)


@contextmanager
def _responsive() -> Iterator[None]:
    """Let a thread that is woken run at once, as far as this process and the user's rights decide
    that.

    Garbage collection stops all threads, so it leaves out what was there before: with 60 runs its
    longest pause was 27 ms, and 9 ms since.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.freeze()
    try:
        with priority.urgent():
            yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(before)


def _collect(
    plans: Sequence[Plan], out: Path, ended: queue.SimpleQueue[Carried | Exception], limit_ns: int
) -> Generator[Carried]:
    """Each plan as it ends; what has not ended when it must have is given up, with what it
    recorded.
    """
    began = time.monotonic()
    deadline = began + limit_ns / 1e9
    missing = {plan.name: plan for plan in plans}
    while missing:
        try:
            carried = ended.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        if isinstance(carried, Exception):
            raise carried
        del missing[carried.plan.name]
        yield carried
    for plan in missing.values():
        events = given_up(folder_of(out, plan), "the run did not end in time and was given up")
        yield Carried(plan, events, time.monotonic() - began)


def given_up(folder: Path, error: str) -> tuple[Event, ...]:
    """The events of a run until it was given up, with one that says so, also on disk."""
    try:
        events = timeline.load(folder)
    except UsageError:
        events = ()  # it was still waiting for its turn
    last_ns = events[-1].t_ns if events else 0
    broken = Event(
        last_ns,
        "run.broken",
        "venue",
        {"error": f"{error}; its last event came after {last_ns / 1e9:.3f} s"},
    )
    timeline.append(folder, broken)
    return (*events, broken)
