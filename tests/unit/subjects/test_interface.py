"""What both ends of a connection know of the run's faults."""

from __future__ import annotations

import pytest

from harness.subjects.interface import Notices
from harness.timeline import Timeline


@pytest.mark.parametrize("has_acted", [False, True])
def test_a_fault_in_place_counts_once_it_has_acted(has_acted: bool) -> None:  # noqa: FBT001
    """A firewall that has done nothing yet is no reason for a program to end."""
    timeline = Timeline()
    timeline.add("fault.injected", "fault", index=0, fault="firewall-idle", took_ns=0)
    notices = Notices(timeline, lambda: has_acted)
    assert notices.injected == has_acted
    timeline.add("fault.injected", "fault", index=1, fault="blackhole", took_ns=0)
    assert notices.injected
