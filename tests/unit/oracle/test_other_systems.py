from __future__ import annotations

from typing import get_args

import pytest

from harness.oracle.other_systems import SYSTEMS, Name


@pytest.mark.parametrize(
    ("name", "idle_s", "interval_s", "count", "detection_s"),
    [
        ("freebsd", 7200, 75, 8, 7800),
        ("macos", 7200, 75, 8, 7800),
        ("windows", 7200, 1, 10, 7210),
        ("aix", 120, 75, 8, 795),  # the published capture: RST 795 s after the last data
        ("solaris", 7200, 60, 8, 7680),  # 2 h and the default abort threshold of 8 min
    ],
)
def test_the_documented_formula(
    name: Name, idle_s: float, interval_s: float, count: int, detection_s: float
) -> None:
    """As sources and manuals have it."""
    assert SYSTEMS[name].detection_s(idle_s, interval_s, count) == detection_s


def test_every_system_has_a_source_and_whole_units() -> None:
    """Defaults are multiples of the unit in which they are set."""
    assert set(SYSTEMS) == set(get_args(Name))
    for system in SYSTEMS.values():
        assert system.source
        for seconds in (system.idle_s, system.interval_s):
            assert (seconds / system.unit_s) % 1 == 0
