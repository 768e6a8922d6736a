"""One fault at work: what is written down when, and what happens where a step of it fails."""

from __future__ import annotations

import pytest

from harness.errors import LabError
from harness.faults import Blackhole
from harness.lab.watched import between_ends
from harness.model.topology import Topology
from harness.runner.injection import Injection
from harness.subjects.tcp_driver import PORT
from harness.timeline import Timeline
from tests.unit.fake_clock import FakeClock
from tests.unit.fake_lab import FakeLab

ON, OFF = "router +ingress:to-server,to-client", "router -ingress:to-server,to-client"

FOUND = "1 packet dropped; besides 1 packet of other traffic"


class Bench:
    """A lab and a timeline, on one clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.lab, self.timeline = FakeLab(Topology(), self.clock), Timeline(clock=self.clock)
        self.lab.watched = between_ends(self.lab.layout, PORT)
        self.looks = self.look_ns = 0

    def inject(self) -> Injection:
        """A blackhole, as the fault of index 3."""
        return Injection(Blackhole(at_s=1), 3, self.lab, self.timeline, self._look)

    def _look(self) -> None:
        self.looks += 1
        self.clock.takes(self.look_ns)

    @property
    def told(self) -> list[tuple[str, int]]:
        """The kinds of events, each with its moment, but the opening."""
        return [(event.kind, event.t_ns) for event in self.timeline.events[1:]]


@pytest.fixture
def bench() -> Bench:
    """A fresh one."""
    return Bench()


def test_each_step_is_dated_by_its_beginning(bench: Bench) -> None:
    """And how long it took is told; the evidence is from before the fault is undone."""
    bench.lab.takes_ns = {ON: 7, OFF: 11}
    injection = bench.inject()
    bench.clock.takes(100)
    injection.heal()
    assert bench.told == [("fault.injected", 0), ("fault.evidence", 107), ("fault.healed", 107)]
    injected, evidence, healed = bench.timeline.events[1:]
    assert injected.data == {"index": 3, "fault": "blackhole", "took_ns": 7}
    assert evidence.data == {
        "index": 3,
        "fault": "blackhole",
        "level": "bit",
        "found": FOUND,
        "others": 1,
    }
    assert healed.data == {"index": 3, "fault": "blackhole", "took_ns": 11}
    assert bench.lab.done == [ON, OFF]


def test_evidence_is_written_down_once(bench: Bench) -> None:
    """The first evidence stands: packets that are dropped at the teardown prove nothing."""
    bench.lab.packets = 0
    injection = bench.inject()
    assert not injection.has_acted
    assert injection.gather().level == "in-place"
    bench.lab.packets = 5
    assert injection.gather().level == "in-place"
    assert not injection.has_acted
    injection.heal()
    assert [kind for kind, _ in bench.told] == ["fault.injected", "fault.evidence", "fault.healed"]


def test_asking_whether_it_has_acted_writes_nothing_down(bench: Bench) -> None:
    """It is asked while the run goes on."""
    injection = bench.inject()
    assert injection.has_acted
    assert [kind for kind, _ in bench.told] == ["fault.injected"]


def test_it_is_healed_once(bench: Bench) -> None:
    """However often that is asked for."""
    injection = bench.inject()
    injection.heal()
    injection.heal()
    assert bench.lab.done == [ON, OFF]
    assert [kind for kind, _ in bench.told].count("fault.healed") == 1


def test_what_cannot_be_injected_leaves_no_event(bench: Bench) -> None:
    """The judge sees by that that it never was."""
    bench.lab.fails[ON] = LabError("no room for rules")
    with pytest.raises(LabError, match="no room for rules"):
        bench.inject()
    assert bench.told == []
    assert bench.lab.done == [ON]


def test_it_is_undone_although_no_evidence_can_be_read(bench: Bench) -> None:
    """The error is raised afterwards; without evidence nothing is proven."""
    injection = bench.inject()
    bench.lab.unreadable = LabError("no counters")
    with pytest.raises(LabError, match="no counters"):
        injection.heal()
    assert bench.lab.done == [ON, OFF]
    assert bench.told == [("fault.injected", 0)]


def test_what_cannot_be_undone_is_not_called_healed(bench: Bench) -> None:
    """Nor is it tried again: the lab is taken down anyway."""
    bench.lab.fails[OFF] = LabError("no such table")
    injection = bench.inject()
    with pytest.raises(LabError, match="no such table"):
        injection.heal()
    injection.heal()
    assert bench.lab.done == [ON, OFF]
    assert [kind for kind, _ in bench.told] == ["fault.injected", "fault.evidence"]


def test_which_connection_is_watched_is_looked_up_before_it_matters(bench: Bench) -> None:
    """Before the fault is injected, so that it does not count as its delay; and whenever evidence
    is read, which stands once it is written down.
    """
    bench.look_ns = 5
    injection = bench.inject()
    assert (bench.looks, injection.injected_ns) == (1, bench.clock.now_ns())
    assert injection.has_acted
    assert bench.looks == 2
    injection.gather()
    assert (bench.looks, injection.has_acted, bench.looks) == (3, True, 3)
