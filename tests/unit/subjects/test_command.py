"""When a command counts as ready, and from when its time counts: conditions are remembered, with
their moments.
"""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import pytest

from harness.errors import SubjectError
from harness.lab import dated
from harness.lab.host import Host
from harness.lab.process import Program
from harness.lab.socket_table import ESTABLISHED, Ends, Socket
from harness.model.programs import Command, Detects, Ready
from harness.model.topology import Side
from harness.runner.event_loop import EventLoop
from harness.scenario.schema import EndExpect, Endpoint, Expect, Scenario
from harness.subjects import command as command_module
from harness.subjects.command import CommandEnd
from harness.subjects.interface import Notices
from harness.subjects.running import LOOK_NS, STAY
from harness.subjects.tcp_driver import PORT
from harness.timeline import Timeline

SLEEPS = "import time; print('ready', flush=True); time.sleep(60)"
LOST = Detects(prints="lost")
ENDS = {"client": ("10.77.1.1", 40000), "server": ("10.77.2.2", PORT)}


class Table:
    """A host's sockets, as a test says."""

    def __init__(self, *, listening: bool = False, stands: bool = False) -> None:
        self.listening, self.stands = listening, stands

    def listens(self, port: int) -> bool:
        """Whether a program listens at the port now."""
        return self.listening and port == PORT

    def find(self, ends: Ends) -> Socket | None:
        """Whichever connection is asked for."""
        return (
            Socket(ESTABLISHED, ends.near[1], ends.far[1], queue=0, inode=1)
            if self.stands
            else None
        )


class Here:
    """A host without a network."""

    name, identity = "here", 1
    restarted: object = None

    def __init__(self, table: Table) -> None:
        self.socket_table = table


class Hearing(EventLoop):
    """A loop without captures, which are told to it."""

    def segment(self, host: Side, sender: Side, flags: str, at_ns: int, length: int = 0) -> None:
        """One that is captured on a host."""
        receiver: Side = "server" if sender == "client" else "client"
        (src, sport), (dst, dport) = ENDS[sender], ENDS[receiver]
        way = "out" if host == sender else "in"
        seen: Mapping[str, Any] = {
            "way": way,
            "flags": flags,
            "src": src,
            "dst": dst,
            "sport": sport,
            "dport": dport,
        }
        for listener in self._listeners:
            listener(host, at_ns, {**seen, "length": length})


@contextmanager
def running(
    side: Side,
    ready: Ready,
    table: Table,
    *,
    script: str = SLEEPS,
    detects: Detects = LOST,
    observed: Side | None = None,
    expect: Expect | None = None,
    **settings: Any,
) -> Iterator[tuple[CommandEnd, Hearing]]:
    """A command's end, whose program sleeps unless there is another script, and the loop that it
    hears.

    `observed`: the side that is judged, by default the command's own; `expect`: another claim.
    `settings`: further keys of the command.
    """
    command = Command(argv=("it",), ready=ready, detects=detects, **settings)
    claim = expect or Expect(side=observed or side)
    scenario = Scenario(expect=claim, **{side: Endpoint(command=command)})  # type: ignore[arg-type]
    timeline = Timeline()
    loop = Hearing(timeline)
    program = Program("it", [sys.executable, "-I", "-S", "-c", script], owns_children=True)
    try:
        end = CommandEnd(
            scenario, side, command, cast("Host", Here(table)), program, Notices(timeline), loop
        )
        yield end, loop
        end.close()
    finally:
        loop.close()
        program.close()


def test_a_server_that_stops_listening_stays_ready() -> None:
    """That it listened once is remembered."""
    table = Table(listening=True)
    with running("server", Ready(listens=True, within_s=0.2), table) as (end, _):
        end.await_ready(connects=False)
        table.listening = False
        end.await_ready(connects=False)


def test_a_handshake_proves_that_a_server_listened() -> None:
    """However short that was, and whatever became of the connection."""
    with running("server", Ready(listens=True, within_s=0.2), Table()) as (end, loop):
        now_ns = time.monotonic_ns()
        loop.segment("server", "client", "S", now_ns)
        with pytest.raises(SubjectError, match="expected it to listen at port 7000"):
            end.await_ready(connects=False)
        loop.segment("server", "server", "SA", now_ns + 1)
        loop.segment("server", "client", "A", now_ns + 2)
        end.await_ready(connects=False)


