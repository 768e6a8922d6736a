"""Real-time priority: asked for where the user may have it, given back, and lent to programs of our own."""

from __future__ import annotations

import os

import pytest

from harness.system import priority

OWN = 0
PROGRAM = 4711


class Kernel:
    """Keeps what each process was given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, allows: bool) -> None:
        self.allows, self.policies = allows, {OWN: os.SCHED_BATCH}
        monkeypatch.setattr(os, "sched_setscheduler", self.give)
        monkeypatch.setattr(os, "sched_getscheduler", self.policies.__getitem__)
        monkeypatch.setattr(os, "sched_getparam", lambda _: os.sched_param(0))

    def give(self, pid: int, policy: int, _: os.sched_param) -> None:
        """As sched_setscheduler(2)."""
        if not self.allows:
            raise PermissionError
        self.policies[pid] = policy


def test_a_block_has_it_and_gives_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not handed down to what is started, but may be lent while somebody has it."""
    kernel = Kernel(monkeypatch, allows=True)
    priority.lend(PROGRAM)
    assert PROGRAM not in kernel.policies
    with priority.urgent():
        assert kernel.policies[OWN] == os.SCHED_RR | os.SCHED_RESET_ON_FORK
        with priority.urgent():
            pass
        priority.lend(PROGRAM)
    assert kernel.policies == {OWN: os.SCHED_BATCH, PROGRAM: os.SCHED_RR | os.SCHED_RESET_ON_FORK}


def test_who_may_not_have_it_goes_on_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lent then either."""
    kernel = Kernel(monkeypatch, allows=False)
    with priority.urgent():
        kernel.allows = True
        priority.lend(PROGRAM)
    assert kernel.policies == {OWN: os.SCHED_BATCH}
