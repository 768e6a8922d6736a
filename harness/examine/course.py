"""A run as one end saw it: moments, segments and lines, taken from the timeline. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from harness.model.topology import Side
from harness.timeline import Event


class Course:
    """One end's part of a run. Moments are nanoseconds of the timeline."""

    def __init__(self, events: Sequence[Event], side: Side) -> None:
        self.events = sorted(events, key=lambda event: event.t_ns)
        self.side = side
        timed = self._first("fault.injected")
        self.fault_ns = None if timed is None else timed.t_ns
        ended = self._first("run.ended")
        self.end_ns = self.events[-1].t_ns if ended is None else ended.t_ns
        armed = self.mine("subject.armed")
        self.armed = armed[-1] if armed else None

    def _first(self, kind: str) -> Event | None:
        return next((event for event in self.events if event.kind == kind), None)

    def mine(self, kind: str) -> list[Event]:
        """The events of a kind that are about this end, in the order of time."""
        return [e for e in self.events if e.kind == kind and e.data.get("side") == self.side]

    @cached_property
    def healed_ns(self) -> int | None:
        """When the last fault was removed that was removed before the watch ended."""
        removed = [e.t_ns for e in self.events if e.kind == "fault.healed"]
        return max((moment for moment in removed if moment < self.end_ns), default=None)

    @cached_property
    def segments(self) -> list[Event]:
        """All segments that this end's host captured while it was watched."""
        return [
            event
            for event in self.events
            if event.kind == "segment" and event.source == self.side and event.t_ns <= self.end_ns
        ]

    @cached_property
    def watched(self) -> list[Event]:
        """Those of the watched connection."""
        return [event for event in self.segments if self.is_watched(event.data)]

    @cached_property
    def since_armed(self) -> list[Event]:
        """Segments of any connection that were captured after arming."""
        armed_ns = 0 if self.armed is None else self.armed.t_ns
        return [event for event in self.segments if event.t_ns > armed_ns]

    def is_watched(self, segment: dict[str, Any]) -> bool:
        """Whether a segment is one of the watched connection, by its ports."""
        if self.armed is None or "sport" not in segment or not self.armed.data.get("local"):
            return False
        near, far = self.armed.data["local"][1], self.armed.data["remote"][1]
        ports = (segment["sport"], segment["dport"])
        return ports == ((near, far) if segment["way"] == "out" else (far, near))

    def sent(self, role: str, from_ns: int, until_ns: int) -> list[Event]:
        """What this end sent on the watched connection, by its role."""
        return [
            event
            for event in self.watched
            if event.data["way"] == "out"
            and event.data["role"] == role
            and from_ns < event.t_ns <= until_ns
        ]

    def since_fault_s(self, t_ns: int) -> float:
        """Seconds from the fault to a moment; negative before it."""
        assert self.fault_ns is not None
        return (t_ns - self.fault_ns) / 1e9

    @property
    def watched_s(self) -> float:
        """How long the ends were watched after the fault."""
        return 0.0 if self.fault_ns is None else self.since_fault_s(self.end_ns)
