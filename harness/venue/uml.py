"""Carries plans out in guests: User-Mode Linux kernels whose clock jumps whenever everything in
them sleeps.

Time in a guest has nothing to do with time here, so the watchdog (`harness.venue.watchdog`) runs
out here.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Generator, Sequence
from pathlib import Path

from harness import timeline
from harness.model.machine import MachineFacts
from harness.plan import plan_file
from harness.plan.plan import Plan
from harness.runner.execute import Status
from harness.system.threads import begin
from harness.venue import PLAN_LIMIT_S, guest, seeding
from harness.venue.guest_process import LOOK_S, boot
from harness.venue.host import Carried, folder_of, given_up
from harness.venue.kernel import Kernel
from harness.venue.watchdog import Watchdog, last_lines

_REPEATABLE = ("PYTHONHASHSEED=0",)
"""For guests in which chance must not decide how time goes by: the kernel hands the word on to
init's environment.
"""


def machine(kernel: Kernel, seed: int | None = None) -> MachineFacts:
    """The machine facts of a guest with this kernel; `seed`: the one that was asked for.

    Raises CapabilityError.
    """
    return MachineFacts(
        kernel=kernel.manifest.release,
        hz=kernel.manifest.hz,
        hz_source=f"kernel {kernel.name}",
        cpus=1,
        clock="virtual",
        seed=seeding.chosen(kernel, seed),
    )


def run_all(
    plans: Sequence[Plan],
    out: Path,
    status: Status,
    kernel: Kernel,
    jobs: int | None = None,
    wall_limit_s: float = PLAN_LIMIT_S,
) -> Generator[Carried]:
    """Carry out plans in guests, one guest a core, each plan on its own; yields each as it ends.

    A plan whose guest gets stuck (see `Watchdog`) or dies is inconclusive, and the next plans go on
    in a fresh guest. Whatever ends this early, an interrupt too, ends the guests. `wall_limit_s`: 0
    for none.
    """
    for plan in plans:
        folder_of(out, plan).mkdir(parents=True, exist_ok=True)
        plan_file.save(plan, folder_of(out, plan))
    crew = _Crew(out.resolve(), status, kernel, wall_limit_s)
    crews = min(len(plans), jobs or len(os.sched_getaffinity(0)))
    shares = [list(plans[n::crews]) for n in range(crews)]
    workers = [threading.Thread(target=crew.work, args=(share,), daemon=True) for share in shares]
    try:
        for worker in workers:
            begin(worker)
        for _ in plans:
            result = crew.ended.get()
            if isinstance(result, BaseException):
                raise result
            yield result
    finally:
        crew.over.set()
        for worker in workers:
            if worker.ident is not None:
                worker.join()  # each has its guest's folder to take away


class _Crew:
    """State shared by the threads that run guests."""

    def __init__(self, out: Path, status: Status, kernel: Kernel, wall_limit_s: float) -> None:
        self.out, self.status, self.kernel, self.wall_limit_s = out, status, kernel, wall_limit_s
        self.ended: queue.SimpleQueue[Carried | BaseException] = queue.SimpleQueue()
        self.over = threading.Event()
        """Set when nobody waits for results any more."""

    def work(self, share: list[Plan]) -> None:
        """Run the plans of a share in one guest after the other, until none is left."""
        try:
            while share and not self.over.is_set():
                done = 0
                for carried in self._one_guest(share):
                    self.ended.put(carried)
                    self.status(carried.plan.name, None, None)
                    done += 1
                share = share[done:]
        except BaseException as error:  # noqa: BLE001 - it is raised again where the results are collected
            self.ended.put(error)

    def _one_guest(self, share: list[Plan]) -> Generator[Carried]:
        """Boot a guest and yield its results in order.

        The last one is of the plan that broke it, if one did.
        """
        folders = [folder_of(self.out, plan) for plan in share]
        self.status(share[0].name, "a guest that boots", None)
        # Commands under test want the PATH and the HOME that they would have here.
        job = {
            "module": guest.__name__,
            "folders": [str(folder) for folder in folders],
            "env": dict(os.environ),
        }
        words = (*_REPEATABLE, *seeding.words(self.kernel))
        with boot(self.kernel, job, [self.out], words=words) as running:
            done, ending, began = 0, None, time.monotonic()
            watchdog = Watchdog(
                running.process.pid,
                max(self.wall_limit_s, PLAN_LIMIT_S if self.wall_limit_s else 0),
            )
            while ending is None and not self.over.is_set():
                for line in running.read(LOOK_S) or ():
                    # A program in the guest may write there, too: only what is due counts.
                    if line == f"{guest.BEGIN}{done}" and done < len(share):
                        began = time.monotonic()
                        self.status(share[done].name, "its verdict in virtual time", None)
                        watchdog = Watchdog(running.process.pid, self.wall_limit_s)
                    elif line == f"{guest.END}{done}" and done < len(share):
                        yield Carried(
                            share[done], timeline.load(folders[done]), time.monotonic() - began
                        )
                        done += 1
                ending = running.ending() if running.over else watchdog.look()
            if done < len(share) and ending is not None:
                running.kill()  # before the end of the timeline is written here
                said = last_lines(folders[done])
                error = "; ".join(filter(None, (f"the guest {ending}", said, running.last_words())))
                yield Carried(share[done], given_up(folders[done], error), time.monotonic() - began)
