"""The event loop: what it serves first, until when, and what it writes down."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import pytest

from harness.model.topology import Topology
from harness.probes.capture import Frame
from harness.runner import event_loop
from harness.runner.event_loop import EventLoop
from harness.timeline import Event, Timeline
from tests.unit.fake_clock import STARTS_NS, FakeClock, FakePoller
from tests.unit.fake_lab import FakeCapture, FakeLab
from tests.unit.fake_subject import FakeEnd

MS = 1_000_000
RST = bytes.fromhex(
    "02000000000202000000000108004500002800004000400600000a0000010a0000029c401b58000000010000000250140000000000000000"
)
"""An RST from 10.0.0.1 to 10.0.0.2, in an Ethernet frame."""


class Run:
    """A loop on a fake clock, with the timeline that it writes."""

    def __init__(self, *, notes_delays: bool = False) -> None:
        self.clock = FakeClock()
        self.timeline = Timeline(clock=self.clock)
        self.loop = EventLoop(self.timeline, notes_delays=notes_delays)
        (poller,) = self.clock.pollers
        assert isinstance(poller, FakePoller)
        self.poller = poller
        self.lab = FakeLab(Topology(), self.clock)

    def told(self, kind: str) -> list[Event]:
        """The events of a kind."""
        return [event for event in self.timeline.events if event.kind == kind]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """A loop whose captures are fakes."""
    monkeypatch.setattr(event_loop, "Capture", FakeCapture)
    FakeCapture.made = []
    return Run()


def test_what_is_due_comes_in_its_order_and_at_its_moment(run: Run) -> None:
    """Also what is scheduled while the loop waits; of two at one moment the older one is first."""
    came: list[tuple[str, int]] = []

    def note(name: str) -> None:
        came.append((name, run.clock.now_ns() - STARTS_NS))
        if name == "b":
            run.loop.at(STARTS_NS + 25, functools.partial(note, "put down later"))

    for moment, name in ((30, "c"), (20, "b"), (30, "d"), (10, "a"), (99, "too late")):
        run.loop.at(STARTS_NS + moment, functools.partial(note, name))
    run.loop.wait(STARTS_NS + 50)
    assert came == [("a", 10), ("b", 20), ("put down later", 25), ("c", 30), ("d", 30)]
    assert run.clock.now_ns() == STARTS_NS + 50
    assert run.loop.pending == 1


def test_what_is_overdue_comes_at_once(run: Run) -> None:
    """One action may take longer than until the next."""
    came: list[int] = []
    run.loop.at(STARTS_NS + 10, lambda: run.clock.takes(100))
    run.loop.at(STARTS_NS + 20, lambda: came.append(run.clock.now_ns() - STARTS_NS))
    run.loop.wait(STARTS_NS + 200)
    assert came == [110]


def test_nothing_is_begun_after_the_deadline(run: Run) -> None:
    """But what has come by then is served."""
    end, came = FakeEnd(run.clock), list[int]()
    run.loop.watch(end)
    end.ready_at(STARTS_NS + 60)
    run.loop.at(STARTS_NS + 10, lambda: run.clock.takes(100))
    run.loop.at(STARTS_NS + 20, lambda: came.append(1))
    run.loop.wait(STARTS_NS + 50)
    assert not came
    assert end.calls == [(STARTS_NS + 110, "woken")]


def test_enough_ends_the_wait(run: Run) -> None:
    """It is asked before each wait."""
    end = FakeEnd(run.clock)
    run.loop.watch(end)
    end.ready_at(STARTS_NS + 7)
    run.loop.wait(STARTS_NS + 1000, lambda: bool(end.calls))
    assert run.clock.now_ns() == STARTS_NS + 7
    run.loop.wait(STARTS_NS + 1000, lambda: True)
    assert run.clock.now_ns() == STARTS_NS + 7


def test_an_end_may_change_its_descriptor_and_its_mask(run: Run) -> None:
    """After each time that it was woken it is asked anew."""

    def changes(_: int) -> None:
        end.reopen()
        end.mask = 5

    end = FakeEnd(run.clock, changes)
    first = end.fileno()
    run.loop.watch(end)
    assert run.poller.asked == {first: 1}
    end.ready_at(STARTS_NS + 1)
    run.loop.wait(STARTS_NS + 2)
    assert run.poller.asked == {end.fileno(): 5}
    assert end.fileno() != first


def test_an_end_that_wants_no_more_is_not_polled(run: Run) -> None:
    """From the moment at which it says so, be it before it was watched at all."""
    end, never = FakeEnd(run.clock, lambda _: setattr(end, "watching", False)), FakeEnd(run.clock)
    never.watching = False
    for each in (end, never):
        run.loop.watch(each)
    end.ready_at(STARTS_NS + 1)
    run.loop.wait(STARTS_NS + 2)
    assert run.poller.asked == {}


def test_captured_segments_are_written_down_and_told(run: Run) -> None:
    """With the kernel's moment; what is no segment is neither."""
    heard: list[tuple[str, int, Mapping[str, Any]]] = []
    run.loop.capture(run.lab)
    run.loop.on_segment(lambda *told: heard.append(told))
    client, server = FakeCapture.made
    for capture, data in ((server, RST), (client, b"\0" * 64)):
        capture.frames.append(Frame(capture.host, "eth0", "in", STARTS_NS + 5, data, len(data)))
    run.clock.at(STARTS_NS + 9, lambda: run.clock.readable.add(server.fileno()))
    run.loop.wait(STARTS_NS + 10, lambda: bool(heard))
    (event,) = run.told("segment")
    assert (event.t_ns, event.source, event.data["role"], event.data["way"]) == (
        5,
        "server",
        "rst",
        "in",
    )
    assert [(host, at_ns, data["role"]) for host, at_ns, data in heard] == [
        ("server", STARTS_NS + 5, "rst")
    ]


