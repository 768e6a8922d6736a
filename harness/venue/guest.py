"""The harness inside a guest: takes plans one after the other and leaves their timelines.

Each plan starts at a moment that is a multiple of its timer wheel's period, so that it sees the same phase whatever ran
before it: the same plan gives the same timeline, to the nanosecond.
"""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path
from typing import Any

from harness import plan as plans
from harness import plan_file
from harness.alarm import sleep_until
from harness.faults import Blackhole, FirewallIdle, LinkDown, PeerReboot
from harness.lab.processes import end_everything_else
from harness.local_machine import local_machine
from harness.plan import Plan
from harness.run import execute
from harness.scenario import Endpoint, Expect, Keepalive, Scenario
from harness.timeline import FILE_NAME, Timeline
from harness.venue.handover import hand_over, say
from harness.venue.kernel_random import SEED_FILE

_libc = ctypes.CDLL(None)
_PR_SET_TIMERSLACK = 29
"""Without it the kernel may wake a sleeper up to 50 microseconds late, together with others."""
BEGIN, END = "\x1ebegin ", "\x1eend "
"""Lines on the console that tell the host which plan runs; followed by the plan's place in the job."""


def main(job: dict[str, Any]) -> int:
    """Carry out the plans in the job's folders; called by init.

    It goes before the programs that it starts. No time passes while one of them computes, so the scheduler would never
    take the CPU from it, and what it has printed would be read when it is done.
    """
    _libc.prctl(_PR_SET_TIMERSLACK, 1)
    os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    os.environ.update(job["env"])
    _warm_up()
    for number, folder in enumerate(job["folders"]):
        say(f"{BEGIN}{number}")
        plan = plan_file.load(Path(folder))
        if plan.machine.seed is not None and "PYTHONHASHSEED" not in job["env"]:
            os.environ["PYTHONHASHSEED"] = str(plan.machine.seed % 2**32)
        _carry_out(plan, Path(folder))
        say(f"{END}{number}")
    return 0


def _warm_up() -> None:
    """Do everything once: what is done for the first time may have to wait, as for the kernel to make its tables."""
    faults = (
        FirewallIdle(timeout_s=1),
        Blackhole(at_s=0.1, for_s=0.1),
        LinkDown(on="server", at_s=0.3, for_s=0.1),
        PeerReboot(at_s=0.5),
    )
    scenario = Scenario(
        name="warm-up",
        client=Endpoint(keepalive=Keepalive(idle_s=1, interval_s=1, count=1)),
        faults=faults,
        expect=Expect(outcome="detected"),
    )
    execute(plans.make(scenario, local_machine()), None, _unwatched)


def _carry_out(plan: Plan, folder: Path) -> None:
    here = local_machine()
    if (here.kernel, here.hz) != (plan.machine.kernel, plan.machine.hz):
        timeline = Timeline(folder)
        timeline.add(
            "run.broken",
            "guest",
            error=f"expected Linux {plan.machine.kernel} with HZ={plan.machine.hz}, found {here.kernel}, HZ={here.hz}",
        )
        timeline.close()
        return
    if plan.machine.seed is not None:
        # From its beginning, whatever programs of earlier plans have drawn.
        Path(SEED_FILE).write_text(str(plan.machine.seed), encoding="ascii")
    _align(plan)
    recorded = os.open(folder / FILE_NAME, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        # Before anything is awaited, as a guest that gets stuck then is killed.
        execute(plan, folder, lambda *_: hand_over(recorded), hand_over)
    finally:
        os.close(recorded)
        end_everything_else()  # so that no plan meets what another one's programs have left


def _unwatched(name: str, what: str, until_ns: int | None) -> None:
    """Nobody looks on: what is awaited comes at once."""


def _align(plan: Plan) -> None:
    """Sleep until the clock is at a multiple of the wheel's period."""
    now = time.monotonic_ns()
    sleep_until(now + -now % plan.period_ns)
