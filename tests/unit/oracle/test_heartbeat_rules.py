from __future__ import annotations

import pytest

from harness.model.programs import AnyHeartbeat, IdleState, Reaper, Urgent
from harness.model.topology import SIDES, Side
from harness.oracle.heartbeat_rules import documented
from tests.unit.oracle.heartbeat_pairs import PAIRS, SEPARATE, SIMPLE, TIMER, in_seconds


@pytest.mark.parametrize(
    ("pair", "side", "since_input_s", "since_fault_s"),
    [
        (SIMPLE, "client", (90, 90), (30, 90)),
        (SIMPLE, "server", (100, 100), (40, 100)),
        (SEPARATE, "client", (90, 90), (30, 90)),
        (SEPARATE, "server", (100, 100), (40, 100)),
        ((Urgent(interval_s=2, misses=4),) * 2, "client", (10, 10), (8, 10)),
        ((Urgent(interval_s=2, misses=4),) * 2, "server", (8, 10), (6, 10)),
        (TIMER, "client", (50, 50), (25, 50)),
        (TIMER, "server", (60, 61), (35, 61)),
        ((IdleState(write_idle_s=20, read_idle_s=50), Reaper()), "client", (50, 50), (30, 50)),
        (
            (IdleState(write_idle_s=20, read_idle_s=50, misses=3), Reaper()),
            "client",
            (150, 150),
            (130, 150),
        ),
    ],
)
def test_what_the_designs_document(
    pair: tuple[AnyHeartbeat, AnyHeartbeat],
    side: Side,
    since_input_s: tuple[float, float],
    since_fault_s: tuple[float, float],
) -> None:
    """T1 + 3 * T2, T1 + 4 * T2, (max * n, (max + 1) * n], 25 + 5 * 5, 60 and a look, (k * r - w, k
    * r].
    """
    assert in_seconds(documented(*pair, side)) == (since_input_s, since_fault_s)


def test_every_bound_says_why() -> None:
    """Both of them, on both sides."""
    bounds = [documented(*pair, side) for pair in PAIRS for side in SIDES]
    assert all(each.input_why and each.fault_why for each in bounds)
