"""A command of which nothing is claimed: everything is written down, and nothing breaks the run."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from harness.lab.host import Host
from harness.lab.process import Program
from harness.lab.socket_table import ESTABLISHED, TIME_WAIT, Ends, Socket
from harness.model.programs import Command, Detects
from harness.model.topology import Side
from harness.scenario import guesses
from harness.scenario.schema import Endpoint, Expect, Scenario
from harness.subjects.described import MOST_SETTINGS, DescribedEnd
from harness.subjects.interface import Notices
from harness.timeline import Event, Timeline
from tests.unit.subjects.test_command import ENDS, SLEEPS, Hearing, Here, Table

SECOND = 1_000_000_000


class Sockets(Table):
    """A host's sockets: those that a test puts down."""

    def __init__(self) -> None:
        super().__init__(listening=True, stands=True)
        self.left: list[Socket] = []

    def connections(self, family: int) -> list[Socket]:
        """All of one family."""
        return [each for each in self.left if each.family == family]


@contextmanager
def described(
    side: Side = "client", script: str = SLEEPS, detects: Detects | None = None
) -> Iterator[tuple[DescribedEnd, Hearing, Sockets]]:
    """A command that was started, with the loop that it hears and its host's sockets."""
    stated = Command(argv=("it",), detects=detects or Detects())
    ends: dict[str, Any] = {side: Endpoint(command=stated)}
    scenario = Scenario(expect=Expect(outcome="any", bound_s=10), **ends)
    timeline = Timeline()
    loop, table = Hearing(timeline), Sockets()
    program = Program("it", [sys.executable, "-I", "-S", "-c", script], owns_children=True)
    host, command = cast("Host", Here(table)), guesses.filled(stated, side)
    end = DescribedEnd(scenario, side, command, host, program, Notices(timeline), loop)
    try:
        yield end, loop, table
    finally:
        end.close()
        loop.close()
        program.close()


def armed(end: DescribedEnd, loop: Hearing) -> None:
    """Its connection stands, and time counts from now on."""
    for sender, flags in (("client", "S"), ("server", "SA"), ("client", "A")):
        loop.segment(end.side, cast("Side", sender), flags, time.monotonic_ns())
    end.arm()


def told(loop: Hearing, *kinds: str) -> list[Event]:
    """The events of some kinds."""
    return [event for event in loop.timeline.events if event.kind in kinds]


def await_end(loop: Hearing, end: DescribedEnd) -> None:
    """Serve until the program has ended."""
    loop.wait(time.monotonic_ns() + 20 * SECOND, lambda: not end.watching)
    assert not end.watching


@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("status", [0, 7])
def test_a_program_may_end_with_any_status(side: Side, status: int) -> None:
    """Before any fault, too: what that means is for a reader of the timeline."""
    with described(side, f"input(); raise SystemExit({status})") as (end, loop, _):
        armed(end, loop)
        end.output.program.write(b"\n")
        await_end(loop, end)
        (sign,) = told(loop, "subject.sign")
        data = {"side": side, "how": "exit", "found": f"status {status}"}
        assert sign.data == {**data, "reports": f"status {status}"}
        assert [event.data["how"] for event in told(loop, "subject.noticed")] == ["exit"]


def test_a_crash_is_called_by_its_signal() -> None:
    """As in messages."""
    with described(script="import os; input(); os.abort()") as (end, loop, _):
        armed(end, loop)
        end.output.program.write(b"\n")
        await_end(loop, end)
        (sign,) = told(loop, "subject.sign")
        assert sign.data["found"] == f"signal {signal.SIGABRT:d} (SIGABRT)"


def test_a_program_that_a_fault_has_killed_has_detected_nothing() -> None:
    """Nor have the segments by which its kernel closes its connections."""
    with described() as (end, loop, _):
        armed(end, loop)
        loop.timeline.add("fault.injected", "fault")
        end.output.program.kill()
        loop.segment("client", "client", "FA", time.monotonic_ns())
        await_end(loop, end)
        assert [event.data["status"] for event in told(loop, "subject.ended")] == [-9]
        assert not told(loop, "subject.sign", "subject.noticed")


