"""A saved run is judged by its plan and its timeline alone: no code of a fault is called."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from harness.faults import Blackhole, FirewallIdle, PeerReboot, ProcessKill
from harness.faults.base import Fault
from harness.judge.verdict import judge
from harness.plan import plan_file
from harness.plan.plan import Plan
from harness.timeline import Event
from tests.unit.timelines import as_foreseen, flap, planned, unreachable

PLANS = {
    "silent": unreachable(window_s=(5.0, 5.4)),
    "outage": flap(),
    "firewall": planned(FirewallIdle(timeout_s=1, then="reset"), errno="ECONNRESET"),
    "reboot": planned(PeerReboot(at_s=0.5)),
    "killed": planned(ProcessKill(at_s=0.5), outcome="eof", window_s=(0.0, 0.1), origin="fault"),
    "two": planned(FirewallIdle(timeout_s=60, then="reset"), Blackhole(at_s=0.5)),
    "healed": planned(Blackhole(at_s=0.5, for_s=20), errno="ETIMEDOUT", outcome="detected"),
}


def refuse(*_args: object, **_options: object) -> NoReturn:
    """Stands in for all code of faults."""
    raise AssertionError("judging a saved run called code of a fault")


def kinds(base: type[Fault]) -> Iterator[type[Fault]]:
    """A class of faults and all that derive from it."""
    yield base
    for each in base.__subclasses__():
        yield from kinds(each)


def without_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every method, property and flag of every fault is gone.

    What is left is the data that scenarios hold.
    """
    for kind in kinds(Fault):
        fields = {*kind.__struct_fields__, "__struct_fields__"}
        for name, value in list(vars(kind).items()):
            if (
                not name.startswith("__")
                and name not in fields
                and not inspect.isdatadescriptor(value)
            ):
                monkeypatch.setattr(kind, name, refuse if callable(value) else property(refuse))
            elif isinstance(value, property):
                monkeypatch.setattr(kind, name, property(refuse))


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_no_fault_is_asked(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verdict is the same, whether its events pass or are cut short, where faults can answer
    nothing.
    """
    whole = as_foreseen(plan)
    runs: list[list[Event]] = [whole, whole[: len(whole) // 2], []]
    before = [judge(plan, events) for events in runs]
    plan_file.save(plan, tmp_path)
    without_code(monkeypatch)
    with pytest.raises(AssertionError, match="called code of a fault"):
        _ = [fault.kind for fault in plan.scenario.faults]
    assert [judge(plan_file.load(tmp_path), events) for events in runs] == before
    assert before[0].verdict == "pass"
