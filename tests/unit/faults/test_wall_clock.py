"""The wall clock as a fault: no prediction minds it, and it is for guests alone."""

from __future__ import annotations

import pytest

from harness.errors import FaultError, ScenarioError
from harness.faults import WallClock
from harness.model.topology import SIDES, Topology, layout
from harness.scenario import loader
from harness.system import kernel_clock, wall_clock
from tests.unit.fake_clock import FakeClock
from tests.unit.fake_lab import FakeLab

WHERE = layout(Topology())
HOUR_NS = 3_600_000_000_000


def read(step: object) -> WallClock:
    """The fault of a scenario file with that step. Raises ScenarioError."""
    raw = {"kind": "wall-clock", "step_s": step, "at_s": 1}
    (fault,) = loader.from_mapping({"faults": [raw]}, "f").faults
    assert isinstance(fault, WallClock)
    return fault


@pytest.mark.parametrize(
    ("step", "step_s"), [("1h", 3600), ("-1h30m", -5400), (" - 1d", -86400), (-0.5, -0.5)]
)
def test_steps_go_both_ways(step: object, step_s: float) -> None:
    """As numbers and with units."""
    assert read(step).step_s == step_s


@pytest.mark.parametrize("step", [0, "soon", "--1h", "-", 1e9])
def test_what_is_no_step_is_refused(step: object) -> None:
    """With its key and what was found."""
    with pytest.raises(ScenarioError, match=r"f: faults\[0\]\.step_s: expected .*, found"):
        read(step)


def test_neither_side_is_affected() -> None:
    """No effect and no host: timers go on, and a reboot may fall into its time."""
    for side in SIDES:
        assert WallClock(step_s=1).effects(WHERE, side) == ()
    assert not WallClock(step_s=1).hosts(WHERE)


@pytest.fixture
def lab() -> FakeLab:
    """Hosts whose clock is the kernel's."""
    return FakeLab(Topology(), FakeClock())


def test_it_needs_a_guest(lab: FakeLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says so before anything is set."""
    monkeypatch.setattr(kernel_clock, "clock", lambda: "real")
    monkeypatch.setattr(wall_clock, "move", lambda _: pytest.fail("the clock was set"))
    with (
        pytest.raises(FaultError, match=r"expected a guest, .* fix: --clock virtual"),
        WallClock(step_s=1).inject(lab),
    ):
        pass


class Guest:
    """A kernel whose clock is an offset. `deaf`: setting it does nothing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead_ns, self.moved_ns, self.deaf = 5, 0, False
        monkeypatch.setattr(kernel_clock, "clock", lambda: "virtual")
        monkeypatch.setattr(wall_clock, "move", self.move)
        monkeypatch.setattr(wall_clock, "ahead_ns", lambda: self.ahead_ns)
        monkeypatch.setattr(wall_clock, "moved_ns", lambda: self.moved_ns)

    def move(self, by_ns: int) -> None:
        """Move it."""
        if not self.deaf:
            self.ahead_ns += by_ns
        self.moved_ns += by_ns


def test_the_step_is_measured(lab: FakeLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before and after, against CLOCK_MONOTONIC; then the clock is right again."""
    guest = Guest(monkeypatch)
    with WallClock(step_s=-3600).inject(lab) as evidence:
        assert guest.ahead_ns == 5 - HOUR_NS
        assert evidence().level == "bit"
        assert "stepped by -3600.000 s against CLOCK_MONOTONIC" in evidence().found
        with WallClock(step_s=60).inject(lab):
            assert evidence().level == "bit"
    assert guest.ahead_ns == 5


def test_a_clock_that_does_not_step_is_no_evidence(
    lab: FakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor one that somebody else has set since."""
    guest = Guest(monkeypatch)
    guest.deaf = True
    with WallClock(step_s=3600).inject(lab) as evidence:
        assert evidence().level == "none"
        assert "stepped by +0.000 s" in evidence().found
    guest.deaf = False
    with WallClock(step_s=3600).inject(lab) as evidence:
        guest.ahead_ns -= HOUR_NS
        assert evidence().level == "none"
        assert "somebody set it since: +0.000 s" in evidence().found


def test_what_was_captured_before_is_read_first(
    lab: FakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its stamps are of the clock as it was."""
    guest = Guest(monkeypatch)
    seen: list[int] = []
    lab.host("client").flow_tracker = lambda: seen.append(guest.ahead_ns)  # type: ignore[assignment]
    with WallClock(step_s=3600).inject(lab):
        assert seen == [5]


def test_a_kernel_that_refuses_is_a_fault_error(
    lab: FakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what it said."""
    Guest(monkeypatch)

    def refuse(_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(wall_clock, "move", refuse)
    with (
        pytest.raises(FaultError, match=r"set the clock by \+60 s, found .*not permitted"),
        WallClock(step_s=60).inject(lab),
    ):
        pass