def test_signs_of_all_kinds_are_told_one_after_the_other() -> None:
    """Of its output, the line that the scenario names."""
    script = "import time; input(); print('lost it', flush=True); time.sleep(60)"
    with described(script=script, detects=Detects(prints="lost")) as (end, loop, _):
        armed(end, loop)
        end.output.program.write(b"\n")
        loop.wait(time.monotonic_ns() + 20 * SECOND, lambda: bool(told(loop, "subject.sign")))
        loop.segment("client", "client", "FA", time.monotonic_ns())
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(ENDS, "client", ("10.77.1.1", 40001))
            for sender, flags in (("client", "S"), ("server", "SA"), ("client", "A")):
                loop.segment("client", cast("Side", sender), flags, time.monotonic_ns())
        assert [event.data["how"] for event in told(loop, "subject.sign")] == [
            "output",
            "close",
            "reconnect",
        ]
        (again,) = told(loop, "subject.reconnected")
        assert again.data["local"] == ["10.77.1.1", 40001]
        assert len(told(loop, "subject.noticed")) == 1


def test_a_program_that_is_not_ready_again_breaks_nothing() -> None:
    """It has been started again, and ends at once."""
    with described("server") as (end, loop, table):
        armed(end, loop)
        table.listening = False
        end.output.program.kill()
        again = Program(
            "it", [sys.executable, "-I", "-S", "-c", "raise SystemExit(3)"], owns_children=True
        )
        try:
            end.start_over(again)
            await_end(loop, end)
            loop.wait(time.monotonic_ns() + SECOND // 20)
            assert [event.data["status"] for event in told(loop, "subject.ended")] == [-9, 3]
            assert not told(loop, "subject.ready")
        finally:
            again.close()


def test_settings_are_those_of_live_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """At arming, and at the end of those connections that are still held."""
    inodes: list[int] = []

    def held_by(pids: list[int], inode: int) -> Any:
        from harness.model.live_sockets import Options

        assert pids
        inodes.append(inode)
        return Options(keepalive=True, idle_s=5)

    monkeypatch.setattr("harness.lab.socket_options.held_by", held_by)
    with described() as (end, loop, table):
        armed(end, loop)
        for port in range(40001, 40010):
            monkeypatch.setitem(ENDS, "client", ("10.77.1.1", port))
            for sender, flags in (("client", "S"), ("server", "SA"), ("client", "A")):
                loop.segment("client", cast("Side", sender), flags, time.monotonic_ns())
        end.look_back()
        first, *last = told(loop, "subject.settings")
        assert first.data["when"] == "armed"
        assert (first.data["idle_s"], first.data["count"]) == (5, None)
        assert [event.data["when"] for event in last] == ["end"] * MOST_SETTINGS
        assert [event.data["local"][1] for event in last] == [40000, 40007, 40008, 40009]
        assert inodes == [1] * (1 + MOST_SETTINGS)
        table.stands = False
        end.look_back()
        assert len(told(loop, "subject.settings")) == 1 + MOST_SETTINGS


def test_what_is_left_of_a_program() -> None:
    """Its processes, and its host's sockets that are more than a memory of the kernel."""
    with described() as (end, loop, table):
        armed(end, loop)
        near, far = bytes([10, 77, 1, 1]) + bytes(12), bytes([10, 77, 2, 2]) + bytes(12)
        half_open = Socket(ESTABLISHED, 40000, 7000, 4, 1, unsent=9, addresses=near + far)
        table.left = [half_open, half_open._replace(state=TIME_WAIT, near_port=40009)]
        end.look_back()
        end.output.program.kill()
        table.left = []
        end.look_back()
        alive, dead = told(loop, "subject.left")
        assert alive.data["processes"] == [Path(sys.executable).name[:15]]
        assert alive.data["sockets"] == [
            {
                "local": ["10.77.1.1", 40000],
                "remote": ["10.77.2.2", 7000],
                "state": "ESTABLISHED",
                "held": True,
                "unsent": 9,
                "unread": 4,
            }
        ]
        assert (dead.data["processes"], dead.data["sockets"]) == ([], [])


def test_where_its_first_connection_is_over_another_one_is_watched() -> None:
    """Some clients ask a first server for the address of a second one."""
    with described() as (end, loop, table):
        for port in (40000, 40001):
            with pytest.MonkeyPatch.context() as patch:
                patch.setitem(ENDS, "client", ("10.77.1.1", port))
                for sender, flags in (("client", "S"), ("server", "SA"), ("client", "A")):
                    loop.segment("client", cast("Side", sender), flags, time.monotonic_ns())

        def find(ends: Ends) -> Socket | None:
            stands = ends.near[1] == 40001
            return Socket(ESTABLISHED, 40001, 7000, queue=0, inode=1) if stands else None

        table.find = find  # type: ignore[method-assign]
        end.arm()
        (event,) = told(loop, "subject.armed")
        assert event.data["local"] == ["10.77.1.1", 40001]
