"""The one place a run sleeps: subjects' sockets, captured segments and the clock, served in the
order they come.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import select
from collections.abc import Callable, Sequence

from harness.lab.host import Lab
from harness.model.topology import SIDES
from harness.probes.capture import Capture, describe
from harness.probes.packets import FlowTracker
from harness.subjects.interface import SegmentListener, Watched
from harness.system.stall import LEAST_NS, Queueing
from harness.timeline import Timeline


class EventLoop:
    """Serves what is watched and what is due; everything it sees goes into the timeline."""

    def __init__(self, timeline: Timeline, *, notes_delays: bool = False) -> None:
        """`notes_delays`: of this thread, in real time, as events `run.stalled`."""
        self.timeline, self._clock = timeline, timeline.clock
        self._queueing = Queueing() if notes_delays else None
        self._poller = self._clock.poller()
        self._watched: dict[int, Watched] = {}
        self._taps: dict[str, _Tap] = {}
        self._due: list[tuple[int, int, Callable[[], object]]] = []
        self._tie = itertools.count()
        self._listeners: list[SegmentListener] = []

    def capture(self, lab: Lab) -> None:
        """Capture on both endpoints; call again when a host may have got another namespace.

        A program that is started again on such a host is captured from its first segment on.
        """
        for side in SIDES:
            identity = lab.host(side).identity
            old = self._taps.get(side)
            if old is not None:
                if old.identity == identity:
                    continue
                self._drop(old)
            with lab.host(side).entered():
                tap = _Tap(side, identity, self.timeline, self._listeners)
            self._taps[side] = tap
            lab.host(side).flow_tracker = tap.flow_tracker
            lab.host(side).starting_again = functools.partial(self.capture, lab)
            self._poller.register(tap.capture.fileno(), select.POLLIN)

    def watch(self, end: Watched) -> None:
        """Serve a subject's descriptor until it wants no more."""
        if end.watching:
            self._watched[end.fileno()] = end
            self._poller.register(end.fileno(), end.mask)

    def on_segment(self, listener: SegmentListener) -> None:
        """Call `listener` for each segment and ICMP error that is captured from now on."""
        self._listeners.append(listener)

    def at(self, moment_ns: int, action: Callable[[], object]) -> None:
        """Call `action` at a moment of CLOCK_MONOTONIC, from within `wait`."""
        heapq.heappush(self._due, (moment_ns, next(self._tie), action))

    @property
    def pending(self) -> int:
        """How many actions are still to come."""
        return len(self._due)

    def wait(self, deadline_ns: int, enough: Callable[[], bool] = lambda: False) -> None:
        """Serve until `enough()` or the deadline (CLOCK_MONOTONIC ns), whichever comes first."""
        if self._queueing is not None:
            self._queueing.waited_ns()  # from here on
        while not enough():
            now = self._clock.now_ns()
            if now >= deadline_ns:
                self._serve(self._poller.ready())  # what has come while nobody looked
                return
            if self._due and self._due[0][0] <= now:
                heapq.heappop(self._due)[2]()
                continue
            until_ns = min(deadline_ns, self._due[0][0]) if self._due else deadline_ns
            ready = self._poller.poll(until_ns)
            self._note_delay(until_ns)
            self._serve(ready)

    def drain(self) -> None:
        """Write down what the captures still hold."""
        for tap in self._taps.values():
            tap.drain()

    def close(self) -> None:
        """End the captures."""
        for tap in list(self._taps.values()):
            self._drop(tap)
        self._poller.close()
        if self._queueing is not None:
            self._queueing.close()

    def _note_delay(self, until_ns: int) -> None:
        """Write down how long this thread waited for a CPU, or for the other threads, before it
        came to look.
        """
        if self._queueing is None:
            return
        now = self._clock.now_ns()
        late_ns = max(self._queueing.waited_ns(), now - until_ns)
        if late_ns >= LEAST_NS:
            self.timeline.add("run.stalled", "harness", at_ns=now - late_ns, took_ns=late_ns)

    def _drop(self, tap: _Tap) -> None:
        tap.drain()
        self.timeline.add("capture.ended", tap.host, dropped=tap.capture.dropped())
        self._poller.unregister(tap.capture.fileno())
        tap.capture.close()
        del self._taps[tap.host]

    def _serve(self, ready: list[tuple[int, int]]) -> None:
        now = self._clock.now_ns()
        for descriptor, revents in ready:
            end = self._watched.get(descriptor)
            if end is not None:
                # What it wants to be woken for, and on which descriptor, may be something else now.
                end.woken(revents, now)
                self._poller.unregister(descriptor)
                del self._watched[descriptor]
                self.watch(end)
        self.drain()


class _Tap:
    """A capture on one host's namespace, with the roles of the segments it sees."""

    def __init__(
        self, host: str, identity: int, timeline: Timeline, listeners: Sequence[SegmentListener]
    ) -> None:
        self.host, self.identity, self.timeline, self.listeners = (
            host,
            identity,
            timeline,
            listeners,
        )
        self.capture = Capture(host)
        self.tracker = FlowTracker()

    def flow_tracker(self) -> FlowTracker:
        self.drain()
        return self.tracker

    def drain(self) -> None:
        for frame in self.capture.read():
            described = describe(frame, self.tracker)
            if described is not None:
                self.timeline.add(
                    "segment",
                    self.host,
                    at_ns=frame.t_ns,
                    host=self.host,
                    device=frame.device,
                    way=frame.way,
                    **described,
                )
                for listener in self.listeners:
                    listener(self.host, frame.t_ns, {"way": frame.way, **described})
