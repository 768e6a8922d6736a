"""Watches, while a run goes on, whether data passes again after its faults were removed, so that
the run need not wait any longer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from harness.model.events import CapturedPacket
from harness.model.programs import Separate
from harness.plan.plan import Plan, last_restored_s
from harness.probes.data_passing import DataPassing
from harness.subjects.tcp_driver import PORT


class RecoveryWatch:
    """Of each judged end of which it is claimed that data passes again."""

    def __init__(self, plan: Plan) -> None:
        separate = isinstance(plan.scenario.client.heartbeat, Separate)
        self.ends = [end for end in plan.judged if end.recovers_until_ns]
        self._passing: dict[str, DataPassing] = {
            end.side: DataPassing(None if separate else PORT) for end in self.ends
        }

    def take(self, host: str, at_ns: int, seen: Mapping[str, Any]) -> None:
        """A segment that was captured on a host (CLOCK_MONOTONIC in ns), with its event's data."""
        passing = self._passing.get(host)
        if passing is not None:
            passing.take(at_ns, msgspec.convert(seen, CapturedPacket))

    def is_over(self, end: Plan, armed_ns: int, now_ns: int) -> bool:
        """Whether data has passed since the last fault was to be removed, and no fault is to come.

        Times are of CLOCK_MONOTONIC in ns.
        """
        faults = end.scenario.faults
        onsets_ns = [armed_ns + round(f.at_s * 1e9) for f in faults if not f.standing]
        removed_ns = armed_ns + round(last_restored_s(end.scenario) * 1e9)
        passed = self._passing[end.side].moments(min(onsets_ns, default=removed_ns))
        return now_ns >= max(onsets_ns, default=0) and bool(passed) and passed[-1] >= removed_ns
