"""Which clock a test of one topology runs on: each takes one half of them, so that both together run all.

Of a test with the same fault in the same kind of topology, one address family runs in real time and the other one in
virtual time. So each clock meets every fault in every place, and both families in every kind of topology.
"""

from __future__ import annotations

import zlib
from typing import Literal, get_args

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
