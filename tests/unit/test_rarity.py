"""Examples by the rarity of their branches: what is followed, and what is taken for rare."""

from __future__ import annotations

import pytest

from harness.oracle import timerwheel
from tests.unit import rarity
from tests.unit.rarity import ENOUGH, Rare


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """In an exhaustive run, too."""
    monkeypatch.setattr(rarity, "EXHAUSTIVE", False)


def branches(rare: Rare, distance: int) -> set[rarity.Branch]:
    """Those of the timer wheel for a distance."""
    with rare.following() as taken:
        timerwheel.level(distance)
    return taken


def test_an_example_is_rare_for_the_branches_that_it_takes() -> None:
    """Another level of the wheel takes another way, another distance on the same level takes the
    same.
    """
    rare = Rare()
    near, also_near, far = (branches(rare, distance) for distance in (1, 2, 100))
    assert near == also_near != far
    assert {file.rpartition("/")[2] for file, _, _ in near} == {"timerwheel.py"}
    assert [rare.is_rare(number, near) for number in range(ENOUGH + 1)] == [True] * ENOUGH + [False]
    assert rare.is_rare("far", far)
    assert rare.branches == near | far


def test_the_answer_for_an_example_stays() -> None:
    """What failed is tried again, to be made smaller or shown."""
    rare = Rare()
    near = branches(rare, 1)
    for number in range(ENOUGH + 1):
        rare.is_rare(number, near)
    assert rare.is_rare(0, near)


def test_an_exhaustive_run_tries_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often their branches were taken."""
    monkeypatch.setattr(rarity, "EXHAUSTIVE", True)
    rare = Rare()
    near = branches(rare, 1)
    assert all(rare.is_rare(number, near) for number in range(ENOUGH + 2))
