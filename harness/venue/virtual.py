"""How a plan is carried out in virtual time, for `--clock virtual` and within any guest.

The oracle's windows in virtual time have almost no allowance. They hold under these conditions:

- One plan after the other. Where several are armed at one moment, their readings of the clock add
  up and move it.
- Each starts at a moment that is a multiple of its timer wheel's period, so that it sees the same
  phase whatever ran before it: the same plan gives the same timeline, to the nanosecond.
- The harness goes before the programs that it starts, and is woken exactly when it asks to be.
- Programs draw the same random numbers, whatever drew some before.
- Each begins with the right wall clock, whatever set it before.
"""

from __future__ import annotations

import ctypes
import os
import time
from contextlib import suppress
from pathlib import Path

from harness.faults import Blackhole, FirewallIdle, LinkDown, PeerReboot
from harness.plan import planner
from harness.plan.local_machine import local_machine
from harness.plan.plan import BEGINS_NS, Plan
from harness.runner.execute import Status, execute
from harness.scenario.schema import Endpoint, Expect, Keepalive, Scenario
from harness.system import wall_clock
from harness.system.timerfd import sleep_until
from harness.timeline import FILE_NAME, Event, Timeline
from harness.venue.guest_io import hand_over
from harness.venue.kernel_random import SEED_FILE

_libc = ctypes.CDLL(None)
_PR_SET_TIMERSLACK = 29
"""Without it the kernel may wake a sleeper up to 50 microseconds late, together with others."""


def go_first() -> None:
    """Let the calling thread go before all programs.

    No time passes while one of them computes, so the scheduler would never take the CPU from it,
    and what it has printed would be read when it is done. In a guest that is run without root's
    rights the order stays as it is.
    """
    _libc.prctl(_PR_SET_TIMERSLACK, 1)
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))


def warm_up() -> None:
    """Do everything once: what is done for the first time may have to wait, as for the kernel to
    make its tables.
    """
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
    execute(planner.make(scenario, local_machine()), None, _unwatched)


def carry_out(plan: Plan, folder: Path, status: Status) -> tuple[Event, ...]:
    """Carry one plan out in this guest; returns the timeline's events.

    Errors become events of the timeline.
    """
    here = local_machine()
    if (here.kernel, here.hz) != (plan.machine.kernel, plan.machine.hz):
        timeline = Timeline(folder)
        timeline.add(
            "run.broken",
            "guest",
            error=(
                f"expected Linux {plan.machine.kernel} with HZ={plan.machine.hz}, found "
                f"{here.kernel}, HZ={here.hz}"
            ),
        )
        timeline.close()
        return tuple(timeline.events)
    _seed(plan)
    sleep_until(BEGINS_NS)
    now_ns = time.monotonic_ns()
    sleep_until(now_ns + -now_ns % plan.period_ns)
    recorded = os.open(folder / FILE_NAME, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def tell(name: str, what: str | None, until_ns: int | None) -> None:
        hand_over(recorded)  # before anything is awaited, as a guest that gets stuck then is killed
        status(name, what, until_ns)

    try:
        with wall_clock.kept():
            return execute(plan, folder, tell, hand_over)
    finally:
        os.close(recorded)


def _seed(plan: Plan) -> None:
    """Begin the random numbers of programs anew, whatever programs of earlier plans have drawn."""
    seed = plan.machine.seed
    if seed is None:
        return
    os.environ.setdefault("PYTHONHASHSEED", str(seed % 2**32))
    with suppress(PermissionError):
        Path(SEED_FILE).write_text(str(seed), encoding="ascii")


def _unwatched(name: str, what: str | None, until_ns: int | None) -> None:
    """No progress is shown: in virtual time nothing takes long."""
