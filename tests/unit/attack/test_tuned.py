from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.attack import claims, tuned
from tests.attack.arena import LIMIT_S, Arena, Ended


@pytest.mark.parametrize(("wall_s", "failures"), [(LIMIT_S + 1, 0), (12.0, 1)])
def test_a_guest_without_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wall_s: float, failures: int
) -> None:
    """It is no failure where it waited for a CPU all the time, which the arena notes."""
    arena = Arena(tmp_path, tmp_path, random.Random(1))

    def ended(*_: object) -> Ended:
        if wall_s > LIMIT_S:
            arena.unjudged("it waited for a CPU")
        return Ended(3, "", "", wall_s)

    monkeypatch.setattr(claims, "catalogue", lambda: tuple(map(str, range(tuned.SCENARIOS))))
    monkeypatch.setattr(tuned, "on_tuned_host", ended)
    tuned.attack(arena)
    assert len(arena.failures) == failures
    assert len(arena.inconclusive) == 1 - failures
