"""Real-time priority: asked for where the user may have it, given back, and lent to programs of our
own.
"""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.system import priority, time_slice

OWN = 0
PROGRAM = os.getpid()
"""Also the number of its first thread."""


class Kernel:
    """Keeps what each process was given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, allows: bool) -> None:
        self.allows, self.policies, self.priorities = allows, {OWN: os.SCHED_BATCH}, {OWN: 0}
        monkeypatch.setattr(os, "sched_setscheduler", self.give)
        monkeypatch.setattr(os, "sched_getscheduler", self.policies.__getitem__)
        monkeypatch.setattr(os, "sched_getparam", lambda _: os.sched_param(0))

    def give(self, pid: int, policy: int, parameter: os.sched_param) -> None:
        """As sched_setscheduler(2)."""
        if not self.allows:
            raise PermissionError
        self.policies[pid], self.priorities[pid] = policy, parameter.sched_priority


def test_a_block_has_it_and_gives_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not handed down to what is started, but may be lent while somebody has it."""
    kernel = Kernel(monkeypatch, allows=True)
    priority.lend(PROGRAM)
    assert kernel.policies == {OWN: os.SCHED_BATCH}
    with priority.urgent():
        assert kernel.policies[OWN] == os.SCHED_RR | os.SCHED_RESET_ON_FORK
        computes = kernel.priorities[OWN]
        with priority.urgent(watches=True):
            assert kernel.priorities[OWN] > computes > 0
        priority.lend(PROGRAM)
    assert (kernel.policies[OWN], kernel.policies[PROGRAM]) == (
        os.SCHED_BATCH,
        os.SCHED_RR | os.SCHED_RESET_ON_FORK,
    )


def test_a_call_that_spins_goes_on_at_normal_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever holds what it waits for gets to run."""
    kernel = Kernel(monkeypatch, allows=True)
    with priority.ordinary():
        assert kernel.policies == {OWN: os.SCHED_BATCH}
    with priority.urgent(watches=True):
        with priority.ordinary():
            assert kernel.policies[OWN] == os.SCHED_OTHER
        assert kernel.policies[OWN] == os.SCHED_RR | os.SCHED_RESET_ON_FORK
    assert kernel.policies == {OWN: os.SCHED_BATCH}


def test_who_may_not_have_it_goes_on_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lent then either, where the kernel knows no short slices."""
    kernel = Kernel(monkeypatch, allows=False)
    monkeypatch.setattr(time_slice, "shorten", lambda _: False)
    with priority.urgent():
        kernel.allows = True
        priority.lend(PROGRAM)
    assert kernel.policies == {OWN: os.SCHED_BATCH}


def test_a_session_of_its_own_keeps_the_nice_value() -> None:
    """Beside other sessions, too.

    Of a thread, as this process cannot get a nice value back without privileges.
    """

    def started() -> str:
        os.setpriority(os.PRIO_PROCESS, 0, 7)
        with subprocess.Popen(["/bin/sleep", "60"], start_new_session=True) as program:
            try:
                priority.keep_nice(program.pid)
                return Path(f"/proc/{program.pid}/autogroup").read_text()
            finally:
                program.kill()

    if not Path("/proc/self/autogroup").exists():
        pytest.skip("this kernel has no autogroups (CONFIG_SCHED_AUTOGROUP)")
    with ThreadPoolExecutor(1) as other:
        assert other.submit(started).result().endswith(" nice 7\n")
