"""Examples chosen by the branches that they take, not by their number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path

from coverage import Coverage

import harness
from tests.running import EXHAUSTIVE

ORACLE = Path(harness.__file__).parent / "oracle"
ENOUGH = 1
"""A branch that so many examples took is no longer rare."""

Branch = tuple[str, int, int]
"""A file, and the lines from which and to which the program went."""


class Rare:
    """Tells the examples that take a branch of the oracle which few examples before them took.

    Following a cheap computation costs little, and says whether an expensive one is worth its time.
    """

    def __init__(self) -> None:
        self._taken: Counter[Branch] = Counter()
        self._known: dict[Hashable, bool] = {}

    @contextmanager
    def following(self) -> Iterator[set[Branch]]:
        """Fill the set with the branches that the block takes."""
        taken: set[Branch] = set()
        followed = Coverage(data_file=None, branch=True, include=[f"{ORACLE}/*"], config_file=False)
        with followed.collect():
            yield taken
        data = followed.get_data()
        for file in data.measured_files():
            taken.update((file, *arc) for arc in data.arcs(file) or ())

    def is_rare(self, example: Hashable, taken: set[Branch]) -> bool:
        """Whether fewer than ENOUGH examples took one of the branches before.

        All are in an exhaustive run.

        The answer for an example stays what it was: Hypothesis tries again what failed.
        """
        if example not in self._known:
            self._known[example] = EXHAUSTIVE or any(
                self._taken[branch] < ENOUGH for branch in taken
            )
            self._taken.update(taken)
        return self._known[example]

    @property
    def branches(self) -> frozenset[Branch]:
        """All that were taken."""
        return frozenset(self._taken)
