"""How long a scenario may take as a test, and which setting says so.

pytest-timeout enforces the limit. A limit that the user sets goes before the plan's, in
pytest-timeout's order:

    marker > option --timeout > environment PYTEST_TIMEOUT > ini option timeout > the plan's limit

The plan's own limit counts in the clock that the scenario runs in, and counts everything that a run
waits for. The batch of scenarios gives its runs up before that, with a verdict that says why. The
limit is for a batch that does not answer.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from harness.plan.plan import Plan

OVERTIME_S = 30.0
"""How much longer than its batch an item may take: for the batch's process to begin, and to
report.
"""


class Limit(NamedTuple):
    """A limit as the user wrote it, in seconds (0: none), and where."""

    value: Any
    source: str


_OF_PLANS: pytest.StashKey[float] = pytest.StashKey()
"""The limit of an item in seconds, where it comes from plans."""


def apply(item: pytest.Item, seconds: float) -> None:
    """Give a scenario the limit of the plans that it runs together with, where the user has set
    none.
    """
    if _is_enforced(item) and of_user(item) is None:
        item.stash[_OF_PLANS] = seconds
        mark = item.get_closest_marker("timeout")
        others = {} if mark is None else mark.kwargs
        # A scenario is awaited while it is set up, so that a limit of the call alone would limit
        # nothing.
        limit = pytest.mark.timeout(item.stash[_OF_PLANS], **{**others, "func_only": False})
        item.add_marker(limit, append=False)


def of_plans_s(together: Sequence[Plan]) -> float:
    """How long an item may take whose plan is run together with these, in seconds of their
    clock.
    """
    from harness.batch import batch

    return batch.gives_up_after_ns(together, batch.default_retries(together)) / 1e9 + OVERTIME_S


def of_user(item: pytest.Item) -> Limit | None:
    """What the user has set for a test; None where nothing is set, or nothing enforces it."""
    if not _is_enforced(item):
        return None
    found = [
        Limit(_of_mark(item), "timeout marker"),
        Limit(item.config.getoption("timeout", None), "option --timeout"),
        Limit(os.environ.get("PYTEST_TIMEOUT"), "environment variable PYTEST_TIMEOUT"),
        Limit(
            item.config.getini("timeout") or None, f"ini option timeout in {item.config.inipath}"
        ),
    ]
    return next((limit for limit in found if limit.value is not None), None)


def _is_enforced(item: pytest.Item) -> bool:
    return item.config.pluginmanager.has_plugin("timeout")


def _of_mark(item: pytest.Item) -> Any:
    mark = item.get_closest_marker("timeout")
    if mark is None:
        return None
    return mark.kwargs.get("timeout", mark.args[0] if mark.args else None)


def explain(item: pytest.Item, plan: Plan) -> str:
    """For an item that has run out of time: whose limit it was, and how long the plan may take."""
    from harness.runner.execute import longest_ns

    needed = (
        f"the scenario may take {longest_ns(plan) / 1e9:.1f} s of {plan.machine.clock} time by "
        "its plan"
    )
    own_s = item.stash.get(_OF_PLANS, None)
    if own_s is not None:
        return f"time limit: {own_s:.1f} s, computed from the plans of the session; {needed}"
    limit = of_user(item)
    if limit is None:
        return f"time limit: none; {needed}"
    fix = "without a limit of yours the plan's own applies"
    return f"time limit: {limit.value} s, set by the {limit.source}; {needed}; {fix}"
