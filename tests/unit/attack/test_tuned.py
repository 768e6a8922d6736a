from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.attack import claims, tuned
from tests.attack.arena import Arena, Ended


@pytest.mark.parametrize(("wall_s", "failures"), [(tuned.WALL_LIMIT_S + 1, 0), (12.0, 1)])
def test_a_guest_without_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wall_s: float, failures: int
) -> None:
    """It is no failure where the time was too short: on a busy machine it cannot be judged."""
    monkeypatch.setattr(claims, "catalogue", lambda: tuple(map(str, range(tuned.SCENARIOS))))
    monkeypatch.setattr(tuned, "on_tuned_host", lambda *_: Ended(3, "", "", wall_s))
    arena = Arena(tmp_path, tmp_path, random.Random(1))
    tuned.attack(arena)
    assert len(arena.failures) == failures
    assert len(arena.inconclusive) == 1 - failures
