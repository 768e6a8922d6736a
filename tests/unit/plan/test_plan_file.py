"""Plans in run folders: saved, loaded, and refused where another version wrote them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from harness.errors import UsageError
from harness.faults import Blackhole, FirewallIdle, LinkDown, ProcessKill
from harness.plan import plan_file
from harness.plan.plan import FORMAT, Plan
from tests.unit.plan.test_planner import VIRTUAL, planned


@pytest.mark.parametrize(
    "made",
    [
        planned(outcome="survives"),
        planned(Blackhole(at_s=1), LinkDown(on="server"), on=VIRTUAL),
        planned(ProcessKill(), outcome="eof", window_s=(0, 1)),
        planned(
            FirewallIdle(timeout_s=5, then="reset"),
            Blackhole(),
            outcome="detected",
            errno="ETIMEDOUT",
            window_s=(1, 9),
        ),
    ],
    ids=["quiet", "two-faults", "eof", "unpredictable"],
)
def test_a_saved_plan_is_loaded_as_it_was(tmp_path: Path, made: Plan) -> None:
    """A run can be judged again on another day: its windows are not computed anew."""
    plan_file.save(made, tmp_path)
    assert plan_file.load(tmp_path) == made
    assert made.name == "by/hand"


def test_a_plan_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    """The message names the place."""
    with pytest.raises(UsageError, match=f"{tmp_path}/plan.json"):
        plan_file.load(tmp_path)


def test_a_plan_that_is_something_else_is_a_usage_error(tmp_path: Path) -> None:
    """Not JSON, or JSON of another shape."""
    for content in (b"", b"{", b"[]", b"{}", msgspec.json.encode({"scenario": 3})):
        (tmp_path / plan_file.FILE_NAME).write_bytes(content)
        with pytest.raises(UsageError, match=f"expected a plan of format {FORMAT}"):
            plan_file.load(tmp_path)


@pytest.mark.parametrize("older", range(1, FORMAT))
def test_a_plan_of_another_format_is_refused_in_one_sentence(tmp_path: Path, older: int) -> None:
    """What another version wrote lacks what this one judges by; the way out is named."""
    plan_file.save(planned(outcome="survives"), tmp_path)
    path = tmp_path / plan_file.FILE_NAME
    found = {**msgspec.json.decode(path.read_bytes()), "format": older}
    path.write_bytes(msgspec.json.encode(found))
    with pytest.raises(UsageError) as caught:
        plan_file.load(tmp_path)
    words = f"{path}: expected a plan of format {FORMAT}, found format {older}; judge it with the"
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
