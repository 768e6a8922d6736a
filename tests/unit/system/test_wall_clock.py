"""The wall clock: told from the other one, and never set on this machine."""

from __future__ import annotations

import time

import pytest

from harness.system import kernel_clock, wall_clock


class Clocks:
    """A guest's two clocks, which stand still. `ahead_ns`: of CLOCK_REALTIME."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead_ns, self.now_ns = 1_000_000_000, 5_000_000_000
        monkeypatch.setattr(kernel_clock, "clock", lambda: "virtual")
        monkeypatch.setattr(time, "monotonic_ns", lambda: self.now_ns)
        monkeypatch.setattr(time, "clock_gettime_ns", lambda _: self.now_ns + self.ahead_ns)
        monkeypatch.setattr(time, "clock_settime_ns", self.set)
        for name in ("total_ns", "last_ns"):
            monkeypatch.setattr(wall_clock._Moves, name, 0)

    def set(self, _: int, value_ns: int) -> None:
        """Set CLOCK_REALTIME."""
        self.ahead_ns = value_ns - self.now_ns


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """Those of a guest."""
    return Clocks(monkeypatch)


def test_the_clock_of_this_machine_is_never_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even by somebody who may."""
    monkeypatch.setattr(kernel_clock, "clock", lambda: "real")
    monkeypatch.setattr(time, "clock_settime_ns", lambda *_: pytest.fail("the clock was set"))
    with pytest.raises(PermissionError, match="is not the harness's to set"):
        wall_clock.move(1_000_000_000)


def test_what_was_moved_is_known(clocks: Clocks) -> None:
    """By how much in all, and when last."""
    assert (wall_clock.moved_ns(), wall_clock.last_moved_ns()) == (0, 0)
    wall_clock.move(3_600_000_000_000)
    clocks.now_ns += 7
    wall_clock.move(-60_000_000_000)
    assert wall_clock.ahead_ns() == 1_000_000_000 + 3_540_000_000_000
    assert wall_clock.with_reading()[1] == clocks.now_ns + clocks.ahead_ns
    assert (wall_clock.moved_ns(), wall_clock.last_moved_ns()) == (3_540_000_000_000, clocks.now_ns)


def test_after_the_block_the_clock_is_right_whoever_set_it(clocks: Clocks) -> None:
    """Also where the block fails; what is right is left alone."""

    def failing() -> None:
        clocks.ahead_ns -= 5_000_000_000
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), wall_clock.kept():
        failing()
    assert clocks.ahead_ns == 1_000_000_000
    before = wall_clock.moved_ns()
    with wall_clock.kept():
        clocks.ahead_ns += wall_clock.TOLERANCE_NS
    assert wall_clock.moved_ns() == before