def test_time_counts_from_the_ready_line() -> None:
    """Not from when a busy harness comes to see it: the handshake was before it here."""
    if not dated.FOLDER.is_mount():
        pytest.skip(f"output has no date where {dated.FOLDER} is no tmpfs")
    with running("client", Ready(prints="^ready"), Table(stands=True)) as (end, loop):
        for sender, flags in (("client", "S"), ("server", "SA"), ("client", "A")):
            loop.segment("client", cast("Side", sender), flags, time.monotonic_ns())
        poller = select.poll()
        poller.register(end.output.program.fileno(), select.POLLIN)
        assert poller.poll(20_000)
        printed_ns = time.monotonic_ns()
        time.sleep(0.2)
        end.await_ready(connects=True)
        end.arm()
        (armed,) = [event for event in loop.timeline.events if event.kind == "subject.armed"]
        (line,) = [event for event in loop.timeline.events if event.kind == "subject.printed"]
        assert armed.t_ns == line.t_ns
        assert armed.t_ns + loop.timeline.opened_ns <= printed_ns + dated.LATE_NS


def test_time_counts_from_the_handshake_where_that_was_later() -> None:
    """The last of the conditions counts."""
    with running("client", Ready(prints="^ready"), Table(stands=True)) as (end, loop):
        end.await_ready(connects=False)
        now_ns = time.monotonic_ns()
        for number, (sender, flags) in enumerate(
            (("client", "S"), ("server", "SA"), ("client", "A"))
        ):
            loop.segment("client", cast("Side", sender), flags, now_ns + number)
        end.await_ready(connects=True)
        end.arm()
        (armed,) = [event for event in loop.timeline.events if event.kind == "subject.armed"]
        assert armed.t_ns + loop.timeline.opened_ns == now_ns + 2
        assert armed.data["local"] == ["10.77.1.1", 40000]