def test_only_a_host_with_another_network_is_captured_anew(run: Run) -> None:
    """What the old capture still held is written down before its end is."""
    run.loop.capture(run.lab)
    client, server = FakeCapture.made
    run.loop.capture(run.lab)
    assert FakeCapture.made == [client, server]
    server.frames.append(Frame("server", "eth0", "in", STARTS_NS, RST, len(RST)))
    run.lab.reboot("server")
    run.loop.capture(run.lab)
    assert [capture.host for capture in FakeCapture.made] == ["client", "server", "server"]
    assert (client.closed, server.closed) == (False, True)
    assert [event.kind for event in run.timeline.events[1:]] == ["segment", "capture.ended"]
    assert set(run.poller.asked) == {client.fileno(), FakeCapture.made[2].fileno()}


def test_a_host_tells_when_it_starts_a_program_again(run: Run) -> None:
    """Its capture follows it into another network: the program's first segment is seen."""
    run.loop.capture(run.lab)
    run.lab.reboot("server")
    run.lab.host("server").starting_again()
    assert [capture.host for capture in FakeCapture.made] == ["client", "server", "server"]


def test_closing_ends_all_captures(run: Run) -> None:
    """Each with an event."""
    run.loop.capture(run.lab)
    run.loop.close()
    assert [event.source for event in run.told("capture.ended")] == ["client", "server"]
    assert all(capture.closed for capture in FakeCapture.made)
    assert run.poller.closed
    assert run.poller.asked == {}


class Queues:
    """Stands for `Queueing`: `waits_ns` has one wait for a CPU for each call."""

    def __init__(self) -> None:
        self.waits_ns = [0]

    def waited_ns(self) -> int:
        """Since the last call."""
        return self.waits_ns.pop(0) if self.waits_ns else 0

    def close(self) -> None:
        """Nothing is held."""


def test_waits_for_a_cpu_are_written_down_where_they_are_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From the moment at which the thread should have run; earlier waits do not count."""
    queues = Queues()
    monkeypatch.setattr(event_loop, "Queueing", lambda: queues)
    run = Run(notes_delays=True)
    queues.waits_ns = [500 * MS, 19 * MS, 20 * MS]
    for moment_ns in (STARTS_NS + 100 * MS, STARTS_NS + 200 * MS):
        run.loop.at(moment_ns, lambda: None)
    run.loop.wait(STARTS_NS + 200 * MS)
    (stall,) = run.told("run.stalled")
    assert (stall.t_ns, stall.data["took_ns"]) == (180 * MS, 20 * MS)


def test_a_late_wake_up_is_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the kernel says nothing of a wait, as where the whole machine stood still."""
    monkeypatch.setattr(event_loop, "Queueing", Queues)
    run = Run(notes_delays=True)
    run.clock.at(STARTS_NS + 10 * MS, lambda: run.clock.takes(70 * MS))
    run.loop.wait(STARTS_NS + 50 * MS)
    (stall,) = run.told("run.stalled")
    assert (stall.t_ns, stall.data["took_ns"]) == (50 * MS, 30 * MS)
