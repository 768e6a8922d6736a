"""Which clock a test of one topology runs on: each takes one half of them, and virtual time a
sample of its half.

Of a test with the same fault in the same kind of topology, one address family runs in real time and
the other one in virtual time. So real time meets every fault in every place, and both families in
every kind of topology. A guest takes three times as long for a lab, and runs the whole catalogue
besides: of a test with the same fault it runs one topology. An exhaustive run leaves nothing out on
either clock.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

from harness.model.topology import Family, Kind

SLOW_TO_SET_UP: frozenset[Kind] = frozenset({"proxied"})
"""What takes a guest long runs in real time, in both families."""


def clock_of(test: str, kind: Kind, family: Family) -> Literal["real", "virtual"]:
    """The clock of a test by its full name, its topology and its family."""
    if kind in SLOW_TO_SET_UP:
        return "real"
    families = get_args(Family)
    turn = zlib.crc32(test.replace(family, "").encode()) + families.index(family)
    return "real" if turn % 2 else "virtual"


class Placed(NamedTuple):
    """A test of one topology, by its full name."""

    name: str
    kind: Kind
    family: Family

    @property
    def elsewhere(self) -> str:
        """What the same test is called in any other topology."""
        return self.name.replace(f"{self.kind}-{self.family}", "")


def sample(tests: Iterable[Placed]) -> set[str]:
    """The names of those that run in virtual time: of each test with the same fault one, of its
    half if it has any.
    """
    groups: dict[str, list[Placed]] = defaultdict(list)
    for test in tests:
        groups[test.elsewhere].append(test)
    return {_one_of(group).name for group in groups.values()}


def _one_of(group: list[Placed]) -> Placed:
    some = [test for test in group if clock_of(*test) == "virtual"] or group
    return some[zlib.crc32(some[0].elsewhere.encode()) % len(some)]