def test_of_a_program_started_again_any_connection_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first one may have been refused, and the second one be over before anybody looks: it has
    stood.
    """
    table = Table(stands=True)
    with running("client", Ready(), table) as (end, loop):
        for sender, flags in (("client", "S"), ("server", "SA"), ("client", "A")):
            loop.segment("client", cast("Side", sender), flags, time.monotonic_ns())
        end.await_ready(connects=True)
        end.arm()
        table.stands = False
        again = Program("again", [sys.executable, "-I", "-S", "-c", SLEEPS], owns_children=True)
        try:
            end.start_over(again)
            for port, answer in ((40001, "RA"), (40002, "SA")):
                monkeypatch.setitem(ENDS, "client", ("10.77.1.1", port))
                assert not _is_ready_again(loop)
                for sender, flags in (("client", "S"), ("server", answer)):
                    loop.segment("client", cast("Side", sender), flags, time.monotonic_ns())
            loop.segment("client", "client", "A", time.monotonic_ns())
            assert _is_ready_again(loop)
        finally:
            again.close()


def _is_ready_again(loop: EventLoop) -> bool:
    """Whether the loop has it ready after a few looks."""
    loop.wait(time.monotonic_ns() + 3 * LOOK_NS)
    return any(event.kind == "subject.ready" for event in loop.timeline.events)


@pytest.mark.parametrize(
    ("detects", "status", "found"),
    [
        (Detects(exits=True), 3, None),
        (Detects(exits=True, status=4), 3, "ended with status 3; "),
        (LOST, 0, "ended with status 0, never having printed what matches 'lost'; "),
    ],
)
def test_the_judged_end_may_end_only_as_its_scenario_says(
    detects: Detects, status: int, found: str | None
) -> None:
    """Then the exit shows the detection.

    Otherwise nothing is left to be judged, and the message says why.
    """
    script = f"raise SystemExit({status})"
    with running("server", Ready(), Table(), script=script, detects=detects) as (end, loop):
        end.arm_unconnected()
        if found is None:
            _await_end(loop, end)
            (noticed,) = [
                event for event in loop.timeline.events if event.kind == "subject.noticed"
            ]
            assert (noticed.data["how"], noticed.data["found"]) == ("exit", f"status {status}")
        else:
            with pytest.raises(SubjectError, match=found):
                _await_end(loop, end)


@pytest.mark.parametrize(
    ("status", "injected", "may"), [(0, False, True), (3, False, False), (3, True, True)]
)
def test_the_other_end_may_end_once_a_fault_was_injected(
    status: int,
    injected: bool,  # noqa: FBT001
    may: bool,  # noqa: FBT001
) -> None:
    """Before that with status 0 alone."""
    script = f"input(); raise SystemExit({status})"
    with running("server", Ready(), Table(), script=script, observed="client") as (end, loop):
        end.arm_unconnected()
        if injected:
            loop.timeline.add("fault.injected", "harness")
        end.output.program.write(b"\n")
        if may:
            _await_end(loop, end)
        else:
            with pytest.raises(
                SubjectError, match="ended with status 3 before any fault was injected"
            ):
                _await_end(loop, end)


def test_where_both_ends_are_judged_each_must_show_its_own_detection() -> None:
    """What the other one has detected before excuses no end that shows nothing; an end that has
    shown a detection may end with any status.
    """
    both = Expect(client=EndExpect(), server=EndExpect())
    for said in ("lost", "closed"):
        script = f"import sys; input(); sys.exit('{said}')"
        with running("server", Ready(), Table(), script=script, expect=both) as (end, loop):
            end.arm_unconnected()
            end.notices.emitter("client")("subject.noticed", how="output", found="lost")
            end.output.program.write(b"\n")
            if said == "lost":
                _await_end(loop, end)
                assert "server" in end.notices.noticed
            else:
                with pytest.raises(SubjectError, match=r"status 1, never .*its last lines: closed"):
                    _await_end(loop, end)


@pytest.mark.parametrize(("prints", "counts"), [("con", True), ("^lost", False)])
def test_the_ready_line_may_come_again(prints: str, *, counts: bool) -> None:
    """After a reconnect. It shows a detection only where it is said to."""
    script = (
        "print('connected', flush=True); input(); print('connected again', flush=True); input(); "
        "print('lost', flush=True); input()"
    )
    ready = Ready(prints="^connected", within_s=20)
    detects = Detects(prints=prints)
    with running("server", ready, Table(), script=script, detects=detects) as (end, loop):
        end.await_ready(connects=False)
        end.arm_unconnected()
        for line in ("connected again", "lost"):
            end.output.program.write(b"\n")
            _await_line(loop, line)
        (noticed,) = (e for e in loop.timeline.events if e.kind == "subject.noticed")
        assert noticed.data["found"] == ("connected again" if counts else "lost")


def _await_line(loop: EventLoop, line: str) -> None:
    """Serve until the program has printed it."""

    def has_come() -> bool:
        return any(event.data.get("line") == line for event in loop.timeline.events)

    loop.wait(time.monotonic_ns() + 20_000_000_000, has_come)
    assert has_come()


def test_an_exit_before_arming_is_weighed_then() -> None:
    """Not before: the other end may still be getting ready."""
    with running("server", Ready(), Table(), script="raise SystemExit(3)") as (end, loop):
        _await_end(loop, end)
        with pytest.raises(SubjectError, match="ended with status 3, never having printed"):
            end.arm_unconnected()


def _await_end(loop: EventLoop, end: CommandEnd) -> None:
    """Serve until the program has ended. Raises SubjectError."""
    loop.wait(time.monotonic_ns() + 20_000_000_000, lambda: not end.watching)
    assert not end.watching


def test_a_client_that_talks_is_ready_once_it_pauses() -> None:
    """Time counts from the end of the pause, which begins with the last data."""
    with running("client", Ready(quiet_s=0.05, within_s=2), Table(stands=True)) as (end, loop):
        now_ns = time.monotonic_ns()
        for sender, flags in (("client", "S"), ("server", "SA"), ("client", "A")):
            loop.segment("client", cast("Side", sender), flags, now_ns)
        talks_ns = now_ns + 100_000_000
        loop.segment("client", "server", "PA", talks_ns, length=3)
        end.await_ready(connects=True)
        assert time.monotonic_ns() >= talks_ns + 50_000_000
        end.arm()
        (armed,) = [event for event in loop.timeline.events if event.kind == "subject.armed"]
        assert armed.t_ns + loop.timeline.opened_ns == talks_ns + 50_000_000


def test_a_client_that_always_talks_is_ready_some_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for its pause for ever."""
    monkeypatch.setattr(command_module, "BUSY_S", 0.1)
    with running("client", Ready(quiet_s=60, within_s=5), Table(stands=True)) as (end, loop):
        now_ns = time.monotonic_ns()
        for sender, flags in (("client", "S"), ("server", "SA"), ("client", "A")):
            loop.segment("client", cast("Side", sender), flags, now_ns)
        end.await_ready(connects=True)
        assert end.readiness.met_ns == now_ns + 100_000_000


def test_input_is_written_at_the_start_and_again_from_arming_on() -> None:
    """Standard input stays open in between."""
    script = (
        "import sys\nprint('ready', flush=True)\nfor line in sys.stdin: print(line, flush=True)"
    )
    with running(
        "server", Ready(prints="ready"), Table(), script=script, input="ping\n", input_every_s=0.05
    ) as (end, loop):
        end.await_ready(connects=False)
        end.arm_unconnected()

        def heard() -> int:
            return sum(event.data.get("line") == "ping" for event in loop.timeline.events)

        loop.wait(time.monotonic_ns() + 20_000_000_000, lambda: heard() == 3)
        assert heard() == 3
        assert end.watching


def test_a_client_that_has_done_its_work_is_told_to_stay() -> None:
    """With its last words; a failure is another matter."""
    for status, stays in ((0, True), (1, False)):
        script = f"print('PONG'); raise SystemExit({status})"
        with running("client", Ready(), Table(), script=script) as (end, _):
            with pytest.raises(SubjectError, match="its last lines: PONG") as caught:
                end.await_ready(connects=True)
            assert (STAY in str(caught.value)) == stays
