"""The two halves of the conformance tests: nothing is left out, and neither clock misses
anything.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import get_args

import pytest

from harness.model.topology import Family
from tests.conformance.halves import SLOW_TO_SET_UP, Placed, clock_of, sample
from tests.conformance.test_faults import CASES, Case

pytestmark = pytest.mark.conformance
BOTH = {"real", "virtual"}


def clocks_of(case: Case) -> str:
    """Of a case, in whatever test."""
    return clock_of(f"test[{case}]", case.topology.kind, case.topology.family)


def test_a_fault_in_a_place_is_met_on_both_clocks() -> None:
    """Where both families have it; then each clock takes one of them."""
    found: dict[str, list[str]] = defaultdict(list)
    for case in CASES:
        found[str(case).replace(case.topology.family, "")].append(clocks_of(case))
    kinds = {str(case).replace(case.topology.family, ""): case.topology.kind for case in CASES}
    pairs = {
        name: clocks
        for name, clocks in found.items()
        if len(clocks) == 2 and kinds[name] not in SLOW_TO_SET_UP
    }
    assert len(pairs) > 300
    assert all(set(clocks) == BOTH for clocks in pairs.values())


def test_each_clock_meets_each_fault_and_each_topology_in_each_family() -> None:
    """Whatever fault, wherever it stands; what is slow to set up in a guest is met in real time."""
    quick = [case for case in CASES if case.topology.kind not in SLOW_TO_SET_UP]
    found: dict[object, set[str]] = defaultdict(set)
    for case in quick:
        found[case.topology].add(clocks_of(case))
        found[type(case.fault)].add(clocks_of(case))
    assert all(clocks == BOTH for clocks in found.values()), found
    slow = {(case.topology.family, clocks_of(case)) for case in CASES if case not in quick}
    assert slow == set(itertools.product(get_args(Family), {"real"}))


def test_a_guest_meets_each_fault_and_each_topology() -> None:
    """Each in one place, with both families among them: the place is another one from test to
    test.
    """
    quick = {f"test[{case}]": case for case in CASES if case.topology.kind not in SLOW_TO_SET_UP}
    tests = [Placed(name, case.topology.kind, case.topology.family) for name, case in quick.items()]
    chosen = [quick[name] for name in sample(tests)]
    assert len(chosen) == len({test.elsewhere for test in tests}) > 80
    assert {type(case.fault) for case in chosen} == {type(case.fault) for case in quick.values()}
    assert {case.topology for case in chosen} == {case.topology for case in quick.values()}
